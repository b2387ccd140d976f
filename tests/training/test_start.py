"""Runs that are begun for a time: what is chosen stands in config.toml, and no clock is needed to repeat it.

`test_cli.py` begins, resumes and continues runs in every other way.
"""

import tomllib
from pathlib import Path

import numpy as np
import pytest
from reporters import Silent

from microgpt.checkpoint.saved import load_model, load_state
from microgpt.config import TrainConfig, read_toml
from microgpt.errors import MicrogptError, UsageError
from microgpt.training.output import MemoryOutput
from microgpt.training.speed import MEASURING
from microgpt.training.start import start

pytestmark = pytest.mark.usefixtures("signals")
TEXT = "the cat sat on the mat; a dog ate the hat.\n" * 50
MINUTES = 0.01  # with NumPy's reference, some hundred steps
GIVEN = {"file": "text.txt", "backend": "reference", "d_model": 16, "n_layers": 1}


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text(TEXT)
    return tmp_path


def same_weights(one, other):
    states = [load_state(Path(run)) for run in (one, other)]
    return all(np.array_equal(*(getattr(state, name) for state in states)) for name in ("param", "m", "v"))


def test_a_run_for_a_time_says_what_it_chose_in_four_lines_and_writes_it_down(here):
    reporter = Silent()
    result = start(GIVEN, reporter, minutes=MINUTES)
    lines = [note for note in reporter.notes if "measuring" not in note]
    assert len(lines) == 4
    assert lines[0].startswith("chosen for 0.01 minutes at ")
    written = tomllib.loads((here / "runs" / "text" / "config.toml").read_text())
    assert "minutes" not in written
    assert written["steps"] == result.steps == result.step > 1
    assert f"{result.steps:,} steps of {written['batch_size']} x {written['seq_len']} characters" in lines[1]
    assert lines[2].startswith("6-grams of the text, counted in ")
    assert (written["ngrams"], written["val_fraction"]) == (6, 0.1)
    assert load_model(Path("runs/text")).ngrams.order == 6
    assert result.mixture.order == 6
    assert result.val_loss is not None
    assert result.best_val_loss <= result.val_loss
    assert (here / "runs" / "text" / "best.safetensors").exists()
    assert len(result.sample) == 300


def test_its_config_repeats_it_and_interruptions_leave_no_trace(here):
    start({**GIVEN, "out": "whole"}, Silent(), minutes=MINUTES)
    options = read_toml(here / "whole" / "config.toml")
    start({**options, "out": "again"}, Silent())
    assert same_weights("again", "whole")

    steps = options["steps"]
    interrupted = start({**options, "out": "parts"}, Silent(stop_at=steps // 3))
    assert interrupted.interrupted
    assert start({}, Silent(), resume=here / "parts").step == steps
    assert same_weights("parts", "whole")
    assert load_model(here / "parts").param.tolist() == load_model(here / "whole").param.tolist()


def test_a_run_for_a_time_resumes_after_an_interruption(here):
    interrupted = start({**GIVEN, "out": "run"}, Silent(stop_at=1), minutes=MINUTES)
    assert (interrupted.interrupted, interrupted.step < interrupted.steps) == (True, True)
    start({}, Silent(), resume=here / "run")
    start({**read_toml(here / "run" / "config.toml"), "out": "whole"}, Silent())
    assert same_weights("run", "whole")


@pytest.mark.parametrize(
    "given",
    [
        {"heads": "2x8", "threads": 1, "seed": 5}, {"val_fraction": 0.0}, {"lr": 0.5, "min_lr": 0.1},
        {"seq_len": 8, "batch_size": 2, "stride": 4}, {"weight_decay": 0.0, "eval_every": 3},
    ],
    ids=str,
)  # fmt: skip
def test_what_is_given_is_kept(here, given):
    start({**GIVEN, **given}, Silent(), minutes=MINUTES)
    config = load_state(here / "runs" / "text").config
    assert {name: getattr(config, name) for name in {**GIVEN, **given}} == {**GIVEN, **given}


def test_a_recipe_is_kept(here):
    start({**GIVEN, "seq_len": 8}, Silent(), minutes=MINUTES, recipe="plain")
    config = load_state(here / "runs" / "text").config
    assert (config.order, config.schedule, config.batch_size) == ("sequential", "constant", 1)


def test_heads_choose_the_width_that_they_fit(here):
    options = {"file": "text.txt", "backend": "reference", "heads": "10+6", "n_layers": 1}
    start(options, Silent(), minutes=MINUTES)
    assert load_state(here / "runs" / "text").config.d_model == 16


def test_with_the_weights_of_another_run_the_sizes_are_theirs(here):
    start({**GIVEN, "steps": 3, "heads": "3+13", "d_ff": 20, "seq_len": 12, "out": "first"}, Silent())
    options = {"file": "text.txt", "backend": "reference", "weights": "first"}
    reporter = Silent()
    result = start(options, reporter, minutes=MINUTES)
    config = load_state(here / "runs" / "text").config
    sizes = (config.d_model, config.n_layers, config.d_ff, config.heads, config.seq_len)
    assert sizes == (16, 1, 20, "3+13", 12)
    assert config.steps == result.steps > 3
    assert reporter.summary.weights == "first"
    # its characters are those of the weights, unless they may become more
    (here / "text.txt").write_text(TEXT + "!")
    with pytest.raises(MicrogptError, match="the model does not know 1 of the "):
        start(options, Silent(), minutes=MINUTES)
    start(options, Silent(), minutes=MINUTES, extend_vocabulary=True)


def test_weights_of_another_architecture_are_refused_before_anything_is_measured(here):
    start({**GIVEN, "steps": 3, "seq_len": 12, "out": "first"}, Silent())
    options = {"file": "text.txt", "backend": "reference", "weights": "first", "token_shift": False}
    reporter = Silent()
    with pytest.raises(MicrogptError, match=r"with: --token-shift was on and is now off$"):
        start(options, reporter, minutes=MINUTES)
    assert MEASURING not in reporter.notes


def test_a_text_in_memory_is_read_once(here):
    output = MemoryOutput()
    start({**GIVEN, "file": "<text>"}, Silent(), minutes=MINUTES, content=TEXT.encode(), output=output)
    assert output.best.model.architecture.d_model == 16
    assert not (here / "runs").exists()


@pytest.mark.parametrize("minutes", [0, -1, float("nan"), float("inf"), 1e9])
def test_times_that_make_no_sense_are_one_sentence(here, minutes):
    with pytest.raises(UsageError, match="--minutes must be more than 0 and below 1,000,000, not "):
        start(GIVEN, Silent(), minutes=minutes)


def test_what_does_not_go_with_a_time_is_one_sentence(here):
    with pytest.raises(UsageError, match="give one of --minutes and --steps"):
        start({**GIVEN, "steps": 5}, Silent(), minutes=1)
    with pytest.raises(
        UsageError, match="leave --minutes away, or begin a new run with its weights: microgpt"
    ):
        start({}, Silent(), minutes=1, resume=here / "runs")
    with pytest.raises(UsageError, match="no size that --minutes may choose goes with these options"):
        start({"file": "text.txt", "heads": "7+6"}, Silent(), minutes=1)
    with pytest.raises(UsageError, match="which text"):
        start({}, Silent(), minutes=1)
    with pytest.raises(UsageError, match="--lr must be at least 0"):
        start({"file": "nowhere.txt", "lr": -1.0}, Silent(), minutes=1)
    with pytest.raises(MicrogptError, match="there is no file nowhere"):
        start({**GIVEN, "file": "nowhere.txt"}, Silent(), minutes=1)


def test_a_directory_that_is_taken_is_noticed_before_anything_is_measured(here):
    (here / "mine").mkdir()
    (here / "mine" / "diary.txt").write_text("today")
    reporter = Silent()
    with pytest.raises(MicrogptError, match="--out mine is not empty"):
        start({**GIVEN, "out": "mine"}, reporter, minutes=1)
    assert reporter.notes == []


@pytest.mark.parametrize("text", ["abc", "ab", "a" * 5000, "abc\n" * 30])
def test_odd_texts_get_a_model(here, text):
    (here / "text.txt").write_text(text)
    result = start({"file": "text.txt", "backend": "reference"}, Silent(), minutes=0.002)
    assert result.step == result.steps
    assert set(result.sample) <= set(text)


@pytest.mark.parametrize(("text", "reason"), [("", "is empty"), ("a", "has 1 character, but")])
def test_texts_that_teach_nothing_are_one_sentence(here, text, reason):
    (here / "text.txt").write_text(text)
    with pytest.raises(MicrogptError, match=reason):
        start(GIVEN, Silent(), minutes=MINUTES)
    assert not (here / "runs").exists()


def test_a_text_of_fifty_thousand_characters_all_different(here):
    (here / "text.txt").write_text("".join(map(chr, range(0x20000, 0x20000 + 50_000))))
    options = {"file": "text.txt", "backend": "reference", "batch_size": 1, "seq_len": 4, "val_fraction": 0.0}
    result = start(options, Silent(), minutes=1e-6)
    assert result.step == result.steps == 1


@pytest.mark.parametrize(("cap", "order"), [("1MB", None), ("3MB", None), ("12MB", 6)])
def test_a_choice_with_n_grams_keeps_to_the_memory_cap(here, cap, order):
    """Of random letters, nearly all n-grams are different."""
    letters = np.random.default_rng(0).integers(97, 123, 20_000).astype(np.uint8)
    (here / "text.txt").write_bytes(letters.tobytes())
    reporter = Silent()
    options = {"file": "text.txt", "backend": "reference", "memory_cap": cap}
    start(options, reporter, minutes=MINUTES)  # raises where something does not fit
    config = load_state(Path("runs/text")).config
    assert 1 <= config.ngrams < 6 if order is None else config.ngrams == order
    assert reporter.summary.memory <= config.memory_cap_bytes


def test_no_n_grams_are_counted_where_the_user_wants_none(here):
    reporter = Silent()
    start({**GIVEN, "ngrams": 0, "out": "none"}, reporter, minutes=MINUTES)
    assert len([note for note in reporter.notes if "measuring" not in note]) == 3
    assert (load_state(Path("none")).config.ngrams, load_model(Path("none")).ngrams) == (0, None)
    # nor by a run without a time
    start({**GIVEN, "steps": 2, "out": "plain"}, Silent())
    assert load_model(Path("plain")).ngrams is None


def test_the_configuration_knows_no_minutes():
    assert "minutes" not in TrainConfig.__dataclass_fields__
