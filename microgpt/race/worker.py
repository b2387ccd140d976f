"""What the processes of a race do: one training run after the other, each on one thread."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import math
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

from microgpt.checkpoint.progress import BEGINNING
from microgpt.config import TrainConfig
from microgpt.errors import MicrogptError, NotFiniteError
from microgpt.machine.backends import load_backend
from microgpt.machine.budget import Budget
from microgpt.model.placed import place
from microgpt.terminal import interruption
from microgpt.text.reading import Text, read_text
from microgpt.training.reporter import Silent
from microgpt.training.run import Run
from microgpt.training.trainer import LOG_SLOTS

# A turn, and the parts in which it is timed: shorter than what a busy system gives a process at a time, so
# that the fastest of many is not disturbed by other programs.
TURN_SECONDS, PART_SECONDS = 0.05, 0.003
# What the processor does for this thread, where the system tells it finely enough (Windows does not).
_is_fine = time.get_clock_info("thread_time").resolution < PART_SECONDS / 1000
_clock = time.thread_time if _is_fine else time.perf_counter


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


class Timing(NamedTuple):
    """What a run takes, alone on the machine."""

    step: float  # seconds, at its fastest: what else the machine does only makes steps slower
    held: int  # bytes of its arrays
    evaluation: float  # seconds of the judgement at its end
    resident: int  # bytes of a whole process that runs all entrants; 0 where the system does not say


def begin(leading: Connection) -> None:
    """Prepare a process: only the leading one hears signals, and when it ends, this one does.

    leading  of a pipe whose other end the leading process holds until its end, however it ends
    """
    interruption.ignore()
    threading.Thread(target=_end_with, args=(leading,), daemon=True).start()


def _end_with(leading: Connection) -> None:
    with contextlib.suppress(EOFError, OSError):
        leading.recv_bytes()
    os._exit(0)


def train(job: Job) -> Outcome:
    """Train and judge, as `microgpt train` does with these options, but for its reports and its sample.

    A run that stops being finite is a result; everything else that goes wrong raises MicrogptError.
    """
    config, begun = job.config, time.perf_counter()
    run = _run(config, _text(config.file, job.sha256))
    progress = BEGINNING
    try:
        while (left := config.steps - run.trainer.step) > 0:
            losses = run.trainer.advance(min(left, LOG_SLOTS))
            progress = progress.after(losses.loss.tolist(), losses.grad_norm.tolist())
    except NotFiniteError as error:
        return Outcome(job.key, None, None, time.perf_counter() - begun, str(error))
    nats, training = run.held_out_score().nats, progress.smoothed_loss(config.steps)
    seconds = time.perf_counter() - begun
    if not math.isfinite(nats):
        return Outcome(job.key, None, training, seconds, "the loss of the held-out text is not finite")
    return Outcome(job.key, nats / math.log(2), training, seconds, None)


def _run(config: TrainConfig, text: Text) -> Run:
    k = load_backend(config.backend)
    k.set_threads(1)
    budget = Budget(config.memory_cap_bytes)
    budget.book(text.ids.nbytes, "the text", "race on a part of it")
    return Run(place(k, config.architecture(len(text.vocabulary)), budget), config, text, Silent())


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
    still = dataclasses.replace(config, lr=0.0, min_lr=None)  # with such a rate nothing can stop being finite
    run = _run(still, _text(config.file, sha256))
    run.trainer.advance(1)  # it compiles, and touches memory that no step has touched
    run.held_out_score()
    begin = time.perf_counter()
    run.held_out_score()
    evaluation = time.perf_counter() - begin
    return run.trainer.advance, run.placed.budget.held, evaluation


def _seconds_of_a_step(advance: Callable[[int], object]) -> float:
    """The fastest part of a turn, without the time in which the processor works for other programs."""
    n, fastest = 1, math.inf
    end = time.perf_counter() + TURN_SECONDS
    while time.perf_counter() < end:
        begin = _clock()
        advance(n)
        fastest = min(fastest, (_clock() - begin) / n)
        n = max(1, min(LOG_SLOTS, int(PART_SECONDS / fastest)))
    return fastest


def resident_bytes() -> int:
    """The most memory that this process has had; 0 where the system does not say."""
    try:
        import resource
    except ModuleNotFoundError:  # Windows
        return 0
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
