"""What the processes of a race do: one training run after the other, each on one thread."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

from microgpt.config import TrainConfig
from microgpt.errors import MicrogptError, NotFiniteError
from microgpt.machine.backends import load_backend
from microgpt.machine.budget import Budget
from microgpt.model.placed import place
from microgpt.text.reading import Text, read_text
from microgpt.text.walk import split
from microgpt.training import run
from microgpt.training.output import MemoryOutput
from microgpt.training.trainer import LOG_SLOTS, Trainer
from microgpt.use.evaluate import Evaluator

# About what the system gives a process at a time: of many turns, some are not disturbed by other programs.
TURN_SECONDS = 0.05


class Job(NamedTuple):
    """A run for a worker, with the text that it must find."""

    key: str
    config: TrainConfig
    sha256: str


class Outcome(NamedTuple):
    """How a run ended."""

    key: str
    bits: float | None  # bits per character of the held-out text; None where the run stopped being finite
    training_nats: float | None  # the smoothed loss of the training
    seconds: float  # of steps and the evaluation
    problem: str | None
    interrupted: bool


class Timing(NamedTuple):
    """What a run takes, alone on the machine."""

    step: float  # seconds, in the fastest turn: what else the machine does only makes turns slower
    held: int  # bytes of its arrays
    evaluation: float  # seconds of the judgement at its end
    resident: int  # bytes of a whole process that runs all entrants


class Silent:
    """A reporter that says nothing: a race reports for all its runs."""

    def note(self, text: str) -> None: ...
    def working(self, what: str, so_far: str) -> None: ...
    def idle(self) -> None: ...
    def started(self, summary: Any) -> None: ...
    def advanced(self, metrics: dict[str, Any]) -> None: ...
    def reported(self, metrics: dict[str, Any]) -> None: ...
    def sampled(self, step: int, text: str) -> None: ...


def begin(leading: Connection) -> None:
    """Prepare a process: only the leading one hears Ctrl-C, and when it ends, this one does.

    leading  of a pipe whose other end the leading process holds until its end, however it ends
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(leading,), daemon=True).start()


def _end_with(leading: Connection) -> None:
    with contextlib.suppress(EOFError, OSError):
        leading.recv_bytes()
    os._exit(0)


def train(job: Job) -> Outcome:
    """Train and judge. A run that stops being finite is a result; everything else that goes wrong raises
    MicrogptError."""
    text = _text(job.config.file, job.sha256)
    begun = time.perf_counter()
    try:
        result = run.train(job.config, Silent(), text=text, output=MemoryOutput())
    except NotFiniteError as error:
        return Outcome(job.key, None, None, time.perf_counter() - begun, str(error), interrupted=False)
    nats = result.val_loss
    if nats is None or not math.isfinite(nats):
        problem = None if result.interrupted else "the loss of the held-out text is not finite"
        return Outcome(job.key, None, result.loss, result.elapsed_s, problem, result.interrupted)
    bits = nats / math.log(2)
    return Outcome(job.key, bits, result.loss, result.elapsed_s, None, result.interrupted)


@functools.cache
def _text(file: str, sha256: str) -> Text:
    """The text, read once in each process. Raises MicrogptError if it is not the one of the plan."""
    text = read_text(Path(file))
    if sha256 and text.sha256 != sha256:
        raise MicrogptError(f"{file} is not the text that the race was planned with: its SHA-256 differs")
    return text


def time_in_turns(configs: Sequence[TrainConfig], sha256: str, turns: int) -> list[Timing]:
    """What a run of each configuration takes, all on one text, one after the other in each turn. What has to
    be compiled is compiled first; without turns that is all, and no time is told."""
    prepared = [_prepared(config, sha256) for config in configs]
    timings: list[list[float]] = [[] for _ in prepared]
    for _ in range(turns):
        for (advance, _, _), seconds in zip(prepared, timings, strict=True):
            seconds.append(_seconds_of_a_step(advance))
    return [
        Timing(min(seconds, default=math.nan), held, evaluation, resident_bytes())
        for seconds, (_, held, evaluation) in zip(timings, prepared, strict=True)
    ]


def _prepared(config: TrainConfig, sha256: str) -> tuple[Callable[[int], object], int, float]:
    """Steps of a run that change no weights; the bytes of its arrays; and the seconds of its evaluation."""
    text = _text(config.file, sha256)
    k = load_backend(config.backend)
    k.set_threads(1)
    budget = Budget(config.memory_cap_bytes)
    placed = place(k, config.architecture(len(text.vocabulary)), budget)
    train_ids, val_ids = split(text.ids, config.val_fraction)
    trainer = Trainer(placed, _still(config), train_ids)
    evaluator = Evaluator(placed, val_ids)
    trainer.compile()
    evaluator.compile()
    begin = time.perf_counter()
    evaluator.score()
    evaluation = time.perf_counter() - begin
    trainer.advance(1)  # the first one touches memory that no step has touched
    return trainer.advance, budget.held, evaluation


def _still(config: TrainConfig) -> TrainConfig:
    """The same with a rate of 0, with which nothing can stop being finite."""
    return dataclasses.replace(config, lr=0.0, min_lr=None)


def _seconds_of_a_step(advance: Callable[[int], object]) -> float:
    n, seconds = 0, 0.0
    begin = time.perf_counter()
    while seconds < TURN_SECONDS:
        part = 1 if n == 0 else max(1, min(LOG_SLOTS, int(n / seconds * TURN_SECONDS / 4)))
        advance(part)
        n += part
        seconds = time.perf_counter() - begin
    return seconds / n


def resident_bytes() -> int:
    """The most memory that this process has had."""
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
