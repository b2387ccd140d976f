"""The runs of a race: what decides each of them, and which of them are due."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from microgpt import __version__
from microgpt.config import BEFORE, TrainConfig
from microgpt.race.plan import Condition, Plan

# Judging seeds count from 1, tuning seeds from here.
FIRST_TUNING_SEED = 1_000_001
STEP = math.sqrt(2)  # from one rate to the next
# how far beyond the first rates the best one is looked for, in such steps
FARTHEST = 12
TUNING = "tuning"  # what runs are for that choose a rate

# The options that do not decide what a run computes
_DECIDES_NOTHING = (
    "file", "out", "threads", "memory_cap", "eval_every", "sample_every", "snapshots", "weights",
)  # fmt: skip

# The bits per character that each run has come to, by its key; infinity for one that stopped being finite
Bits = Mapping[str, float]
# The seconds of one step of each entrant, by the name of the condition
Seconds = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Run:
    """One training run."""

    condition: Condition
    entrant: str
    config: TrainConfig
    text_sha256: str

    @cached_property
    def key(self) -> str:
        """A hash of all that decides the run: two runs with one key come to the same loss.

        An option that older versions did not have counts only where it is not what those versions did, so
        that a new option leaves the keys of old results as they are.
        """
        options = dataclasses.asdict(self.config.resolved())
        decisive = {
            name: value
            for name, value in options.items()
            if name not in _DECIDES_NOTHING and not (name in BEFORE and value == BEFORE[name])
        }
        text = json.dumps([__version__, self.text_sha256, decisive], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:24]


class Rate(NamedTuple):
    """What an entrant comes to with one rate."""

    lr: float
    bits: tuple[float, ...]  # of each tuning seed that is done
    done: bool  # whether all of them are

    @property
    def mean(self) -> float:
        return math.fsum(self.bits) / len(self.bits) if self.bits else math.inf


class Entry:
    """An entrant in a condition: its runs, as far as it is known which these are."""

    def __init__(self, plan: Plan, condition: Condition, entrant: str) -> None:
        self.plan, self.condition, self.entrant = plan, condition, entrant
        self.open = plan.config(condition, entrant)
        self.is_tuned = plan.is_tuned(condition, entrant)
        self._sha256 = plan.sha256[plan.texts.index(condition.text)] if plan.sha256 else ""
        self._runs: dict[tuple[float, int, int], Run] = {}

    def run(self, lr: float, seed: int, steps: int | None = None) -> Run:
        """With this rate and seed; `steps` None: those of the plan."""
        what = lr, seed, steps or self.open.steps
        if what not in self._runs:
            config = dataclasses.replace(self.open, lr=lr, seed=seed, steps=steps or self.open.steps)
            self._runs[what] = Run(self.condition, self.entrant, config, self._sha256)
        return self._runs[what]

    def tuning(self, lr: float) -> list[Run]:
        """With this rate, on every tuning seed."""
        first = FIRST_TUNING_SEED
        return [self.run(lr, seed) for seed in range(first, first + self.plan.tuning_seeds)]

    def judging(self, lr: float, steps: int | None = None) -> list[Run]:
        """With the best rate, on every seed that judges."""
        return [self.run(lr, seed, steps) for seed in range(1, self.plan.seeds + 1)]

    def rates(self, bits: Bits) -> list[Rate]:
        """What is known of each rate, from the lowest to the highest: those that the plan begins with, and
        one more on a side as long as the best one, of equals the lowest, is the last there."""
        n = self.plan.rates
        low, high = -(n // 2), n - 1 - n // 2
        rates = {place: self._rate(place, bits) for place in range(low, high + 1)}
        while all(rate.done for rate in rates.values()):
            best = min(sorted(rates), key=lambda place: rates[place].mean)
            following = best - 1 if best == min(rates) else best + 1
            finite = math.isfinite(rates[best].mean)
            if following in rates or not low - FARTHEST <= following <= high + FARTHEST or not finite:
                break
            rates[following] = self._rate(following, bits)
        return [rates[place] for place in sorted(rates)]

    def is_open(self, bits: Bits) -> bool:
        """Whether runs are left that decide its rate."""
        return self.is_tuned and not all(rate.done for rate in self.rates(bits))

    def _rate(self, place: int, bits: Bits) -> Rate:
        lr = float(f"{self.open.rates.lr * STEP**place:.6g}")
        found = [bits[run.key] for run in self.tuning(lr) if run.key in bits]
        return Rate(lr, tuple(found), len(found) == self.plan.tuning_seeds)

    def best_lr(self, bits: Bits) -> float | None:
        """The rate with which it is judged; None before that is known, and if it is finite with none."""
        if not self.is_tuned:
            return self.open.rates.lr
        rates = self.rates(bits)
        best = min(rates, key=lambda rate: rate.mean)
        return best.lr if all(rate.done for rate in rates) and math.isfinite(best.mean) else None


def entries(plan: Plan) -> list[Entry]:
    """Every entrant in every condition."""
    return [Entry(plan, condition, entrant) for condition in plan.places() for entrant in plan.entrants]


def steps_of_equal_seconds(entry: Entry, seconds: Seconds) -> int:
    """The steps that take as long as those of the first entrant in the same condition."""
    first = entry.plan.first
    of_a_step = seconds[entry.condition.name]
    steps = entry.plan.config(entry.condition, first).steps
    return max(1, round(steps * of_a_step[first] / of_a_step[entry.entrant]))


def known_runs(race: Sequence[Entry], bits: Bits, seconds: Seconds) -> Iterator[Run]:
    """The runs of a race as far as it is known which these are, first those that others depend on.

    An entrant whose best rate is not known yet has no judging runs. Runs of a seed come together.
    """
    known = [each for entry in race for each in _by_purpose(entry, bits, seconds)]
    for purpose, runs in known:
        if purpose == TUNING:
            yield from runs
    for of_a_seed in zip(*(runs for purpose, runs in known if purpose != TUNING), strict=True):
        yield from of_a_seed


def purposes(race: Sequence[Entry], bits: Bits, seconds: Seconds) -> dict[str, str]:
    """What each known run is for, by its key; one may judge both with equal steps and with equal seconds."""
    known = [each for entry in race for each in _by_purpose(entry, bits, seconds)]
    return {run.key: purpose for purpose, runs in known for run in runs}


def _by_purpose(entry: Entry, bits: Bits, seconds: Seconds) -> Iterator[tuple[str, list[Run]]]:
    """The known runs of an entrant, by what they are for."""
    if entry.is_tuned:
        yield TUNING, [run for rate in entry.rates(bits) for run in entry.tuning(rate.lr)]
    lr = entry.best_lr(bits)
    if lr is None:
        return
    steps = steps_of_equal_seconds(entry, seconds) if entry.plan.equal_seconds else None
    if steps == entry.open.steps:
        yield "equal steps and seconds", entry.judging(lr)
        return
    yield "equal steps", entry.judging(lr)
    if steps is not None:
        yield "equal seconds", entry.judging(lr, steps)


def due(race: Sequence[Entry], bits: Bits, seconds: Seconds) -> list[Run]:
    """The known runs that are not done, each once."""
    missing = {run.key: run for run in known_runs(race, bits, seconds) if run.key not in bits}
    return list(missing.values())


def not_known_yet(race: Sequence[Entry], bits: Bits) -> int:
    """How many runs wait until the best rates are known; more, if further rates are needed."""
    n = 0
    for entry in race:
        if entry.is_open(bits):
            # the first entrant has the same steps in both races
            twice = entry.plan.equal_seconds and entry.entrant != next(iter(entry.plan.entrants))
            n += entry.plan.seeds * (2 if twice else 1)
    return n
