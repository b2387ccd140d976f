"""Every command, called in this process: what it prints, where, and with which exit code."""

import json
import math
import os
import re
import shlex
import shutil
import sys
from time import perf_counter
from types import SimpleNamespace

import pytest
from microgpt_kernels import load
from typer.testing import CliRunner

from microgpt.api.model import Model
from microgpt.checkpoint.saved import load_model, load_state
from microgpt.cli.app import app
from microgpt.commands import generate
from microgpt.commands.generate_interactively import generate_interactively
from microgpt.config import TrainConfig
from microgpt.corpora.corpus import PUZZLES_LINES
from microgpt.errors import UsageError
from microgpt.machine.budget import Budget
from microgpt.measure import bench
from microgpt.model.placed import place
from microgpt.recipes import RECIPES
from microgpt.text.reading import read_text
from microgpt.use.generate import Generator

TEXT = "the cat sat on the mat; a dog ate the hat.\n" * 100
TINY = ("--recipe", "plain", "--steps", "20", "--seq-len", "16", "--d-model", "16")
COMMANDS = (
    "train", "generate", "eval", "xray", "export", "info", "report", "runs",
    "backends", "bench", "race", "corpus",
)  # fmt: skip


def call(*arguments, stdin=None):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], input=stdin)


def run(*arguments, code=0, stdin=None):
    result = call(*arguments, stdin=stdin)
    assert result.exit_code == code, result.output
    return result


def fails(*arguments, code=1, stdin=None):
    """The one sentence of a command that fails, without its beginning."""
    result = run(*arguments, code=code, stdin=stdin)
    lines = [line for line in result.stderr.splitlines() if line.startswith("microgpt: ")]
    assert len(lines) == 1, result.stderr
    assert result.stderr.splitlines()[-1] == lines[0]
    assert "Traceback" not in result.output
    return lines[0].removeprefix("microgpt: ")


def json_lines(text):
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A directory with a text, and a run on it that no test changes."""
    directory = tmp_path_factory.mktemp("trained")
    (directory / "text.txt").write_text(TEXT)
    run("train", directory / "text.txt", *TINY, "--out", directory / "a run")
    return directory


@pytest.fixture
def here(tmp_path, monkeypatch, trained):
    monkeypatch.chdir(tmp_path)
    shutil.copy(trained / "text.txt", tmp_path)
    return tmp_path


# --- train


def test_the_first_command_shows_the_way(here):
    result = run("train", "text.txt", *TINY)
    lines = result.stderr.splitlines()
    assert lines[0].startswith("text.txt: 4,300 characters, 15 distinct; 4,175 parameters, ")
    assert "heads 16, crystal, 1 thread, " in lines[0]
    assert lines[0].endswith("; 20 steps, results in runs/text")
    assert lines[1].startswith(
        "losses in nats per character; to compare: ln V 2.708, unigram 2.299, bigram 0.897"
    )
    assert lines[2] == "learning rate 0.0003; beta2 0.999"
    assert re.search(r"\nstep 20/20  loss \d\.\d{4}  smoothed \d\.\d{4}  [\d,]+ chars/s\n", result.stderr)
    assert "s left" in result.stderr
    assert lines[-1] == "next: microgpt generate runs/text --length 1000"
    assert "\x1b" not in result.output  # off a terminal no bar and no colours
    assert "\r" not in result.output
    assert len(result.stdout) == 301  # the sample
    assert result.stdout[:-1] in (here / "runs" / "text" / "samples.txt").read_text()


def test_json_is_all_that_standard_output_has(here):
    result = run("train", "text.txt", *TINY, "--json", "--val-fraction", "0.1")
    *reports, last = json_lines(result.stdout)
    assert reports == json_lines((here / "runs" / "text" / "metrics.jsonl").read_text())
    assert [report["step"] for report in reports] == list(range(1, 21))
    assert (last["step"], last["steps"], last["interrupted"], last["out"]) == (20, 20, False, "runs/text")
    assert last["loss"] == reports[-1]["smoothed_loss"]
    assert last["val_loss"] == reports[-1]["val_loss"] > 0
    assert "next: microgpt generate runs/text" in result.stderr


def test_a_minute_is_an_option(here):
    options = ("--minutes", "0.005", "--backend", "reference", "--d-model", 16)
    result = run("train", "text.txt", *options)
    lines = result.stderr.splitlines()
    assert lines[0] == "measuring this machine's speed ..."
    assert lines[1].startswith("chosen for 0.005 minutes at ")
    assert re.search(r"; a larger one would (read too little|be no better)$", lines[1])
    assert lines[3] == "6-grams of the text, counted in a moment, predict beside the network"
    assert lines[4].endswith("; config.toml holds the choice, and repeats it without a clock")
    assert lines[5].startswith("text.txt: 4,300 characters, 15 distinct, the last 430 held out; ")
    assert lines[-1] == "next: microgpt generate runs/text --length 1000"
    # a file of options has steps, which the command line overrides
    run("train", "--config", "runs/text/config.toml", "--minutes", "0.002")
    assert load_state(here / "runs" / "text-2").config.steps > 0
    message = fails("train", "text.txt", "--minutes", "1", "--steps", "9", code=2)
    assert message == "--minutes chooses the steps: give one of --minutes and --steps"
    # the versions of typer say the rest in different words
    assert fails("train", "text.txt", "--minutes", "x", code=2).startswith("invalid value for '--minutes': ")


def test_options_come_from_a_file_and_the_command_line_wins(here):
    (here / "my.toml").write_text('file = "text.txt"\nsteps = 7\nseq-len = 16\nlr = 1\nseed = 5')
    run("train", "--config", "my.toml", "--steps", "3", "--seed", "1337")  # though 1337 is the default
    config = load_state(here / "runs" / "text").config
    assert (config.steps, config.seq_len, config.lr, config.seed) == (3, 16, 1.0, 1337)
    # a run's own config.toml is such a file
    run("train", "--config", "runs/text/config.toml", "--out", "again")
    assert load_model(here / "again").param.tolist() == load_model(here / "runs" / "text").param.tolist()
    # what that run has left open follows what is changed here, and its directory stays its own
    changes = ("--seq-len", 8, "--lr", 1e-5, "--d-model", 32)
    result = run("train", "--config", "runs/text/config.toml", *changes)
    assert result.stderr.splitlines()[0].endswith("results in runs/text-2")
    assert load_state(here / "runs" / "text-2").architecture.d_ff == 32
    (here / "bad.toml").write_text("batchsize = 3")
    message = fails("train", "text.txt", "--config", "bad.toml", code=2)
    assert message == "bad.toml: unknown key 'batchsize'; did you mean 'batch_size'?"
    assert fails("train", "x", "--config", "no.toml", code=2) == "there is no configuration file no.toml"


def test_the_shift_in_time_is_on_off_or_as_a_file_has_it(here):
    (here / "off.toml").write_text("token_shift = false")
    for given, expected in (
        ((), True),
        (("--no-token-shift",), False),
        (("--recipe", "plain"), False),
        (("--recipe", "plain", "--token-shift"), True),
        (("--config", "off.toml"), False),
        (("--config", "off.toml", "--token-shift"), True),
    ):
        run("train", "text.txt", "--steps", 1, "--backend", "reference", *given, "--out", "run")
        assert load_model(here / "run").architecture.token_shift == expected, given
        assert f"token_shift = {str(expected).lower()}" in (here / "run" / "config.toml").read_text()
        assert json.loads(run("info", "run", "--json").stdout)["token_shift"] == expected
        shutil.rmtree(here / "run")


def test_the_scale_of_attention_stays_with_the_weights(here):
    tiny = ("train", "text.txt", *TINY, "--steps", 2, "--backend", "reference", "--heads", "1+15")
    run(*tiny, "--attention-scale", "linear", "--out", "first")
    assert load_model(here / "first").architecture.attention_scale == "linear"
    assert 'attention_scale = "linear"' in (here / "first" / "config.toml").read_text()
    assert json.loads(run("info", "first", "--json").stdout)["attention_scale"] == "linear"
    run(*tiny, "--out", "other")
    assert load_model(here / "other").param.tobytes() != load_model(here / "first").param.tobytes()
    with_weights = ("train", "text.txt", "--from", "first", "--steps", 1, "--backend", "reference")
    run(*with_weights, "--out", "second")
    assert load_model(here / "second").architecture.attention_scale == "linear"
    run("train", "--resume", "first", "--steps", 3)
    assert load_model(here / "first").architecture.attention_scale == "linear"
    changed = "--attention-scale was 'linear' and is now 'sqrt'"
    assert changed in fails("train", "--resume", "first", "--steps", 4, "--attention-scale", "sqrt")
    assert changed in fails(*with_weights, "--out", "third", "--attention-scale", "sqrt")


def test_resuming(here, trained):
    shutil.copytree(trained / "a run", here / "run")
    assert fails("train", "--resume", "run") == (
        "all 20 steps of this run are done; to go on, add --steps with a larger number"
    )
    # the text is where it was, the directory has moved
    assert "from step 20 of 25, results in run\n" in run("train", "--resume", "run", "--steps", 25).stderr
    path = "run/optimizer.safetensors"
    assert "from step 25 of 30, results in run\n" in run("train", "--resume", path, "--steps", 30).stderr
    run("train", trained / "text.txt", *TINY, "--steps", 30, "--out", "whole")
    assert load_model(here / "run").param.tolist() == load_model(here / "whole").param.tolist()


def test_a_text_that_has_moved_is_found_by_its_new_name(here):
    run("train", "text.txt", *TINY, "--out", "run")
    (here / "text.txt").rename(here / "moved.txt")
    message = fails("train", "--resume", "run", "--steps", 30)
    assert message == (
        "there is no file text.txt, which this run reads: if its text lies elsewhere now, "
        "microgpt train NEW_PATH --resume run"
    )
    run(*shlex.split(message.rpartition(", microgpt ")[2].replace("NEW_PATH", "moved.txt")), "--steps", 30)
    assert load_state(here / "run").step == 30
    assert "there is no file nowhere.txt" in fails("train", "nowhere.txt", "--resume", "run", "--steps", 40)


def test_what_cannot_be_resumed(here, trained):
    shutil.copytree(trained / "a run", here / "run")
    before = {path.name: path.read_bytes() for path in (here / "run").iterdir()}
    (here / "other.txt").write_text(TEXT.replace("cat", "cow"))
    resume = ("train", "--resume", "run", "--steps", 30)
    for arguments, message in (
        (("other.txt",), "is not the one that it was trained on"),
        (("--seq-len", 8), "exactly: --seq-len was 16 and is now 8; resume"),
        (("--d-model", 32), "exactly: --d-model was 16 and is now 32; resume"),
        (("--lr", 0.1), "--lr was 0.0003 and is now 0.1"),
        (("--order", "shuffled"), "--order was 'sequential' and is now 'shuffled'"),
    ):
        sentence = fails(resume[0], *arguments, *resume[1:])
        assert message in sentence
        assert sentence.startswith("this run cannot be resumed exactly: ")
    assert fails(*resume, "--heads", "8", code=2) == (
        "the widths 8 sum to 8, but d_model is 16; a resumed run keeps the sizes that it began with"
    )
    # what is wrong without the sizes has nothing to do with them
    assert fails(*resume, "--eval-every", 3, code=2) == (
        "--eval-every needs a text to evaluate on: add --val-fraction 0.1"
    )
    assert fails(*resume, "--heads", "8", "--lr", -1, code=2).endswith("not -1")
    # the advice is to be pasted, with all that was given now and before
    advice = fails(*resume, "--lr", 0.1, "--d-model", 32, "--backend", "reference").rpartition(": ")[2]
    path = shlex.quote(str(trained / "text.txt"))
    assert advice == (
        f"microgpt train {path} --from run/model.safetensors --steps 30 --backend reference --batch-size 1 "
        "--order sequential --init small --lr 0.1 --beta2 0.999 --schedule constant --warmup 0"
    )
    run(*shlex.split(advice)[1:])
    shutil.rmtree(here / "runs")
    assert "leave --out away" in fails(*resume, "--out", "elsewhere", code=2)
    assert "no training state" in fails("train", "--resume", "run/model.safetensors")
    assert "nowhere" in fails("train", "--resume", "nowhere")
    assert {path.name: path.read_bytes() for path in (here / "run").iterdir()} == before
    assert {path.name for path in here.iterdir()} == {"run", "text.txt", "other.txt"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "there is no file in.txt"),
        (b"", "in.txt is empty"),
        (
            b"hello",
            "in.txt has 5 characters, but .* needs at least 898; --seq-len 4 --batch-size 1 would work",
        ),
        (b"abc\xff", "in.txt is not UTF-8: byte 0xFF at offset 3"),
    ],
)
def test_texts_that_cannot_be_read(here, content, message):
    if content is not None:
        (here / "in.txt").write_bytes(content)
    assert re.match(message, fails("train", "in.txt"))
    assert not (here / "runs").exists()


def test_places_that_cannot_be_written(here, trained):
    before = (trained / "a run" / "model.safetensors").read_bytes()
    assert "is not empty; use --resume" in fails("train", "text.txt", *TINY, "--out", trained / "a run")
    assert "is a directory" in fails("train", here)
    assert fails("train", "text.txt", "--out", "text.txt") == "--out text.txt is a file; name a directory"
    assert "Not a directory" in fails("train", "text.txt", *TINY, "--out", "text.txt/run")
    assert (here / "text.txt").read_text() == TEXT
    assert (trained / "a run" / "model.safetensors").read_bytes() == before


@pytest.mark.skipif(
    getattr(os, "geteuid", lambda: 0)() == 0, reason="root and Windows may write in any directory"
)
def test_a_directory_that_is_locked(here):
    (here / "locked").mkdir(mode=0o500)
    assert "locked" in fails("train", "text.txt", *TINY, "--out", "locked")
    assert "locked" in fails("train", "text.txt", *TINY, "--out", "locked/run")


def test_a_run_that_cannot_be_writes_nothing(here):
    assert "cublas" in fails("train", "text.txt", "--backend", "cublas")
    assert "do not fit" in fails("train", "text.txt", "--memory-cap", "1MB")
    assert "--threads 9999: this machine has" in fails("train", "text.txt", "--threads", 9999)
    assert fails("train", "text.txt", "--lr", -1, code=2).startswith("--lr must be at least 0 and below")
    assert fails("train", code=2) == "which text? microgpt train FILE"
    # what the parser finds looks like what the program finds
    for arguments, message in (
        (("train", "text.txt", "--stepz", 3), "no such option: --stepz"),
        (("train", "text.txt", "--steps", "five"), "invalid value for '--steps': 'five' "),
        (("race", "text.txt", "--epochs", "two"), "invalid value for '--epochs': 'two' "),
        (("generate", "run", "--length", -1), "invalid value for '--length': "),
        (("info", "--" + "x" * 9999), "no such option: --xxx"),
        (("eval", "run"), "missing argument"),
    ):
        sentence = fails(*arguments, code=2)
        assert sentence.startswith(message)
        assert sentence.endswith(f" (microgpt {arguments[0]} --help says more)")
        assert len(sentence) < 400
        assert "Input" not in sentence, "these are the words of a library"
    assert fails("trian", code=2).startswith("no such command 'trian'")
    assert [path.name for path in here.iterdir()] == ["text.txt"]


def test_a_loss_that_is_not_finite_is_exit_code_3(here):
    message = fails("train", "text.txt", *TINY, "--lr", 9e5, "--clip", 0, code=3)
    assert re.match(r"the (loss|gradient) is not finite at step \d+: the .* is the first array with", message)
    step = load_model(here / "runs" / "text").notes["step"]
    assert f"at step {step + 1}: " in message


# --- generate


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "--interactive needs a terminal as its standard input and standard error"),
        (("--length", 9), "--interactive: leave --length away"),
        (("--num-samples", 2), "--interactive: leave --num-samples away"),
        (("--json",), "--interactive: leave --json away"),
        (
            ("--prompt", "-"),
            "--interactive reads what you type from standard input: the prompt cannot be there",
        ),
    ],
)
def test_typing_needs_a_terminal_and_goes_with_fewer_options(trained, options, message):
    assert fails("generate", trained / "a run", "--interactive", *options, code=2) == message


def test_typing_needs_more_than_a_dumb_terminal(trained, monkeypatch):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr(sys, "stderr", SimpleNamespace(isatty=lambda: True))
    monkeypatch.setenv("TERM", "dumb")
    with pytest.raises(UsageError, match="which this terminal cannot do"):
        generate_interactively(trained / "a run", "", None, last=False, backend="reference")


def test_generate_writes_the_prompt_and_what_comes_after(trained):
    result = run("generate", trained / "a run", "--prompt", "the cat", "--length", 30)
    assert result.stdout.startswith("the cat")
    assert len(result.stdout) == 7 + 30 + 1
    piped = run("generate", trained / "a run", "--prompt", "-", "--length", 30, stdin="the cat")
    assert result.stdout == piped.stdout
    (trained / "prompt.txt").write_text("the cat")
    from_file = ("--prompt-file", trained / "prompt.txt", "--length", 30)
    assert result.stdout == run("generate", trained / "a run", *from_file).stdout
    assert result.stdout == run("generate", trained / "a run" / "model.safetensors", *from_file).stdout
    assert result.stdout != run("generate", trained / "a run", *from_file, "--seed", 1).stdout
    (line,) = json_lines(run("generate", trained / "a run", *from_file, "--json").stdout)
    assert line["prompt"] + line["text"] + "\n" == result.stdout
    assert line["characters"] == 30
    assert run("generate", trained / "a run", "--length", 0, "--prompt", "a").stdout == "a\n"
    assert len(run("generate", trained / "a run").stdout) == 501


def test_generate_says_what_of_a_text_is_copied(here):
    options = ("--steps", 2, "--val-fraction", 0.1, "--ngrams", 6, "--backend", "reference", "--out", "run")
    run("train", "text.txt", *TINY, *options)
    generate = ("generate", "run", "--prompt", "the cat", "--length", 80, "--backend", "reference")
    plain, result = run(*generate), run(*generate, "--novelty")
    assert result.stdout == plain.stdout
    (line,) = json_lines(run(*generate, "--novelty", "--json").stdout)
    copied = line["novelty"]
    learned, text = TEXT[: len(TEXT) * 9 // 10], line["text"]
    assert copied["text_characters"] == len(learned)
    for end, length in enumerate(copied["lengths"], 1):
        assert text[end - length : end] in learned
        assert length == end or text[end - length - 1 : end] not in learned
    longest = copied["longest"]
    piece = text[longest["begin"] : longest["end"]]
    assert 20 < len(piece) == max(copied["lengths"])
    assert learned.index(piece) == longest["offset"]
    assert learned.count("\n", 0, longest["offset"]) + 1 == longest["line"]
    assert longest in copied["copies"]
    share = sum(any(c["begin"] <= i < c["end"] for c in copied["copies"]) for i in range(80)) / 80
    assert copied["share"] == pytest.approx(share)
    *_, first, second = result.stderr.splitlines()
    assert first == (
        f"novelty: {share:.1%} of the text is in copies of more than 20 characters from the first 3,870 "
        "characters of text.txt, which the run was trained on"
    )
    place = f"line {longest['line']} (offset {longest['offset']:,})"
    assert second.startswith(f"the longest copy has {len(piece)} characters, from {place}: '")
    two = run(*generate, "--novelty", "--num-samples", 2, "--seed", 7).stderr
    assert [f"of the text of seed {seed} is" in two for seed in (6, 7, 8)] == [False, True, True]
    assert "novelty: 0.0%" in run("generate", "run", "--length", 0, "--novelty").stderr
    (here / "text.txt").rename(here / "moved.txt")
    expected = "there is no file text.txt here; --text FILE says where it lies"
    assert fails(*generate, "--novelty").endswith(expected)
    assert run(*generate, "--novelty", "--text", "moved.txt").stderr == result.stderr.replace(
        "text.txt", "moved.txt"
    )
    assert fails(*generate, "--text", "moved.txt", code=2).endswith("add --novelty")
    (here / "text.txt").write_text(TEXT[1:])
    assert "but text.txt has changed; " in fails(*generate, "--novelty")
    both = ("generate", "run", "--novelty", "--text", "-", "--prompt", "-")
    assert fails(*both, code=2, stdin=TEXT).startswith("--text - and --prompt -")
    model = here / "run" / "model.safetensors"
    assert "which --novelty has to know: name the directory" in fails("generate", model, "--novelty")


def test_prompts_that_cannot_be(trained):
    generate = ("generate", trained / "a run")
    expected = "the model does not know 'X' (U+0058) and '€' (U+20AC)"
    assert fails(*generate, "--prompt", "the X cat€") == expected
    assert fails(*generate, "--prompt", "-", stdin="€X") == expected
    assert run(*generate, "--prompt", "€", code=1).stdout == ""
    (trained / "bad.txt").write_bytes(b"ab\xff")
    assert "bad.txt is not UTF-8: byte 0xFF at offset 2" in fails(
        *generate, "--prompt-file", trained / "bad.txt"
    )
    assert "there is no file" in fails(*generate, "--prompt-file", trained / "nope")
    both = ("--prompt", "a", "--prompt-file", trained / "prompt.txt")
    assert fails(*generate, *both, code=2) == "--prompt and --prompt-file: give one of them"
    assert fails(*generate, "--temperature", -1, code=2).startswith("--temperature must be at least 0")
    assert "--length" in fails(*generate, "--length", -1, code=2)


def test_runs_that_cannot_be_used(trained):
    (trained / "junk.safetensors").write_bytes(b"junk" * 99)
    for command, *more in (("generate",), ("info",), ("eval", trained / "text.txt")):
        assert "nowhere" in fails(command, "nowhere", *more)
        assert "junk.safetensors is no trained model" in fails(command, trained / "junk.safetensors", *more)
        assert "model.safetensors" in fails(command, trained, *more)


# --- the others


def test_eval(trained):
    result = run("eval", trained / "a run", trained / "text.txt")
    pattern = r".*text\.txt: (\S+) nats/char, (\S+) bits/char, perplexity (\S+) over 4,299 characters\n"
    nats, bits, perplexity = map(float, re.fullmatch(pattern, result.stdout).groups())
    assert "the model was trained on this text, and predicts it better than others" in result.stderr
    (line,) = json_lines(run("eval", trained / "a run", trained / "text.txt", "--json").stdout)
    assert line["nats_per_character"] == pytest.approx(nats, abs=1e-4)
    assert line["bits_per_character"] == pytest.approx(bits, abs=1e-4)
    assert line["perplexity"] == pytest.approx(perplexity, abs=1e-3)
    (trained / "unknown.txt").write_text("the Xat")
    assert "'X' (U+0058)" in fails("eval", trained / "a run", trained / "unknown.txt")
    assert "there is no file" in fails("eval", trained / "a run", trained / "nope.txt")


def test_xray_looks_at_what_was_held_out_or_at_a_text_of_the_users(here):
    options = ("--backend", "reference", *TINY, "--val-fraction", 0.2, "--heads", "3+13", "--ngrams", 3)
    run("train", "text.txt", *options, "--out", "held out")
    xray = ("xray", "held out", "--backend", "reference")
    (found,) = json_lines(run(*xray, "--json", "--characters", 100, "--shapley").stdout)
    assert found["text"] == TEXT[-860:][:100]
    assert found["source"] == "held-out text"
    assert found["run"]["name"] == "held out"
    assert (found["run"]["options"]["heads"], found["run"]["ngrams"]) == ("3+13", 3)
    assert sum(head["shapley"]["bits"] for head in found["heads"]) == pytest.approx(
        found["total"]["gain"], abs=1e-5
    )
    (here / "other.txt").write_text("the hat sat on the dog.\n" * 3)
    shown = run(*xray, "other.txt", "--characters", 50)
    assert " bits per character on 50 characters (your text); " in shown.stdout
    assert "; all of the network without its n-grams\n" in shown.stdout
    assert [line.split()[:2] for line in shown.stdout.splitlines()[3:7]] == [
        ["1.1", "3"], ["1.2", "13"], ["2.1", "3"], ["2.2", "13"],
    ]  # fmt: skip
    assert "the first 50 of 72 characters are looked at\n" in shown.stderr
    assert run(*xray, "-", "--skip-unknown", stdin="the X cat").stdout.count(" on 8 characters ") == 1
    assert "'X' (U+0058)" in fails(*xray, "-", stdin="the X cat")
    assert "at least 2 characters" in fails(*xray, "-", stdin="t")
    assert "--characters" in fails(*xray, "--characters", 1, code=2)
    (here / "text.txt").rename(here / "moved.txt")
    assert fails(*xray) == (
        "the X-ray looks at what the run held out of its text, but there is no file text.txt here; "
        "name the text to look at"
    )


def test_xray_writes_a_page(trained):
    (trained / "seen.txt").write_text("the hat sat on the dog.\n")
    xray = ("xray", trained / "a run", trained / "seen.txt", "--backend", "reference")
    page = trained / "xray.html"
    done = run(*xray, "--out", page)
    assert done.stdout == ""
    assert f"{page}: " in done.stderr
    with_model = page.read_text("utf-8")
    (found,) = json_lines(run(*xray, "--out", page, "--no-model", "--json").stdout)
    without_model = page.read_text("utf-8")
    assert found["text"] == "the hat sat on the dog.\n"
    assert '"weights":' in with_model
    assert '"weights":' not in without_model
    assert fails(*xray, "--no-model", code=2) == "--no-model says what is in a page: add --out"


def test_where_an_xray_is_to_go_is_tried_before_its_work(trained, monkeypatch):
    monkeypatch.setattr(Model, "xray", None)
    xray = ("xray", trained / "a run", "--backend", "reference", "--out")
    assert fails(*xray, trained) == f"cannot write {trained}: Is a directory"
    assert fails(*xray, trained / "text.txt" / "x.html").startswith(f"cannot write {trained / 'text.txt'}")
    for command in (
        xray,
        ("export", "page", trained / "a run", "--out"),
        ("report", trained / "a run", "--out"),
    ):
        assert fails(*command, "-").startswith("cannot write -: ")


def test_xray_needs_a_text_that_the_model_has_not_seen(trained):
    assert fails("xray", trained / "a run") == (
        "the run held nothing out, so that there is no text that its model has not seen: name the text to "
        "look at, as `microgpt xray RUN TEXT` does; `microgpt train TEXT --val-fraction 0.1` keeps one for it"
    )


def test_xray_says_how_words_are_looked_at(trained):
    assert fails("xray", trained / "a run", "the cat", "--backend", "reference") == (
        "there is no file the cat; to look at words of your own: echo WORDS | microgpt xray "
        f"'{trained / 'a run'}' -"
    )


def test_the_ladder_has_a_rung_for_the_model(here):
    run("train", "text.txt", *TINY, "--val-fraction", 0.2, "--out", "held out")
    result = run("eval", "held out", "text.txt", "--ladder")
    header, _, columns, *table, _, learned = result.stdout.splitlines()
    assert header.startswith("the last 860 characters of text.txt, which the run held out: ")
    assert columns.split() == ["nats/char", "bits/char", "perplexity"]
    losses = {line[:30].strip(): float(line[30:].split()[0]) for line in table}
    assert list(losses.values()) == sorted(losses.values(), reverse=True)
    assert losses["uniform"] == pytest.approx(math.log(15), abs=1e-4)
    # the loss that the run itself has logged
    assert losses["this model"] == pytest.approx(load_model(here / "held out").notes["val_loss"], abs=1e-4)
    assert losses["6-gram"] < losses["bigram"] < losses["unigram"] < losses["uniform"]
    assert learned.endswith("learn from the first 3,440 characters of text.txt, as this model did.")
    (line,) = json_lines(run("eval", "held out", "text.txt", "--ladder", "--json").stdout)
    assert line["characters"] == 859
    assert line["trained_on_it"] is False
    assert {rung["name"]: rung["nats_per_character"] for rung in line["ladder"]} == pytest.approx(
        losses, abs=1e-4
    )


def test_the_ladder_says_what_is_not_fair(trained):
    lines = run("eval", trained / "a run", trained / "text.txt", "--ladder").stdout.splitlines()
    assert lines[0].startswith("the last 430 characters of ")
    assert "text.txt, which the run trained on as well: " in lines[0]
    assert lines[-1].startswith("The run held nothing out: this model has also been trained on ")
    (trained / "other.txt").write_text("the hat sat on the dog.\n")
    lines = run("eval", trained / "a run", trained / "other.txt", "--ladder").stdout.splitlines()
    assert lines[-1].endswith("text.txt, as this model did.")
    alone = run("eval", trained / "a run", trained / "other.txt").stdout
    assert lines[0] + "\n" == alone


def test_a_model_with_ngrams_says_so_everywhere(here):
    options = ("--backend", "reference", *TINY, "--val-fraction", 0.2, "--ngrams", 5, "--out", "both")
    shown = run("train", "text.txt", *options).stderr
    assert "p = (1 - w) network + w 5-grams; " in shown
    (facts,) = json_lines(run("info", "both", "--json").stdout)
    saved = load_model(here / "both")
    ngrams, weight = saved.ngrams, saved.ngram_weight
    described = {"order": 5, "weight": weight, "different": ngrams.n_grams, "bytes": ngrams.n_bytes}
    assert facts["ngrams"] == described
    told = run("info", "both").stdout
    assert f"{ngrams.n_grams:,} different 5-grams, with all shorter ones " in told
    formula = f"p = {round(1 - weight, 3):g} network + {round(weight, 3):g} 5-grams"
    assert formula in " ".join(told.split())
    (line,) = json_lines(
        run("eval", "both", "text.txt", "--ladder", "--json", "--backend", "reference").stdout
    )
    losses = {rung["name"]: rung["nats_per_character"] for rung in line["ladder"]}
    assert losses["this model"] == facts["val_loss"] == line["nats_per_character"]
    network, alone = losses["its network alone"], losses["5-gram"]
    assert losses["this model"] <= min(network, alone)
    assert (
        f"validation of both together {facts['val_loss']:.4f}, of the network alone {network:.4f}, of the "
        f"5-grams alone {alone:.4f}; {formula}"
    ) in shown
    one, other = (
        run("generate", "both", "--prompt", "the ", "--length", 40, "--backend", backend).stdout
        for backend in ("reference", "crystal")
    )
    assert one == other
    state = here / "both" / "optimizer.safetensors"
    for command in (("generate", state), ("eval", state, "text.txt")):
        assert "does not hold the n-grams of its model: name its directory, or " in fails(*command)
    # a new run counts its own text, if it is told to
    run("train", "text.txt", "--from", "both", "--backend", "reference", "--steps", 2, "--out", "next")
    assert load_model(here / "next").ngrams is None
    (here / "other.txt").write_text("a cat; " * 40)
    more = ("--steps", 2, "--ngrams", 3, "--out", "third")
    run("train", "other.txt", "--from", "both", "--backend", "reference", *more)
    assert load_model(here / "third").ngrams.order == 3
    assert "--ngrams can be at most 16, not 99" in fails("train", "text.txt", "--ngrams", 99, code=2)


def test_the_lowest_rung_of_the_tales_is_their_entropy(here):
    run("corpus", "tales", "--out", "tales.txt")
    run("train", "tales.txt", *TINY, "--val-fraction", 0.01, "--out", "tales")
    *_, last, _, _ = run("eval", "tales", "tales.txt", "--ladder").stdout.splitlines()
    assert last.split() == ["entropy", "of", "its", "source", "0.2952", "0.4258", "1.343"]


def test_the_entropy_of_the_tales_is_not_that_of_a_part_of_their_characters(here, trained):
    run("corpus", "tales", "--out", "tales.txt")
    shown = run("eval", trained / "a run", "tales.txt", "--skip-unknown").stdout
    assert "unknown ones left out" in shown
    assert "entropy" not in shown


def test_info(trained):
    shown = dict(line.split(None, 1) for line in run("info", trained / "a run").stdout.splitlines())
    (facts,) = json_lines(run("info", trained / "a run", "--json").stdout)
    assert int(shown["parameters"]) == facts["parameters"] == load_model(trained / "a run").param.size
    assert facts["vocabulary"] == "".join(sorted(set(TEXT)))
    assert shown["vocabulary"].startswith("15 characters: ")
    assert (shown["step"], shown["heads"], facts["seq_len"]) == ("20", "16", 16)
    assert shown["smoothed_loss"] == f"{facts['smoothed_loss']:.4f}"


def test_export_writes_a_page(here, trained):
    shutil.copytree(trained / "a run", "a run")
    told = run("export", "page", "a run").stderr
    page = here / "a run" / "page.html"
    assert re.fullmatch(r"a run/page\.html: [\d.]+ KiB; open it in any browser\n", told)
    assert "<title>a run</title>" in page.read_text(encoding="utf-8")
    (facts,) = json_lines(
        run("export", "page", "a run/model.safetensors", "--out", "b.html", "--json").stdout
    )
    assert facts == {"page": "b.html", "bytes": (here / "b.html").stat().st_size}
    assert "<title>a run</title>" in (here / "b.html").read_text(encoding="utf-8")
    assert fails("export", "gguf", "a run", code=2) == (
        "a model can be exported as a page, not as 'gguf': microgpt export page RUN"
    )
    assert fails("export", "page", code=2) == (
        "name the run whose model it is to be: microgpt export page RUN"
    )
    assert fails("export", "page", "no run").startswith("no run is not a usable checkpoint")


def test_the_time_of_a_text_begins_before_its_first_piece(here, trained, monkeypatch):
    happened, pieces = [], Generator._pieces

    def noted(self, *arguments):
        happened.append("begin")
        yield from pieces(self, *arguments)
        happened.append("end")

    monkeypatch.setattr(Generator, "_pieces", noted)
    monkeypatch.setattr(
        generate, "time", SimpleNamespace(perf_counter=lambda: happened.append("clock") or perf_counter())
    )
    run("generate", trained / "a run", "--length", 30, "--num-samples", 2, "--json")
    assert happened == ["clock", "begin", "end", "clock"] * 2


def test_backends():
    shown = run("backends").stdout.splitlines()
    rows = json_lines(run("backends", "--json").stdout)
    assert [row["name"] for row in rows] == ["crystal", "openblas", "cublas", "cublas-tf32", "reference"]
    assert [row["usable"] for row in rows if not row["name"].startswith("cublas")] == [True] * 3
    assert all(row["detail"] in line and row["name"] in line for row, line in zip(rows, shown, strict=True))


def test_bench():
    tiny = ("bench", 2, "--seq-len", 8, "--n-layers", 1)
    rows = json_lines(run(*tiny, "--json").stdout)
    assert len(rows) == 10  # five layouts on two backends
    assert {row["steps"] for row in rows} == {2}
    header, *lines = run(*tiny).stdout.splitlines()
    assert header.split() == ["heads", "backend", "threads", "steps", "loss", "time", "steps/s"]
    assert [line.split()[:2] for line in lines] == [[row["heads"], row["backend"]] for row in rows]
    assert [float(line.split()[4]) for line in lines] == [round(row["loss"], 4) for row in rows]
    (row,) = json_lines(run(*tiny, "--heads", "8x8", "--backend", "crystal", "--json").stdout)
    assert (row["heads"], row["backend"]) == ("8x8", "crystal")
    # a layout that this width cannot have is said once; a run that cannot be is a usage error
    narrow = run(*tiny, "--d-model", 48)
    assert len(narrow.stdout.splitlines()) == 9
    assert narrow.stderr.count("without pyramid: the pyramid head layout needs") == 1
    assert fails(*tiny, "--batch-size", 0, code=2) == "--batch-size must be at least 1, not 0"
    assert fails(*tiny, "--backend", "blas").startswith("there is no backend 'blas'; there are ")


def test_bench_times_no_first_step(here, monkeypatch):
    """It loads code and captures a graph, which are no part of a step; and the loss does not notice it."""
    (here / "text.txt").write_text(TEXT)
    options = RECIPES["plain"] | {
        "seq_len": 8, "d_model": 4, "n_layers": 1, "heads": "1+3", "batch_size": 2,
    }  # fmt: skip
    trainer = bench.Trainer(
        place(load("reference"), TrainConfig(file="text.txt", **options).architecture(15), Budget(None)),
        TrainConfig(file="text.txt", **options),
        read_text(here / "text.txt").ids,
    )
    expected = trainer.advance(3).loss.mean(dtype="float64")
    happened, advance = [], bench.Trainer.advance
    monkeypatch.setattr(bench.Trainer, "advance", lambda self, n: happened.append(n) or advance(self, n))
    monkeypatch.setattr(
        bench, "time", SimpleNamespace(perf_counter=lambda: happened.append("clock") or perf_counter())
    )
    tiny = ("--seq-len", 8, "--d-model", 4, "--n-layers", 1, "--heads", "1+3", "--batch-size", 2)
    (row,) = json_lines(
        run("bench", 3, "--file", "text.txt", *tiny, "--backend", "reference", "--json").stdout
    )
    assert happened == [1, "clock", 3, "clock"]
    assert row["loss"] == expected


def test_corpus(here):
    result = run("corpus", "tales", "--out", "new/tales.txt")
    assert "next: microgpt train new/tales.txt" in result.stderr
    size = (here / "new" / "tales.txt").stat().st_size
    assert json_lines(run("corpus", "tales", "--out", "b.txt", "--json").stdout) == [
        {"corpus": "tales", "file": "b.txt", "bytes": size}
    ]
    run("corpus", "mixed", "--out", "mixed.txt")
    assert (here / "mixed.txt").read_text().count("\n") == PUZZLES_LINES
    names = "tales, nearest, retrieval, mixed, mixed-2, mixed-3 and shakespeare"
    assert fails("corpus", "bible", code=2) == f"there is no corpus 'bible'; there are {names}"


@pytest.mark.parametrize("command", COMMANDS)
def test_help(command):
    shown = run(command, "--help").stdout
    assert "Usage: " in shown
    assert f"Example: microgpt {command}" in shown


def test_help_lists_the_commands_in_their_order():
    _, _, listed = run("--help").stdout.partition("Commands:\n")
    assert tuple(line.split()[0] for line in listed.splitlines()) == COMMANDS
