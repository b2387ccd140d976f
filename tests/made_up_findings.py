"""What a race could have found, for the figures of it."""

import numpy as np

from microgpt.race.report import Finding, Judgement, Side
from microgpt.race.runs import Rate
from microgpt.race.statistics import judge

NAMES = ("uniform", "1x64 | 4x16 | 8x8 | 16x4", "ones")
PAIR = ("uniform", "ones")


def side(name, *, seconds=30.0, rates=((2.7, 2.71), (2.6, 2.62), (2.65, 2.66)), lr=0.002, failed=0):
    tried = tuple(Rate(0.001 * 2**i, bits, len(bits) == 2) for i, bits in enumerate(rates))
    return Side(name, tried, lr, at_the_edge=False, steps=100, seconds=seconds, done=8, failed=failed)


def judgement(names, n_seeds=12, gap=0.05, means=None):
    """Each entrant worse than the one before by the gap, or with these means above the noise."""
    random = np.random.default_rng(1).normal(2.6, 0.01, (len(names), n_seeds))
    losses = random + np.array(means or gap * np.arange(len(names)))[:, None]
    seeds = tuple(range(1, n_seeds + 1))
    steps = tuple(100 + i for i in range(len(names)))
    return Judgement(tuple(names), seeds, losses, steps, judge(names, losses, 0.005, resamples=999))


def finding(names=NAMES, condition="tales", **others):
    sides = tuple(side(name, seconds=30.0 + i) for i, name in enumerate(names))
    values = {"sides": sides, "equal_steps": judgement(names), "equal_seconds": judgement(names)}
    return Finding(condition, **(values | others))
