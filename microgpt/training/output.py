"""The results of a run: files in its directory, or only its weights, in memory."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from microgpt.arrays import Array
from microgpt.checkpoint.saved import BEST_FILE, SavedModel, SavedState
from microgpt.checkpoint.snapshots import remove_later, snapshot_file
from microgpt.checkpoint.writing import check_buffers, save_model, save_state
from microgpt.config import TrainConfig, to_toml
from microgpt.errors import MicrogptError, UsageError
from microgpt.files import write_atomically
from microgpt.terminal.interruption import cleaned_up
from microgpt.training.directory import CONFIG_FILE, RunDirectory, claim
from microgpt.training.logs import Logs
from microgpt.training.resuming import from_weights

CHECKPOINT_SECONDS = 60.0

# The optimizer's flat buffers (P,) by the names in `SavedState.buffers`, on the host.
Host = Callable[[str], Array]


class Output(Protocol):
    """Where a run puts its results."""

    @property
    def out(self) -> str | None:
        """The run's directory; None where nothing is written."""

    @property
    def problem(self) -> str | None:
        """What could not be written, apart from the checkpoint."""

    def begin(self, config: TrainConfig, step: int) -> float:
        """Called before the first step, with the step that the run begins or goes on at; returns how many
        seconds it has trained before. Raises MicrogptError."""

    def started(self, start: dict[str, Any]) -> None:
        """Keep what the run begins or goes on with: its text, its machine and its versions."""

    def report(self, metrics: dict[str, Any]) -> None:
        """Keep a report."""

    def sample(self, step: int, text: str) -> None:
        """Keep a sample."""

    def save(self, state: SavedState, host: Host) -> None:
        """Keep the state to go on from. Raises MicrogptError, also for weights that are not finite."""

    def save_if_due(self, state: SavedState, host: Host) -> None:
        """Save if the last time was long ago. A failure does not end the run."""

    def save_best(self, model: SavedModel, host: Host) -> bool:
        """Keep the weights with the lowest validation loss; returns whether that has worked."""

    def save_snapshot(self, model: SavedModel, host: Host) -> None:
        """Keep the weights of this step beside those of others. A failure does not end the run."""

    def rescue(self, state: SavedState, host: Host) -> str:
        """Keep the state from before a step that failed; returns what became of it and what may help."""


class FileOutput:
    """Writes into a directory, and into a new one if that is moved or removed.

    directory  which this process has claimed
    tell       called with a sentence as soon as something cannot be written
    """

    def __init__(self, directory: RunDirectory, tell: Callable[[str], None]) -> None:
        self._directory, self._tell = directory, tell
        self._logs = Logs(directory.path, tell)
        self._saved_at = time.monotonic()

    @property
    def out(self) -> str:
        return str(self._directory.path)

    @property
    def problem(self) -> str | None:
        return self._logs.problem

    def begin(self, config: TrainConfig, step: int) -> float:
        """Write the configuration; remove later snapshots, and from the logs what they say of later steps."""
        self._toml = to_toml(config).encode()
        self._saved_at = time.monotonic()
        return self._open(step)

    def _open(self, step: int) -> float:
        self._logs = Logs(self._directory.path, self._tell)
        write_atomically(self._directory.path / CONFIG_FILE, self._toml)
        remove_later(self._directory.path, step)
        return self._logs.resume(step)

    def _here(self) -> Path:
        """The directory. If it has been moved or removed, the run gets a new one: by now the name may belong
        to another run."""
        before = self._directory
        if not before.is_still_here():
            self._directory = claim(None, before.path)
            before.release()
            self._open(step=0)
            self._logs.started(self._start)
            self._tell(f"{before.path} was moved or removed: the run goes on in {self.out}")
        return self._directory.path

    def started(self, start: dict[str, Any]) -> None:
        self._start = start
        self._logs.started(start)

    def report(self, metrics: dict[str, Any]) -> None:
        self._here()
        self._logs.report(metrics)

    def sample(self, step: int, text: str) -> None:
        self._here()
        self._logs.sample(step, text)

    def save(self, state: SavedState, host: Host) -> None:
        """Write the checkpoint: at any instant the old one or the new one is there, whole."""
        save_state(self._here(), state, *map(host, state.buffers))

    def save_if_due(self, state: SavedState, host: Host) -> None:
        if time.monotonic() - self._saved_at <= CHECKPOINT_SECONDS:
            return
        try:
            self.save(state, host)
        except MicrogptError as error:
            self._tell(f"{error}; the run goes on, and tries again in {CHECKPOINT_SECONDS:.0f} s")
        self._saved_at = time.monotonic()

    def save_best(self, model: SavedModel, host: Host) -> bool:
        try:
            save_model(self._here() / BEST_FILE, model, host("param"))
        except MicrogptError as error:
            self._logs.problem = self._logs.problem or str(error)
            self._tell(f"{error}; the run goes on without these weights, the best so far")
            return False
        return True

    def save_snapshot(self, model: SavedModel, host: Host) -> None:
        try:
            file = snapshot_file(self._here(), model.notes["step"])
            save_model(file, model, host("param"), durable=False)  # 60 of them would hold a short run up
        except MicrogptError as error:
            if self._logs.problem is None:  # what keeps one from being written may keep many
                self._logs.problem = str(error)
                self._tell(f"{error}; the run goes on without this snapshot")

    def rescue(self, state: SavedState, host: Host) -> str:
        try:
            self.save(state, host)
        except MicrogptError:  # a checkpoint takes finite weights only
            return (
                "the weights from before it are not finite either, and are not saved; a smaller --lr may help"
            )
        slower = dataclasses.replace(state.config.reopened(), lr=float(f"{state.config.rates.lr / 3:.1g}"))
        return (
            f"the weights from before it are in {self.out}; a smaller rate may help, "
            f"in a new run with them: {from_weights(slower, self._directory.path)}"
        )

    def discard(self) -> None:
        """Remove the directory, if no more has been written into it than what a run begins with."""
        self._directory.discard()

    def release(self) -> None:
        """Let others write into the directory."""
        self._directory.release()


@contextlib.contextmanager
def files(directory: RunDirectory, tell: Callable[[str], None]) -> Iterator[FileOutput]:
    """Files in this directory, which is released at the end of the block.

    It is removed if the block fails, or a signal ends the program in it, before anything has been written but
    what a run begins with.
    """
    output = FileOutput(directory, tell)
    try:
        with cleaned_up(output.discard):
            yield output
    except BaseException:
        output.discard()
        raise
    finally:
        output.release()


class Kept(NamedTuple):
    """A model that a run has left in memory."""

    model: SavedModel
    param: Array  # (P,), in the order of `parameters.table`


class MemoryOutput:
    """Keeps the weights in memory and writes nothing.

    last  at the end of the run, or before the step that failed; None until then
    best  with the lowest validation loss; None before the first evaluation
    """

    out = None
    problem = None

    def __init__(self) -> None:
        self.last: Kept | None = None
        self.best: Kept | None = None

    def begin(self, config: TrainConfig, step: int) -> float:
        if config.snapshots is not None:
            raise UsageError("--snapshots are files: name a directory for the run with --out")
        return 0.0

    def started(self, start: dict[str, Any]) -> None:
        pass

    def report(self, metrics: dict[str, Any]) -> None:
        pass

    def sample(self, step: int, text: str) -> None:
        pass

    def save(self, state: SavedState, host: Host) -> None:
        self.last = _kept(state, host)

    def save_if_due(self, state: SavedState, host: Host) -> None:
        pass

    def save_best(self, model: SavedModel, host: Host) -> bool:
        self.best = _kept(model, host)
        return True

    def save_snapshot(self, model: SavedModel, host: Host) -> None:
        raise AssertionError("`begin` refuses snapshots")

    def rescue(self, state: SavedState, host: Host) -> str:
        with contextlib.suppress(MicrogptError):  # weights that are not finite are of no use
            self.save(state, host)
        return "a smaller learning rate may help"


def _kept(model: SavedModel, host: Host) -> Kept:
    """A copy of the weights, which the run goes on to change. Raises MicrogptError if they are not finite."""
    param = np.array(host("param"))
    check_buffers(model.architecture, {"": param})
    return Kept(model, param)
