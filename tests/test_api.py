"""The package from Python: what it returns is what the command line writes."""

import _thread
import ast
import doctest
import inspect
import json
import logging
import math
import re
import signal
import subprocess
import sys
import threading
import typing
from pathlib import Path

import numpy as np
import pytest
from microgpt_kernels import reference
from typer.testing import CliRunner

import microgpt
from microgpt.api import model as models
from microgpt.api import training
from microgpt.api.log import Log
from microgpt.checkpoint.saved import load_model
from microgpt.cli.app import app
from microgpt.config import TrainConfig
from microgpt.errors import NotFiniteError, UsageError
from microgpt.machine.budget import Budget
from microgpt.model.activations import activations
from microgpt.model.heads import format_layout
from microgpt.model.placed import place
from microgpt.model.transformer import build
from microgpt.recipes import RECIPES

TEXT = "the cat sat on the mat; a dog ate the hat.\n" * 60
TINY = RECIPES["plain"] | {"steps": 30, "seq_len": 16, "d_model": 16, "lr": 1e-2}
# every option that changes what is trained
RICH = {
    **TINY, "heads": "3+13 | 16", "batch_size": 2, "stride": 8, "order": "shuffled", "positions": "rope",
    "activation": "relu2", "token_shift": True, "attention_scale": "linear", "schedule": "cosine",
    "warmup": 3, "weight_decay": 0.1, "val_fraction": 0.1, "eval_every": 10, "seed": 5,
}  # fmt: skip


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder with the text in it, in which the program runs."""
    monkeypatch.chdir(tmp_path)
    Path("text.txt").write_text(TEXT)
    return tmp_path


@pytest.fixture(scope="module")
def model():
    return microgpt.train(TEXT, **TINY)


def command(*arguments):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def on_the_command_line(options):
    words = []
    for name, value in options.items():
        option = name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{option}" if value else f"--no-{option}")
        else:
            words += [f"--{option}", value]
    return words


def weights(model, folder):
    """What a model saves, which is all that tells it from others."""
    model.save(folder / "weights.safetensors")
    return load_model(folder / "weights.safetensors").param.tolist()


def sentence(error, function, *arguments, **options):
    with pytest.raises(error) as caught:
        function(*arguments, **options)
    assert isinstance(caught.value, microgpt.MicrogptError)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- the same as the command line


@pytest.mark.parametrize("options", [TINY, RICH])
def test_a_model_is_the_one_that_the_command_line_trains(here, options):
    command("train", "text.txt", *on_the_command_line(options), "--out", "run")
    expected = load_model(Path("run")).param.tolist()
    for source in (TEXT, "text.txt", Path("text.txt")):
        assert weights(microgpt.train(source, **options), here) == expected
    assert weights(microgpt.train(text=TEXT, **options), here) == expected
    assert weights(microgpt.load("run"), here) == expected
    assert {path.name for path in here.iterdir()} == {"text.txt", "run", "weights.safetensors"}


def test_the_files_of_a_run_are_those_of_the_command_line(here):
    command("train", "text.txt", *on_the_command_line(RICH), "--out", "run")
    model = microgpt.train(here / "text.txt", out=here / "mine", **RICH)
    names = {path.name for path in (here / "run").iterdir()}
    assert {path.name for path in (here / "mine").iterdir()} == names
    for name in ("model.safetensors", "best.safetensors"):
        assert (
            load_model(here / "mine" / name).param.tolist() == load_model(here / "run" / name).param.tolist()
        )
    assert (model.path.parent, model.path.name) == (here / "mine", "best.safetensors")


def test_generated_text_is_that_of_the_command_line(here):
    model = microgpt.train("text.txt", out="run", **TINY)
    sampling = {"temperature": 0.9, "top_k": 5, "top_p": 0.95, "seed": 3, "length": 40}
    arguments = ("generate", "run", "--prompt", "the cat", *on_the_command_line(sampling))
    assert command(*arguments) == f"the cat{model.generate('the cat', **sampling)}\n"
    assert command("generate", "run", "--length", 40) == f"{model.generate(length=40)}\n"
    assert command("generate", "run") == f"{model.generate()}\n"
    two = command("generate", "run", "--num-samples", 2, "--length", 9, "--seed", 4)
    assert (
        two == f"--- seed 4\n{model.generate('', 9, seed=4)}\n--- seed 5\n{model.generate('', 9, seed=5)}\n"
    )


def test_a_score_is_that_of_the_command_line(here):
    model = microgpt.train("text.txt", out="run", **TINY)
    (here / "other.txt").write_text("the hat sat on a dog.\n" * 3)
    expected = json.loads(command("eval", "run", "other.txt", "--json"))
    for source in (here / "other.txt", "the hat sat on a dog.\n" * 3):
        score = model.score(source)
        assert score.nats == expected["nats_per_character"]
        assert score.bits == expected["bits_per_character"]
        assert score.perplexity == expected["perplexity"]
        assert score.characters == expected["characters"]


# --- a model


def test_a_saved_model_is_the_same_when_it_is_loaded(model, here):
    model.save(here / "new folder" / "cat.safetensors")
    for path in (here / "new folder" / "cat.safetensors", "new folder/cat.safetensors"):
        again = microgpt.load(path)
        assert again.generate("a ", 50) == model.generate("a ", 50)
        assert np.array_equal(again.logits("the cat"), model.logits("the cat"))
        assert (again.architecture, again.vocabulary, again.notes) == (
            model.architecture,
            model.vocabulary,
            model.notes,
        )
        assert again.path == Path(path)
    assert model.path is None
    assert command("generate", path, "--length", 20) == f"{model.generate(length=20)}\n"
    assert json.loads(command("info", path, "--json"))["step"] == 30
    # and a file that is there is replaced
    again.save("new folder/cat.safetensors")
    assert [path.name for path in (here / "new folder").iterdir()] == ["cat.safetensors"]


def test_a_model_says_what_it_is(model, here):
    assert model.vocabulary.characters == "".join(sorted(set(TEXT)))
    assert model.heads == "16" == format_layout(model.architecture.heads)
    assert (model.architecture.seq_len, model.architecture.d_model, model.backend) == (16, 16, "crystal")
    assert (model.config.steps, model.config.lr, model.config.seed) == (30, 0.01, TrainConfig.seed)
    assert (model.notes["step"], model.notes["text_characters"]) == (30, len(TEXT))
    loss = round(model.notes["smoothed_loss"], 4)
    assert repr(model) == (
        f"Model(step=30, loss={loss}, parameters=4175, characters=15, heads='16', d_model=16, n_layers=2, "
        "seq_len=16, backend='crystal')"
    )
    model.save("cat.safetensors")
    assert microgpt.load("cat.safetensors").config is None
    again = microgpt.train(TEXT, out="run", **TINY)
    assert again.config == microgpt.load("run").config
    assert again.config.lr == 0.01


def test_a_loaded_model_runs_on_the_backend_that_it_is_given(model, here):
    model.save("cat.safetensors")
    other = microgpt.load("cat.safetensors", backend="reference")
    assert other.backend == "reference"
    assert np.allclose(other.logits("the cat sat"), model.logits("the cat sat"), atol=1e-4)
    assert other.generate("the", 20, temperature=0) == model.generate("the", 20, temperature=0)


def test_the_weights_of_a_run_are_the_best_unless_the_last_are_asked_for(here):
    # at this rate the loss goes up again
    options = {**TINY, "lr": 0.5, "clip": 0.0, "val_fraction": 0.2, "eval_every": 2}
    best = microgpt.train(TEXT, **options)
    last = microgpt.train(TEXT, last=True, **options)
    assert best.notes["step"] < last.notes["step"] == 30
    assert weights(best, here) != weights(last, here)
    assert weights(microgpt.train(TEXT, out="run", **options), here) == weights(best, here)
    assert weights(microgpt.load("run"), here) == weights(best, here)
    assert weights(microgpt.load("run", last=True), here) == weights(last, here)
    assert best.config == last.config


@pytest.mark.parametrize("stop", ["", "at"])
def test_a_stream_is_the_text_in_pieces(model, stop):
    whole = model.generate("the ", 100, seed=2, stop=stop)
    assert "".join(model.stream("the ", 100, seed=2, stop=stop)) == whole
    assert not stop or stop not in whole


def test_two_streams_at_once_do_not_disturb_each_other(model):
    first, second = model.stream("the ", 60, seed=1), model.stream("a ", 60, seed=2)
    begun = [next(first), next(second)]
    rest = "".join(first), model.generate(length=5), "".join(second)
    assert begun[0] + rest[0] == model.generate("the ", 60, seed=1)
    assert begun[1] + rest[2] == model.generate("a ", 60, seed=2)
    assert rest[1] == model.generate(length=5)


def forward(model, ids):
    """The logits (n, V) of the reference, the characters in one chunk."""
    placed = place(reference, model.architecture, Budget(None))
    placed.param[...] = model._placed.param
    a = activations(placed, n_sequences=1)
    rows = slice(0, len(ids))
    build(reference)[0](placed.p, a, placed.c, ids, 0, rows, rows, slice(0, 1))
    return a.logits[rows].copy()


@pytest.mark.parametrize("length", [1, 2, 15, 16, 17, 32, 33, 700])
def test_logits_and_losses_are_those_of_the_reference(model, length):
    text, T = TEXT[:length], model.architecture.seq_len
    ids = model.vocabulary.encode(text)
    expected = np.concatenate([forward(model, ids[begin : begin + T]) for begin in range(0, length, T)])
    logits = model.logits(text)
    assert logits.shape == (length, 15)
    assert logits.dtype == np.float32
    assert np.allclose(logits, expected, atol=1e-4)
    if length > 1:
        losses = model.losses(text)
        log_total = np.log(np.exp(expected).sum(axis=1))
        assert losses.shape == (length - 1,)
        assert np.allclose(
            losses, (log_total - expected[np.arange(length), np.roll(ids, -1)])[:-1], atol=1e-4
        )
        score = model.score(text)
        assert score.characters == length - 1
        assert math.fsum(losses) / len(losses) == pytest.approx(score.nats, rel=1e-6)


def test_the_likeliest_character_is_the_one_that_is_generated(model):
    prompt = "the cat sat"
    best = model.logits(prompt)[-1].argmax()
    assert model.generate(prompt, 1, temperature=0) == model.vocabulary.characters[best]


def test_a_text_that_begins_with_a_byte_order_mark_has_a_row_for_it(here):
    model = microgpt.train(text="x\ufeff\n" * 100, **TINY)
    assert model.logits("\ufeffx").shape == (2, 3)
    assert model.losses("\ufeffx").shape == (1,)


def test_what_a_model_cannot_do_is_one_sentence(model, here):
    (here / "bad.txt").write_bytes(b"the \xff")
    which = "1 of the 8 characters of the text: 'X' (U+0058), the first at line 2, column 1"
    unknown = f"the model does not know {which}"
    for function in (model.losses, model.logits):
        assert sentence(microgpt.MicrogptError, function, "the\nX at") == f"{unknown}; leave them out"
    assert sentence(microgpt.MicrogptError, model.score, "the\nX at") == (
        f"{unknown}; skip_unknown=True leaves them out"
    )
    assert model.score("the\nX at", skip_unknown=True) == model.score("the\n at")
    assert "not UTF-8" in sentence(microgpt.MicrogptError, model.score, here / "bad.txt")
    assert "there is no file nope.txt" in sentence(microgpt.MicrogptError, model.score, Path("nope.txt"))
    assert "at least 2 characters" in sentence(microgpt.MicrogptError, model.losses, "a")
    assert "empty" in sentence(microgpt.MicrogptError, model.logits, "")
    assert "'X' (U+0058)" in sentence(microgpt.MicrogptError, model.generate, "X")
    assert "'X' (U+0058)" in sentence(microgpt.MicrogptError, model.stream, "X")  # and not at the first piece
    for name, value in (("temperature", -1), ("top_k", -1), ("top_p", 0.0), ("seed", -1), ("length", -1)):
        said = sentence(microgpt.MicrogptError, model.stream, **{name: value})
        assert said.startswith(f"{name} must be ")
    assert "Is a directory" in sentence(microgpt.MicrogptError, model.save, here)
    assert "nowhere" in sentence(microgpt.MicrogptError, microgpt.load, "nowhere")
    assert "bad.txt" in sentence(microgpt.MicrogptError, microgpt.load, here / "bad.txt")
    model.save("cat.safetensors")
    assert "there is no backend 'cristal'" in sentence(
        microgpt.MicrogptError, microgpt.load, "cat.safetensors", backend="cristal"
    )


# --- texts and options


def test_what_is_a_text_and_what_a_path(here, monkeypatch):
    seen = []

    def record(given, *_, content, **__):
        seen.append((given["file"], content))
        raise microgpt.MicrogptError("enough")

    monkeypatch.setattr("microgpt.training.start.start", record)
    for given, expected in (
        (Path("text.txt"), ("text.txt", None)),
        ("text.txt", ("text.txt", None)),
        ("one\ntwo", ("<text>", b"one\ntwo")),
        ("one\r", ("<text>", b"one\r")),
    ):
        assert sentence(microgpt.MicrogptError, microgpt.train, given) == "enough"
        assert seen.pop() == expected
    sentence(microgpt.MicrogptError, microgpt.train, text="text.txt")
    assert seen.pop() == ("<text>", b"text.txt")
    for given, message in (
        ("Once upon a time", "there is no file Once upon a time; to train on a text itself: train(text=...)"),
        ("a" * 9999, "to train on a text itself: train(text=...)"),
        ("nul\0", "there is no file nul\\x00; "),
        ("", "there is no file ; "),
        (Path("nope\n"), "there is no file nope\\n; "),
        (b"one\ntwo", "a text is a str, and its file a str or a pathlib.Path, not b'one\\ntwo'"),
        (5, "not 5"),
        (None, "give one text"),
    ):
        assert message in sentence(microgpt.MicrogptError, microgpt.train, given)
    assert "give one text" in sentence(UsageError, microgpt.train, "text.txt", text=TEXT)
    assert "'\\ud800' at character 3" in sentence(microgpt.MicrogptError, microgpt.train, text="ab\ud800")
    assert not seen


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stepz": 3}, "train: unknown key 'stepz'; did you mean 'steps'?"),
        ({"n_layer": 3}, "train: unknown key 'n_layer'; here it is 'n_layers'"),
        ({"file": "x"}, "train: the text or its path comes first: train('my.txt'), without file="),
        ({"steps": 1.5}, "train: steps = 1.5 should be a whole number"),
        ({"steps": True}, "train: steps = True should be a whole number"),
        ({"token_shift": "yes"}, "train: token_shift = 'yes' should be true or false"),
        ({"steps": 0}, "steps must be at least 1, not 0"),
        ({"lr": math.nan}, "lr must be at least 0 and below 1e+06, not nan"),
        ({"heads": "prim"}, "did you mean 'prime'?"),
        ({"dtype": "f32"}, "dtype='f32' is none of float32, float64"),
        ({"eval_every": 5}, "eval_every needs a text to evaluate on: add val_fraction=0.1"),
        (
            {"extend_vocabulary": True},
            "extend_vocabulary is for a run with the weights of another one: add weights",
        ),
    ],
)
def test_wrong_options_are_one_sentence(options, message):
    assert message in sentence(UsageError, microgpt.train, TEXT, **options)


def test_other_errors_are_in_the_words_of_python_too(here):
    assert sentence(microgpt.MicrogptError, microgpt.train, text="hello") == (
        "the text has 5 characters, but seq_len=128 batch_size=8 needs at least 898; "
        "seq_len=4 batch_size=1 would work"
    )
    said = sentence(microgpt.MicrogptError, microgpt.train, TEXT, memory_cap="1MB")
    assert said.endswith("or raise memory_cap")
    assert "cublas" in sentence(microgpt.MicrogptError, microgpt.train, TEXT, backend="cublas", **TINY)
    assert "is empty" in sentence(microgpt.MicrogptError, microgpt.train, text="")
    options = {**TINY, "lr": 9e5, "clip": 0.0}
    assert "; a smaller" in sentence(NotFiniteError, microgpt.train, TEXT, **options)
    # what is to be pasted into a shell stays as it is
    said = sentence(NotFiniteError, microgpt.train, TEXT, out="run", **options)
    assert re.search(r"with them: microgpt train FILE --from run/model.safetensors .*--lr", said)
    assert [path.name for path in here.iterdir() if path.name != "run"] == ["text.txt"]


def test_numbers_may_be_those_of_numpy_and_paths_be_paths(here):
    plain = microgpt.train(TEXT, **TINY)
    model = microgpt.train(
        TEXT,
        **TINY
        | {"steps": np.int64(30), "seq_len": np.uint8(16), "lr": np.float64(1e-2), "out": here / "run"},
    )
    assert weights(model, here) == weights(plain, here)
    further = microgpt.train(TEXT, weights=here / "run", steps=5)
    assert further.architecture == model.architecture
    more = microgpt.train(TEXT + "new: x\n", weights="run", extend_vocabulary=True, steps=5)
    assert set(more.vocabulary.characters) == set(TEXT) | set("new: x\n")
    assert "extend_vocabulary adds them" in sentence(
        microgpt.MicrogptError, microgpt.train, TEXT + "new: x\n", weights="run", steps=5
    )


def test_the_options_are_those_of_the_command_line():
    hints = typing.get_type_hints(TrainConfig)
    del hints["file"]
    options = typing.get_type_hints(training.Options)
    assert list(options) == list(hints)
    for name, kind in hints.items():
        wanted = models.Pathname | None if name in ("out", "weights") else kind
        assert options[name] == wanted, name


def test_a_run_on_a_text_in_memory_goes_on_once_a_file_has_it(here):
    microgpt.train(TEXT, out="run", **TINY)
    result = CliRunner().invoke(app, ["train", "--resume", "run", "--steps", "40"])
    assert "save it as a UTF-8 file, and name that, microgpt train FILE --resume run\n" in result.stderr
    command("train", "text.txt", "--resume", "run", "--steps", "40")
    command("train", "text.txt", *on_the_command_line(TINY | {"steps": 40}), "--out", "whole")
    assert load_model(Path("run")).param.tolist() == load_model(Path("whole")).param.tolist()


# --- a run


def test_progress_hears_what_the_command_line_reports(here):
    lines = command("train", "text.txt", *on_the_command_line(RICH), "--json").splitlines()
    expected = [json.loads(line) for line in lines[:-1]]
    history = []
    microgpt.train(TEXT, progress=history.append, **RICH)
    times = {"elapsed_s": 0, "chars_per_s": 0}
    assert [{**report, **times} for report in history] == [{**report, **times} for report in expected]
    assert [report["step"] for report in history if report["val_loss"] is not None] == [10, 20, 30]


def test_samples_on_the_way_come_when_they_are_asked_for():
    history = []
    microgpt.train(TEXT, progress=history.append, sample_every=10, **TINY)
    samples = [report for report in history if "sample" in report]
    assert [sample["step"] for sample in samples] == [10, 20]
    assert all(len(sample["sample"]) == 300 for sample in samples)


def stop_after(step, how):
    def progress(metrics):
        if metrics["step"] == step:
            how()

    return progress


def raise_(error):
    raise error


@pytest.mark.parametrize(
    "how", [_thread.interrupt_main, lambda: raise_(StopIteration)], ids=["Ctrl-C", "StopIteration"]
)
def test_an_interruption_leaves_the_model_of_its_step(here, signals, caplog, how):
    model = microgpt.train(TEXT, progress=stop_after(7, how), **TINY)
    assert model.notes["step"] == 7
    assert weights(model, here) == weights(microgpt.train(TEXT, **TINY | {"steps": 7}), here)
    assert [record.getMessage() for record in caplog.records] == ["interrupted at step 7 of 30"]
    assert len(model.generate(length=10)) == 10


def test_an_interrupted_run_with_files_says_how_it_goes_on(here, signals, caplog):
    model = microgpt.train("text.txt", out="run", progress=stop_after(7, _thread.interrupt_main), **TINY)
    assert model.notes["step"] == 7
    assert caplog.records[-1].getMessage() == (
        "interrupted at step 7 of 30; to go on: microgpt train --resume run"
    )
    command("train", "--resume", "run")
    assert weights(microgpt.load("run"), here) == weights(microgpt.train(TEXT, **TINY), here)


def test_a_second_interruption_is_an_exception(signals):
    calls = []

    def progress(metrics):
        calls.append(metrics)
        while True:  # a callback that does not end
            _thread.interrupt_main()

    with pytest.raises(KeyboardInterrupt):
        microgpt.train(TEXT, progress=progress, **TINY)
    assert len(calls) == 1
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_error_in_progress_comes_out_as_it_is():
    with pytest.raises(ZeroDivisionError):
        microgpt.train(TEXT, progress=lambda metrics: 1 / 0, **TINY)
    assert microgpt.train(TEXT, **TINY).notes["step"] == 30


def test_training_works_in_a_thread(here, model):
    found = []

    def work(**options):
        found.append(microgpt.train(TEXT, **TINY, **options))

    threads = [threading.Thread(target=work) for _ in range(2)]
    threads.append(
        threading.Thread(target=work, kwargs={"progress": stop_after(7, lambda: raise_(StopIteration))})
    )
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    steps = sorted(each.notes["step"] for each in found)
    assert steps == [7, 30, 30]
    assert all(weights(each, here) == weights(model, here) for each in found if each.notes["step"] == 30)


def test_nothing_is_said_where_nothing_happens(capfd, caplog):
    microgpt.train(TEXT, **TINY).generate(length=3)
    assert capfd.readouterr() == ("", "")
    assert caplog.records == []


def test_the_user_hears_once_that_something_takes_a_while(caplog):
    log = Log()
    for n in range(3):
        log.working("compiling", f"function {n}")
        log.idle()
    log.note("50% done")
    assert [(record.name, record.levelno, record.getMessage()) for record in caplog.records] == [
        ("microgpt", logging.WARNING, "compiling ..."),
        ("microgpt", logging.WARNING, "50% done"),
    ]


# --- the package


def test_importing_the_package_imports_nothing_heavy():
    program = (
        "import sys, microgpt\n"
        "assert set(microgpt.__all__) <= set(dir(microgpt))\n"
        "microgpt.MicrogptError, microgpt.__version__\n"
        "heavy = {'numpy', 'numba', 'scipy', 'rich', 'typer', 'microgpt.api.model'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "microgpt.load\n"
        "assert 'numpy' in sys.modules\n"
        "heavy = {'numba', 'scipy', 'rich', 'typer', 'microgpt.training'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_package_has_what_it_says():
    assert microgpt.train is training.train
    assert microgpt.load is models.load
    assert microgpt.Model is models.Model
    assert microgpt.__version__
    with pytest.raises(AttributeError, match="has no attribute 'trian'"):
        microgpt.trian  # noqa: B018
    tree = ast.parse(Path(microgpt.__file__).read_text())
    typed = {
        name.asname for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for name in node.names
    }
    assert {"Model", "load", "train"} <= typed  # what a type checker sees
    assert (Path(microgpt.__file__).parent / "py.typed").exists()
    for function in (training.train, models.load, *vars(models.Model).values()):
        if inspect.isfunction(function) and not function.__name__.startswith("_"):
            assert function.__doc__


def test_the_examples_in_the_docstrings_are_right():
    for module, n_examples in ((models, 5), (training, 5)):
        results = doctest.testmod(module, optionflags=doctest.IGNORE_EXCEPTION_DETAIL)
        assert results.attempted >= n_examples
        assert results.failed == 0


def test_the_example_in_the_readme_prints_what_it_says(here, capsys):
    readme = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
    ((program, output),) = re.findall(r"```python\n(.*?)```\n\n```text\n(.*?)```", readme, re.DOTALL)
    exec(compile(program, "README.md", "exec"), {})
    printed = capsys.readouterr().out
    # another processor rounds otherwise, and then learns and writes something else
    for model, text, bits, losses in (printed.splitlines(), output.splitlines()):
        assert re.sub(r"loss=0\.\d+", "", model) == re.sub(r"loss=0\.\d+", "", output.splitlines()[0])
        assert len(text) == 35
        assert 1 < float(bits) < 5
        values = [float(loss) for loss in losses.strip("[]").split()]
        assert values.index(max(values)) == 3
        assert max(values) > 3
    assert {path.name for path in here.iterdir()} == {"text.txt", "cat.safetensors"}


def test_a_time_in_place_of_steps(here):
    options = {"backend": "reference", "d_model": 16, "n_layers": 1}
    model = microgpt.train(TEXT, minutes=0.005, **options)
    assert model.config.steps >= model.notes["step"] > 0
    assert model.notes["val_loss"] is not None
    assert (model.config.d_model, model.config.val_fraction) == (16, 0.1)
    assert set(model.generate(length=20)) <= set(TEXT)
    microgpt.train(TEXT, minutes=np.float64(0.001), **options)
    for minutes in ("1", True):
        with pytest.raises(UsageError, match=f"minutes = {minutes!r} should be a number"):
            microgpt.train(TEXT, minutes=minutes)
    with pytest.raises(UsageError, match=r"^minutes chooses the steps: give one of minutes and steps"):
        microgpt.train(TEXT, minutes=1, steps=3)
    with pytest.raises(UsageError, match=r"^minutes must be more than 0 and below 1,000,000, not 0"):
        microgpt.train(TEXT, minutes=0)


def test_the_novelty_of_a_text_is_that_of_the_command_line(here):
    options = {**TINY, "steps": 2, "backend": "reference", "val_fraction": 0.1, "ngrams": 6}
    in_memory, of_file = microgpt.train(TEXT, **options), microgpt.train("text.txt", out="run", **options)
    text = of_file.generate(length=80)
    figures = json.loads(command("generate", "run", "--length", 80, "--novelty", "--json"))
    assert figures["text"] == text
    for model in (of_file, microgpt.load("run")):
        found = model.novelty(text)
        assert found.lengths.tolist() == figures["novelty"]["lengths"]
        assert found.share() == figures["novelty"]["share"] > 0
    learned = TEXT[: len(TEXT) * 9 // 10]
    for other in (learned, learned + "€"):
        assert np.array_equal(in_memory.novelty(text, other).places, found.places)
    assert model.novelty(text, Path("text.txt")).longest.length >= found.longest.length
    expected = (
        "novelty needs the text that the run was trained on, but it was in memory; text=... says what to"
    )
    assert sentence(microgpt.MicrogptError, in_memory.novelty, text).startswith(expected)
    alone = microgpt.load(here / "run" / "model.safetensors")
    assert "does not say what it was trained on" in sentence(microgpt.MicrogptError, alone.novelty, text)
    assert "'X' (U+0058)" in sentence(microgpt.MicrogptError, of_file.novelty, "X")


def test_the_xray_of_a_model_is_that_of_the_command_line(here):
    options = {**TINY, "steps": 2, "backend": "reference", "val_fraction": 0.1}
    in_memory, of_file = microgpt.train(TEXT, **options), microgpt.train("text.txt", out="run", **options)
    told = json.loads(command("xray", "run", "--backend", "reference", "--characters", 99, "--json"))
    for found in (of_file.xray(characters=99), in_memory.xray(TEXT[-len(TEXT) // 10 :], characters=99)):
        assert found.text == told["text"]
        assert found.bits == pytest.approx(told["bits"], abs=1e-4)
        assert found.ablations.mean.bits == pytest.approx(
            [head["ablation"]["mean"]["bits"] for head in told["heads"]], rel=1e-4
        )
    assert found.bits == pytest.approx(in_memory.losses(found.text) / math.log(2), rel=1e-6)
    assert of_file.xray(Path("text.txt")).text == TEXT[:2000]
    assert of_file.xray("the X", skip_unknown=True).text == "the "
    assert "it was in memory; name the text" in sentence(microgpt.MicrogptError, in_memory.xray)
    for characters in (1, 2.5, "x"):
        assert sentence(microgpt.MicrogptError, of_file.xray, characters=characters) == (
            f"characters must be a whole number from 2 to 100,000, not {characters!r}"
        )
    alone = microgpt.load(here / "run" / "model.safetensors")
    assert "does not say which text it has not seen" in sentence(microgpt.MicrogptError, alone.xray)


def test_a_model_with_ngrams_is_whole_in_memory_and_in_a_file(here):
    options = {**TINY, "backend": "reference", "val_fraction": 0.2, "eval_every": 10}
    both = microgpt.train(TEXT, ngrams=4, **options)
    assert (both.ngrams.order, both.network.ngrams) == (4, None)
    assert both.ngram_weight not in (0.0, 0.5)
    assert both.network.ngram_weight is None
    assert "ngrams=4" in repr(both)
    assert "ngrams" not in repr(both.network)
    plain = microgpt.train(TEXT, **options, last=True)
    both.save("both.safetensors")
    loaded = microgpt.load("both.safetensors", backend="reference")
    assert loaded.ngram_weight == both.ngram_weight
    text = "the cat ate the dog.\n" * 3
    assert loaded.generate("the ", 40) == both.generate("the ", 40)
    assert np.array_equal(loaded.losses(text), both.losses(text))
    assert microgpt.train(TEXT, ngrams=4, **options, last=True).network.score(text) == plain.score(text)
    assert both.score(text).nats == pytest.approx(both.losses(text).mean(), rel=1e-6)
    p = np.exp(both.logits(text).astype(np.float64))
    assert p.sum(axis=1) == pytest.approx(np.ones(len(text)), abs=1e-6)
    picked = p[np.arange(len(text) - 1), both.vocabulary.encode(text[1:])]
    assert both.losses(text) == pytest.approx(-np.log(picked), abs=1e-5)
    # what precedes a text changes what n-grams expect of its beginning
    assert both.score(text, before="a dog ate ").nats != both.score(text).nats
    assert both.network.score(text, before="a dog ate") == both.network.score(text)
