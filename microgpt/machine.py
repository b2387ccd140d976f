"""What a run takes from the machine: a backend, threads, signals, and time to compile."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, ModuleType
from typing import Protocol

import microgpt_kernels

from microgpt.config import ModelConfig, TrainConfig
from microgpt.errors import MicrogptError


class Noted(Protocol):
    """Whoever passes a line on to the user."""

    def note(self, text: str) -> None: ...


def load_backend(name: str) -> ModuleType:
    """The backend of this name. Raises MicrogptError, and never takes another one."""
    try:
        return microgpt_kernels.load(name)
    except microgpt_kernels.BackendError as error:
        raise MicrogptError(str(error)) from None


# Floating-point operations of a step below which threads would wait for each other longer than they work: on
# two cores, steps of 4 million were slower on two threads than on one, and those of 22 million faster.
WORTH_SHARING = 10_000_000


def choose_threads(k: ModuleType, config: TrainConfig, model: ModelConfig) -> int:
    """As many as asked for, else all cores if the step is worth it; never more than there are shards."""
    cores = available_cores()
    if config.threads is not None and config.threads > cores:
        raise MicrogptError(f"--threads {config.threads}: this machine has {cores} cores to give")
    worth_it = cores if model.flop_per_step(config.batch_size) >= WORTH_SHARING else 1
    return min(config.threads or worth_it, config.n_shards(k.max_shards()))


def available_cores() -> int:
    """The cores that this process may use, or what the user of Numba has set."""
    if os.environ.get("NUMBA_NUM_THREADS", "").isdecimal():
        return int(os.environ["NUMBA_NUM_THREADS"])
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def announced(reporter: Noted, what: str, after: float = 1.0) -> Iterator[None]:
    """Say what is going on, but only if it takes longer than a moment."""
    timer = threading.Timer(after, reporter.note, [f"{what} ..."])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@contextmanager
def finishing_the_step() -> Iterator[Callable[[], bool]]:
    """Let Ctrl-C and SIGTERM wait for the end of a step; a second Ctrl-C does not wait."""
    asked = False

    def ask(signum: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True

    before = {}
    if threading.current_thread() is threading.main_thread():
        before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
