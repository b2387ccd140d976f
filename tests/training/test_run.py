"""Whole runs: what a directory holds, and that interruptions leave no trace in it."""

import dataclasses
import functools
import json
import re
import signal
import tomllib
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from microgpt_kernels import load
from reporters import Silent, resume

from microgpt.checkpoint.saved import load_model, load_state
from microgpt.checkpoint.snapshots import snapshot_file, snapshots
from microgpt.config import TrainConfig
from microgpt.console import summary_lines
from microgpt.errors import MicrogptError, NotFiniteError
from microgpt.machine.backends import StoppedError
from microgpt.machine.budget import Budget
from microgpt.model.placed import place
from microgpt.text.ngrams import fit, highest_order
from microgpt.text.reading import read_text
from microgpt.text.walk import split
from microgpt.training import run
from microgpt.training.reporter import Mixture
from microgpt.training.train import train
from microgpt.training.trainer import Trainer, threads_for
from microgpt.use.evaluate import Evaluator
from microgpt.use.generate import Generator

pytestmark = pytest.mark.usefixtures("signals")
TEXT = "the cat sat on the mat; a dog ate the hat.\n" * 12
# NumPy's reference needs no compilation; 26 steps an epoch; 150 steps report each step, 250 every second
OPTIONS = {
    "backend": "reference", "seq_len": 10, "batch_size": 2, "d_model": 6, "heads": "1+2+3", "n_layers": 1,
    "order": "shuffled", "schedule": "cosine", "warmup": 9, "clip": 0.5, "weight_decay": 0.1, "lr": 0.01,
    "val_fraction": 0.1, "eval_every": 40, "sample_every": 65,
}  # fmt: skip
TIMES = ("chars_per_s", "elapsed_s")


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "text.txt"
    path.write_text(TEXT)
    return "text.txt"


def timeless(path):
    reports = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in report.items() if name not in TIMES} for report in reports]


@pytest.mark.parametrize("steps", [150, 250])
def test_interruptions_leave_no_trace(file, tmp_path, steps):
    whole = TrainConfig(file=file, steps=steps, out="whole", **OPTIONS)
    reporter = Silent()
    result = train(whole, reporter)
    assert (result.step, result.interrupted) == (steps, False)
    every = steps // 100
    assert [report["step"] for report in reporter.reports] == list(range(every, steps + 1, every))

    parts = TrainConfig(file=file, steps=steps, out="parts", **OPTIONS)
    for stop_at in (1, 26, 40, 41, 91, None):  # at evaluations and at the border of an epoch too
        go = train if stop_at == 1 else functools.partial(resume, directory=tmp_path / "parts")
        part = go(parts, Silent(stop_at))
        assert part.interrupted == (stop_at is not None)
        saved = load_state(tmp_path / "parts")
        assert saved.step == part.step >= (stop_at or steps)

    assert timeless(tmp_path / "parts") == timeless(tmp_path / "whole")
    expected = load_state(tmp_path / "whole")
    for name in ("m", "v"):
        assert np.array_equal(getattr(saved, name), getattr(expected, name))
    for name in ("model.safetensors", "best.safetensors"):
        one, other = (load_model(tmp_path / out / name) for out in ("parts", "whole"))
        assert np.array_equal(one.param, other.param)
        assert one.notes == other.notes
    samples = [(tmp_path / out / "samples.txt").read_text() for out in ("parts", "whole")]
    assert samples[0] == samples[1]
    assert part.sample == result.sample
    assert (part.loss, part.val_loss) == (result.loss, result.val_loss)


def test_snapshots_are_the_weights_of_their_steps_whatever_interrupts_the_run(file, tmp_path):
    options = {**OPTIONS, "steps": 100, "snapshots": 11, "ngrams": 3}
    reporter = Silent()
    result = train(TrainConfig(file=file, out="whole", **options), reporter)
    assert (reporter.summary.snapshots, result.lost) == (11, None)
    kept = {step: load_model(path) for step, path in snapshots(tmp_path / "whole").items()}
    assert list(kept) == [0, 1, 4, 9, 16, 25, 36, 49, 64, 81, 100]
    assert [model.notes["step"] for model in kept.values()] == list(kept)
    assert {model.ngrams for model in kept.values()} == {None}  # these belong to the text, and are not small
    assert np.array_equal(kept[100].param, load_model(tmp_path / "whole", last=True).param)
    train(TrainConfig(file=file, out="short", **{**OPTIONS, "steps": 100}), Silent(16))
    assert np.array_equal(kept[16].param, load_model(tmp_path / "short", last=True).param)

    parts = TrainConfig(file=file, out="parts", **options)
    train(parts, Silent(25))
    leftover = snapshot_file(tmp_path / "parts", 30)  # as of a crash later than the checkpoint
    leftover.write_bytes(b"")
    for stop_at in (26, 30, None):
        resume(parts, Silent(stop_at), tmp_path / "parts")
    assert not leftover.exists()
    for step, path in snapshots(tmp_path / "whole").items():
        assert snapshot_file(tmp_path / "parts", step).read_bytes() == path.read_bytes()


def test_a_snapshot_that_cannot_be_written_is_told_once_and_ends_no_run(file, tmp_path):
    class InTheWay(Silent):
        def advanced(self, metrics):
            for step in (4, 9):
                snapshot_file(tmp_path / "run", step).mkdir(exist_ok=True)

    reporter = InTheWay()
    result = train(TrainConfig(file=file, out="run", steps=9, snapshots=4, **OPTIONS), reporter)
    (note,) = [note for note in reporter.notes if "snapshot" in note]
    assert re.fullmatch(
        "cannot write run/snapshots/000004.safetensors: .*; the run goes on without this snapshot", note
    )
    assert note.startswith(result.lost)
    assert load_state(tmp_path / "run").step == 9
    assert load_model(snapshot_file(tmp_path / "run", 1)).notes["step"] == 1


def test_a_directory_that_is_moved_takes_nothing_with_it(file, tmp_path):
    """Nor is another run overwritten that has taken the name meanwhile."""

    class Mover(Silent):
        def advanced(self, metrics):
            if metrics["step"] >= 50 and not (tmp_path / "moved").exists():
                (tmp_path / "run").rename(tmp_path / "moved")
                (tmp_path / "run").mkdir()
                (tmp_path / "run" / "diary.txt").write_text("mine")

    reporter = Mover()
    result = train(TrainConfig(file=file, steps=150, out="run", **OPTIONS), reporter)
    assert result.out == "run-2"
    assert "run was moved or removed: the run goes on in run-2" in reporter.notes
    assert load_state(tmp_path / "run-2").step == 150
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["diary.txt"]
    assert train(TrainConfig(file=file, steps=1, **OPTIONS | {"eval_every": None}), Silent()).step == 1


def test_reports_after_the_checkpoint_are_forgotten(file, tmp_path):
    config = TrainConfig(file=file, steps=150, out="crash", **OPTIONS)
    train(config, Silent(50))
    metrics = tmp_path / "crash" / "metrics.jsonl"
    kept = timeless(tmp_path / "crash")
    # what a crash leaves: reports from after the checkpoint, the last one cut off
    with metrics.open("a") as log:
        log.write(json.dumps({**kept[-1], "step": 99}) + '\n{"step": 1')
    resume(config, Silent(), tmp_path / "crash")
    reports = timeless(tmp_path / "crash")
    assert [report["step"] for report in reports] == list(range(1, 151))
    assert reports[: len(kept)] == kept


def test_what_a_run_leaves(file, tmp_path):
    reporter = Silent()
    result = train(TrainConfig(file=file, steps=80, **OPTIONS), reporter)
    out = tmp_path / "runs" / "text"
    assert result.out == "runs/text"
    assert {path.name for path in out.iterdir()} == {
        "config.toml", "metrics.jsonl", "model.safetensors", "optimizer.safetensors", "best.safetensors",
        "samples.txt", "starts.jsonl", ".lock",
    }  # fmt: skip
    config = tomllib.loads((out / "config.toml").read_text())
    assert config["heads"] == "1+2+3"
    assert not config.keys() & {"stride", "d_ff", "min_lr", "out"}  # they were left open
    reports = timeless(out)
    assert [{k: v for k, v in r.items() if k not in TIMES} for r in reporter.reports] == reports
    assert {*reports[0], *TIMES} == {
        "step", "epoch", "chars", "loss", "smoothed_loss", "val_loss", "lr", "grad_norm", *TIMES
    }  # fmt: skip
    assert all(before["step"] < after["step"] for before, after in pairwise(reports))
    # what was measured is told once, where it was measured
    assert [report["step"] for report in reports if report["val_loss"] is not None] == [40, 80]
    assert (out / "samples.txt").read_text() == "".join(f"--- step {s}\n{t}\n" for s, t in reporter.samples)
    assert [step for step, _ in reporter.samples] == [65, 80]
    assert load_model(out, last=True).notes["step"] == load_state(out).step == 80
    best = load_model(out).notes
    assert (
        best["val_loss"]
        == min(r["val_loss"] or 99 for r in reports)
        == load_state(out).progress.best_val_loss
    )
    assert best["step"] == load_state(out).progress.best_step
    assert best["text_characters"] == len(TEXT)
    s = reporter.summary
    assert (s.characters, s.vocabulary, s.validation_characters) == (len(TEXT), len(set(TEXT)), 52)
    assert s.uniform_entropy > s.unigram_entropy > s.bigram_entropy > 0
    assert s.known_entropy is None
    # a second run does not touch the first
    before = {path: path.read_bytes() for path in out.iterdir()}
    options = {**OPTIONS, "eval_every": None, "val_fraction": 0.0}
    assert train(TrainConfig(file=file, steps=1, **options), Silent()).out == "runs/text-2"
    assert train(TrainConfig(file=file, steps=1, **options), Silent()).out == "runs/text-3"
    assert {path: path.read_bytes() for path in out.iterdir()} == before


def test_a_run_that_is_done_and_one_that_never_began(file, tmp_path):
    config = TrainConfig(file=file, steps=20, out="done", **{**OPTIONS, "schedule": "constant"})
    train(config, Silent())
    with pytest.raises(MicrogptError, match="all 20 steps of this run are done; to go on, add --steps"):
        resume(config, Silent(), tmp_path / "done")
    with pytest.raises(MicrogptError, match="--out done is not empty; use --resume done, or name another"):
        train(config, Silent())
    with pytest.raises(MicrogptError, match=r"--out text.txt is a file; name a directory"):
        train(TrainConfig(file=file, out=file, **OPTIONS), Silent())
    assert (tmp_path / file).read_text() == TEXT
    longer = TrainConfig(file=file, steps=30, out="done", **{**OPTIONS, "schedule": "constant"})
    assert resume(longer, Silent(), tmp_path / "done").step == 30


def test_a_loss_that_is_not_finite_leaves_the_last_finite_weights(file, tmp_path, monkeypatch):
    def poison(self, n, advance=Trainer.advance):
        losses = advance(self, n)
        if self.step >= 5:
            self.state.g.up_w[0] = np.nan  # as if the next step had found it
            monkeypatch.setattr(self, "_steps", not_finite)
        return losses

    def not_finite(n, state):
        state.adam.log[state.adam.clock[0]] = np.nan
        state.adam.clock[1] = 1

    monkeypatch.setattr(Trainer, "advance", poison)
    with pytest.raises(NotFiniteError) as caught:
        train(TrainConfig(file=file, steps=150, out="nan", **OPTIONS), Silent())
    step = load_model(tmp_path / "nan").notes["step"]
    assert step >= 5
    assert f"the loss is not finite at step {step + 1}: the gradient 'up_w' is the first" in str(caught.value)
    assert str(caught.value).endswith(
        "; the weights from before it are in nan; a smaller rate may help, in a new run with them: "
        "microgpt train text.txt --from nan/model.safetensors --seq-len 10 --steps 150 --backend reference "
        "--batch-size 2 --lr 0.003 --schedule cosine --warmup 9 --clip 0.5 --weight-decay 0.1 "
        "--val-fraction 0.1 --eval-every 40 --sample-every 65"
    )


def test_weights_that_are_not_finite_replace_no_checkpoint(file, tmp_path, monkeypatch):
    config = TrainConfig(file=file, steps=150, out="nan", **OPTIONS)
    train(config, Silent(20))
    before = (tmp_path / "nan" / "model.safetensors").read_bytes()

    def poison(self, n, advance=Trainer.advance):
        self.placed.param[7] = np.inf
        return advance(self, n)

    monkeypatch.setattr(Trainer, "advance", poison)
    with pytest.raises(NotFiniteError, match=r"the parameter 'tok' is the first .* are not saved") as caught:
        resume(config, Silent(), tmp_path / "nan")
    assert caught.value.exit_code == 3
    assert (tmp_path / "nan" / "model.safetensors").read_bytes() == before


def test_threads_are_decided_once(monkeypatch):
    monkeypatch.setenv("NUMBA_NUM_THREADS", "3")

    def chosen(**options):
        config = TrainConfig(file="x", **options)
        return threads_for(load("reference"), config.architecture(65), config)

    assert [chosen(batch_size=B) for B in (1, 2, 3, 100)] == [1, 2, 3, 3]
    assert chosen(batch_size=4, threads=2) == 2
    # a step that is over before a second thread has begun; who asks for threads gets them
    small = {"batch_size": 4, "d_model": 16, "n_layers": 1, "seq_len": 16}
    assert [chosen(**small), chosen(**small, threads=3)] == [1, 3]
    with pytest.raises(MicrogptError, match="--threads 4: this machine has 3 cores to give"):
        chosen(batch_size=4, threads=4)


# --- interpolation with n-grams


@pytest.fixture
def noisy(file):
    """A text in which neither the network nor the n-grams are right alone."""
    random = np.random.default_rng(0)
    text = np.array(list(TEXT))
    places = random.random(len(text)) < 0.2
    text[places] = random.choice(text, places.sum())
    Path(file).write_text("".join(text))
    return file


def test_with_ngrams_the_steps_are_the_same_and_the_validation_is_that_of_both(noisy, tmp_path):
    reporters, states = [], []
    for order in (0, 4):
        reporters.append(Silent())
        config = TrainConfig(file=noisy, steps=80, out=f"run {order}", ngrams=order, **OPTIONS)
        result = train(config, reporters[-1])
        states.append(load_state(tmp_path / f"run {order}"))
    for name in ("param", "m", "v"):
        assert np.array_equal(getattr(states[0], name), getattr(states[1], name))
    for plain, mixed in zip(reporters[0].reports, reporters[1].reports, strict=True):
        assert plain["loss"] == mixed["loss"]
        assert (plain["val_loss"] is None) == (mixed["val_loss"] is None)
        assert plain["val_loss"] is None or plain["val_loss"] > mixed["val_loss"]
    # the loss is that of the file, over all held-out characters, with what precedes them
    train_ids, val_ids = split(read_text(Path(noisy)).ids, 0.1)
    saved = load_model(tmp_path / "run 4", last=True)
    own = place(load("reference"), saved.architecture, Budget(None))
    saved.read_into(own.k, {"": own.param})
    both = dataclasses.replace(own, ngrams=saved.ngrams, ngram_weight=saved.ngram_weight)
    assert Evaluator(both, val_ids, train_ids).score().nats == result.val_loss
    assert Evaluator(both, val_ids).score().nats != result.val_loss
    # the weight is the best one for it, and is told with what each part reaches alone
    fitted = Evaluator(both, val_ids, train_ids).fit(None, lambda: False)
    assert (fitted.weight, fitted.nats) == (saved.ngram_weight, result.val_loss)
    assert fitted.weight not in (0.0, 0.5, 1.0)
    assert fitted.network.nats == reporters[0].reports[-1]["val_loss"]
    assert result.mixture == Mixture(4, fitted.weight, fitted.network.nats, fitted.ngrams.nats)
    last = reporters[1].reports[-1]
    assert (last["network_val_loss"], last["ngram_weight"]) == (fitted.network.nats, fitted.weight)
    assert "ngram_weight" not in reporters[0].reports[-1]
    best = load_model(tmp_path / "run 4")
    (report,) = [report for report in reporters[1].reports if report["step"] == best.notes["step"]]
    assert best.ngram_weight == report["ngram_weight"]
    counted = fit(train_ids, len(saved.vocabulary), 4)
    assert all(np.array_equal(*pair) for pair in zip(saved.ngrams, counted, strict=True))
    assert load_model(tmp_path / "run 4").notes["val_loss"] == result.best_val_loss
    summary = reporters[1].summary
    assert (summary.ngrams, summary.ngrams_wanted, summary.n_ngrams) == (4, 4, counted.n_grams)
    (line,) = [line for line in summary_lines(summary) if "4-grams" in line]
    assert line.startswith("p = (1 - w) network + w 4-grams; ")
    assert not any(
        "gram" in line.replace("unigram", "").replace("bigram", "")
        for line in summary_lines(reporters[0].summary)
    )
    assert reporters[0].samples != reporters[1].samples


def test_a_run_with_ngrams_goes_on_as_if_it_had_not_stopped(noisy, tmp_path):
    whole = TrainConfig(file=noisy, steps=100, out="whole", ngrams=3, **OPTIONS)
    train(whole, Silent())
    parts = TrainConfig(file=noisy, steps=100, out="parts", ngrams=3, **OPTIONS)
    for stop_at in (1, 39, 41, 67, 80):  # before and after evaluations and samples
        (train if stop_at == 1 else functools.partial(resume, directory=tmp_path / "parts"))(
            parts, Silent(stop_at)
        )
        assert (load_state(tmp_path / "parts").ngram_weight == 0.5) == (stop_at < 40)
    resume(parts, Silent(), tmp_path / "parts")
    assert timeless(tmp_path / "parts") == timeless(tmp_path / "whole")
    for name in ("model.safetensors", "optimizer.safetensors", "best.safetensors", "samples.txt"):
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    with pytest.raises(MicrogptError, match="--ngrams was 3 and is now 0"):
        resume(dataclasses.replace(parts, ngrams=0), Silent(), tmp_path / "parts")


def test_an_evaluation_that_is_stopped_leaves_the_weight_as_it_was(noisy, tmp_path, monkeypatch):
    """Ctrl-C in the second evaluation, and in the sample that comes with it."""
    monkeypatch.setattr("microgpt.use.evaluate.MAX_SEQUENCES", 1)  # several batches, and so slices
    options = {**OPTIONS, "sample_every": 80}
    config = TrainConfig(file=noisy, steps=100, out="whole", ngrams=3, **options)
    train(config, Silent())
    fit, compiled = Evaluator.fit, run.compiled

    def stopped_fit(*arguments):
        signal.raise_signal(signal.SIGINT)
        return fit(*arguments)

    def stopped_sample(reporter, compile, *stop):
        if isinstance(compile.__self__, Generator):
            signal.raise_signal(signal.SIGINT)
            raise StoppedError
        compiled(reporter, compile, *stop)

    for out, patched in (
        ("evaluation", (Evaluator, "fit", stopped_fit)),
        ("sample", (run, "compiled", stopped_sample)),
    ):
        config = dataclasses.replace(config, out=out)
        train(config, Silent(79))
        before = load_state(tmp_path / out)
        assert before.step == 79
        with monkeypatch.context() as patch:
            patch.setattr(*patched)
            assert resume(config, Silent(), tmp_path / out).interrupted
        after = load_state(tmp_path / out)
        assert after.step == 80
        assert after.progress.evaluation_due
        assert (after.ngram_weight, after.progress.val_loss) == (
            before.ngram_weight,
            before.progress.val_loss,
        )
        assert load_model(tmp_path / out, last=True).ngram_weight == before.ngram_weight != 0.5
        resume(config, Silent(), tmp_path / out)
        for name in ("model.safetensors", "optimizer.safetensors", "best.safetensors", "samples.txt"):
            assert (tmp_path / out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


@pytest.mark.parametrize("val_fraction", [0.0, 0.4])
@pytest.mark.parametrize(
    "text", ["aba", "aaaaaaaaaa", "".join(map(chr, range(0x4E00, 0x4E00 + 20_000)))], ids=len
)
def test_ngrams_of_odd_texts(tmp_path, monkeypatch, text, val_fraction):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "odd.txt").write_text(text, encoding="utf-8")
    few = {"seq_len": 1, "batch_size": 1, "d_model": 2, "n_layers": 1, "heads": "2", "backend": "reference"}
    if val_fraction and len(text) == 3:
        text = "abab"
        (tmp_path / "odd.txt").write_text(text)
    config = TrainConfig(file="odd.txt", steps=2, ngrams=16, val_fraction=val_fraction, **few)
    reporter = Silent()
    result = train(config, reporter)
    V = len(set(text))
    order = highest_order(V, 16)
    assert order == (4 if V > 1000 else 16)
    assert load_model(tmp_path / "runs" / "odd").ngrams.order == order
    assert (result.val_loss is not None) == (val_fraction > 0)
    assert result.val_loss is None or np.isfinite(result.val_loss)
    begin = "p = (1 - w) network + w " if val_fraction else "p = 0.5 network + 0.5 "
    (line,) = [line for line in summary_lines(reporter.summary) if line.startswith(begin)]
    assert ("; nothing is held out to fit the weight;" in line) == (val_fraction == 0)
    assert val_fraction or load_model(tmp_path / "runs" / "odd").ngram_weight == 0.5
    assert (result.mixture is not None) == (val_fraction > 0)
    assert ("the highest order that can be counted of 20,000 distinct characters" in line) == (V > 1000)


def test_ngrams_are_counted_in_the_budget(file):
    options = {**OPTIONS, "ngrams": 12}
    random = np.random.default_rng(0).integers(97, 123, 5000).astype(np.uint8)
    Path(file).write_bytes(random.tobytes())
    reporters = [Silent(), Silent()]
    train(TrainConfig(file=file, steps=1, **options), reporters[0])
    train(TrainConfig(file=file, steps=1, **{**options, "ngrams": 0}), reporters[1])
    more = reporters[0].summary.memory - reporters[1].summary.memory
    ngrams = load_model(Path("runs/text")).ngrams
    assert more > ngrams.n_bytes
    cap = reporters[1].summary.memory
    with pytest.raises(MicrogptError, match=r"out of memory budget: .*use n-grams of a lower order"):
        train(TrainConfig(file=file, steps=1, memory_cap=str(cap), **options), Silent())
