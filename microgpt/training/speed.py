"""How fast this machine trains: real steps of a model that is thrown away, timed for a moment."""

from __future__ import annotations

import dataclasses
import functools
import math
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from microgpt.config import TrainConfig, parse_size
from microgpt.machine.backends import compiled, load_backend
from microgpt.machine.budget import Budget
from microgpt.machine.cores import available_cores
from microgpt.model.placed import place
from microgpt.text.ngrams import fit, highest_order
from microgpt.text.reading import Text
from microgpt.text.walk import split
from microgpt.training.counting import ORDER, Counting
from microgpt.training.plan import Plan, Speed, choose
from microgpt.training.reporter import Reporter
from microgpt.training.trainer import LOG_SLOTS, Trainer, threads_for
from microgpt.use.evaluate import Evaluator

# what the sizes to measure first are chosen for; the measurement replaces it
FIRST_GUESS = 20e9  # operations a second on a core
# A measurement takes this part of the time that is asked for, within these limits.
PART, SHORTEST, LONGEST = 0.01, 0.3, 1.5
# one timing: long enough that the clock and Python do not matter
SLICE_SECONDS = 0.02
# n-grams are counted in so many parts of the text, of so many characters together; but in fewer characters
# where the memory cap is below this for each
SAMPLES, SAMPLED, SAMPLE_BYTES = 8, 1 << 20, 512
# speeds are the same up to this part; and how often at the most they are measured in full
SAME_SPEED, MEASUREMENTS = 0.1, 3
MEASURING = "measuring this machine's speed"


def plan_for(seconds: float, text: Text, given: Mapping[str, Any], reporter: Reporter) -> tuple[Plan, Speed]:
    """What to train on this text in this time, with the options that are given, and the measured speed.

    What has to be compiled is compiled before anything is timed. Raises MicrogptError.
    """

    cap = parse_size(given.get("memory_cap", TrainConfig.memory_cap))
    counting = count_a_sample(text, SAMPLED if cap is None else min(SAMPLED, cap // SAMPLE_BYTES))

    def plan_at(speed: Speed, settled: Plan | None = None) -> Plan:
        return choose(seconds, len(text.ids), len(text.vocabulary), given, speed, counting, settled)

    # The first size is chosen by a guess. A step of about the right size then tells the speed well enough to
    # choose the size, and steps of that size tell how many of them to take. If they are faster or slower than
    # those before, because the machine has begun or ended something else, the size is chosen again.
    plan = plan_at(Speed(FIRST_GUESS * available_cores(), FIRST_GUESS))
    moment = min(LONGEST, max(SHORTEST, PART * seconds))
    plan = plan_at(measure(plan, text, moment / 2, reporter))
    before = measure(plan, text, moment / 2, reporter)
    for _ in range(MEASUREMENTS):
        plan = plan_at(before)
        speed = measure(plan, text, moment, reporter)
        if abs(math.log(speed.training / before.training)) < SAME_SPEED:
            break
        before = speed
    return plan_at(speed, plan), speed


def measure(plan: Plan, text: Text, seconds: float, reporter: Reporter) -> Speed:
    """The speed at which a plan's steps and evaluations run, measured for about so many seconds.

    It is that of the median step, so that what else the machine does for a moment plays no part. The arrays
    are like those of the run itself, and are gone afterwards.
    """
    # with a rate of 0 no weight changes, so nothing can stop being finite
    config: TrainConfig = dataclasses.replace(plan.config, lr=0.0, min_lr=None)
    k = load_backend(config.backend, reporter)
    k.set_threads(threads_for(k, plan.size.architecture, config))
    budget = Budget(config.memory_cap_bytes)
    budget.book(text.ids.nbytes, "the text", "train on a part of it")
    placed = place(k, plan.size.architecture, budget)
    train_ids, val_ids = split(text.ids, config.val_fraction)
    trainer = Trainer(placed, config, train_ids)
    evaluator = Evaluator(placed, val_ids) if config.val_fraction > 0 else None
    compiled(reporter, trainer.compile)
    if evaluator is not None:
        compiled(reporter, evaluator.compile)
    reporter.working(MEASURING, f"d_model {config.d_model}, {config.n_layers} layers")
    step = _median(trainer, seconds)
    training = evaluation = plan.size.step / step
    if evaluator is not None:
        evaluation = plan.size.evaluation / _evaluation_seconds(evaluator, seconds / 5)
    reporter.idle()
    return Speed(training, evaluation)


def count_a_sample(text: Text, size: int) -> Counting:
    """How fast the n-grams of a text are counted, and how many different ones there are: measured in parts of
    it with so many characters together.

    The longer a text, the fewer of its n-grams are new. So it has no more for each character than the parts,
    unless the rest of it is more varied.
    """
    ids, V = text.ids, len(text.vocabulary)
    if len(ids) > size:
        part = max(1, size // SAMPLES)
        begins = np.linspace(0, len(ids) - part, SAMPLES).astype(np.int64)
        ids = np.concatenate([ids[begin : begin + part] for begin in begins])
    count = functools.partial(fit, ids, V, highest_order(V, ORDER))
    model = count()
    seconds = _timed(count)  # the first time touches memory that nothing has touched
    grams = np.diff(model.begin[model.first])
    return Counting(len(ids) / seconds, tuple((grams / len(ids)).tolist()))


def _median(trainer: Trainer, seconds: float) -> float:
    """The seconds of a step, in the median of short timings."""
    n = 1
    timings: list[float] = []
    trainer.advance(1)  # the first one touches memory that no step has touched
    end = time.perf_counter() + seconds
    while not timings or time.perf_counter() < end:
        timing = _timed(functools.partial(trainer.advance, n)) / n
        timings.append(timing)
        n = max(1, min(LOG_SLOTS, int(SLICE_SECONDS / timing)))
    return statistics.median(timings)


def _evaluation_seconds(evaluator: Evaluator, seconds: float) -> float:
    """The seconds for each character of an evaluation, likewise, from its first batch again and again."""
    counted: list[int] = []
    timings: list[float] = []

    def first_batch() -> None:
        evaluator.score(lambda done, _: counted.append(done), stop=lambda: True)

    first_batch()
    end = time.perf_counter() + seconds
    while not timings or time.perf_counter() < end:
        timings.append(_timed(first_batch))
    return statistics.median(timings) / counted[0]


def _timed(function: Callable[[], object]) -> float:
    begin = time.perf_counter()
    function()
    return time.perf_counter() - begin
