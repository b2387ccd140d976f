"""A run without files: as from Python, in a notebook or in a thread."""

import signal
import threading
from pathlib import Path

import numpy as np
import pytest
from reporters import Silent

from microgpt.checkpoint.saved import load_model
from microgpt.config import TrainConfig
from microgpt.errors import MicrogptError, NotFiniteError, UsageError
from microgpt.text.opening import IN_MEMORY
from microgpt.text.reading import read_text
from microgpt.training.output import MemoryOutput
from microgpt.training.train import train

TEXT = "the cat sat on the mat; a dog ate the hat.\n" * 12
OPTIONS = {
    "backend": "reference", "seq_len": 10, "batch_size": 2, "d_model": 6, "heads": "1+2+3", "n_layers": 1,
    "lr": 0.01, "steps": 60, "val_fraction": 0.1, "eval_every": 13,
}  # fmt: skip


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text(TEXT)
    return tmp_path


def in_memory(reporter, output=None, **options):
    output = output or MemoryOutput()
    config = TrainConfig(file=str(IN_MEMORY), **{**OPTIONS, **options})
    return output, train(config, reporter, content=TEXT.encode(), output=output)


def test_a_run_in_memory_is_the_run_with_files(here):
    train(TrainConfig(file="text.txt", out="run", **OPTIONS), Silent())
    before = {path: path.read_bytes() for path in here.rglob("*") if path.is_file()}
    output, result = in_memory(Silent())
    assert {path: path.read_bytes() for path in here.rglob("*") if path.is_file()} == before
    assert np.array_equal(output.last.param, load_model(here / "run", last=True).param)
    assert np.array_equal(output.best.param, load_model(here / "run").param)
    assert output.last.model.vocabulary == read_text(Path("text.txt")).vocabulary
    assert output.best.model.notes["step"] == result.best_step
    assert (result.out, result.step, result.lost, result.interrupted) == (None, 60, None, False)


@pytest.mark.usefixtures("signals")
def test_ctrl_c_ends_a_run_in_memory_after_its_step():
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    during = []

    class Watching(Silent):
        def advanced(self, metrics):
            during.append(signal.getsignal(signal.SIGTERM))
            super().advanced(metrics)

    output, result = in_memory(Watching(stop_at=20))
    assert result.interrupted
    assert 20 <= result.step < 60
    assert output.last.model.notes["step"] == result.step
    # whoever ends this program from outside still ends it, and all is as it was
    assert set(during) == {before[signal.SIGTERM]}
    assert {number: signal.getsignal(number) for number in before} == before


@pytest.mark.usefixtures("signals")
def test_a_second_ctrl_c_is_what_it_is_without_a_run(monkeypatch):
    monkeypatch.setattr("microgpt.terminal.interruption.TOGETHER_SECONDS", -1.0)

    class Impatient(Silent):
        def advanced(self, metrics):
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        in_memory(Impatient())
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_run_in_another_thread_leaves_signals_alone():
    handlers, results = [], []

    class Watching(Silent):
        def advanced(self, metrics):
            handlers.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=lambda: results.append(in_memory(Watching())))
    before = signal.getsignal(signal.SIGINT)
    thread.start()
    thread.join()
    ((output, result),) = results
    assert (result.step, output.last.model.notes["step"]) == (60, 60)
    assert set(handlers) == {before}


def test_a_loss_that_is_not_finite_keeps_the_weights_from_before_it():
    output = MemoryOutput()
    with pytest.raises(NotFiniteError) as caught:
        in_memory(Silent(), output, lr=9e5, clip=0.0)
    assert f"is not finite at step {output.last.model.notes['step'] + 1}: " in str(caught.value)
    assert str(caught.value).endswith("; a smaller learning rate may help")
    assert np.isfinite(output.last.param).all()


def test_a_text_in_memory_counts_against_the_cap():
    with pytest.raises(MicrogptError, match="for the text do not fit"):
        in_memory(Silent(), memory_cap="100B")


def test_snapshots_need_a_directory():
    with pytest.raises(UsageError, match="--snapshots are files: name a directory for the run with --out"):
        in_memory(Silent(), snapshots=5)
