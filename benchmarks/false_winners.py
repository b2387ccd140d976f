"""How often the verdict of `microgpt race` is wrong: simulated races, of which the truth is known.

    python -m benchmarks.false_winners [--races 1000] [--resamples 9999]

The loss of an entrant is what its seed adds for all entrants, plus noise of its own. The difference of two
entrants has a standard deviation of 1: what is found holds for losses of any size.

The first table is of races of six entrants. Where none of them is better, some races have a winner of a pair
all the same; at most 5% should. Where one is better than each other one by 1, the table has the part of the
races in which it wins against all of them, and the part in which any pair has another winner.

The second table is of races of two entrants, one of them better by twice the standard error of the
difference, where a bound is hardest. It has the part of the races whose 95% interval has the true difference
in it, and the part of those whose bound is smaller than the true difference; these should be 95%, and at most
5%. The noise is normal, or that of the better entrant is exponential: then the differences are as skewed as
that, to the side on which they make a bound too small.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Annotated, Literal

import numpy as np
import typer

from microgpt.arrays import Floats
from microgpt.intervals import FEWEST_FOR_AN_INTERVAL
from microgpt.race.statistics import Verdict, judge

ENTRANTS = tuple("abcdef")
SEEDS = (5, 10, 20, 40)
Noise = Literal["normal", "exponential"]
NOISES: tuple[Noise, ...] = ("normal", "exponential")


def losses_of(
    random: np.random.Generator, n_entrants: int, n_seeds: int, ahead: float, noise: Noise
) -> Floats:
    """The losses (entrants, seeds) of one race, in which the first entrant is better by `ahead`."""
    own = np.zeros((n_entrants, n_seeds))
    if noise == "normal":
        own += random.normal(0, math.sqrt(1 / 2), own.shape)
    else:
        own[0] = 1 - random.exponential(1, n_seeds)
    own[0] -= ahead
    return own + random.normal(0, 1, n_seeds)


def verdicts(
    races: int, n_entrants: int, n_seeds: int, resamples: int, ahead: float = 0.0, noise: Noise = "normal"
) -> Iterator[Verdict]:
    """The verdict of each of so many races; in each one the resamples are others, too."""
    for race in range(races):
        # not the random numbers that choose the resamples
        random = np.random.default_rng([race, n_entrants, n_seeds])
        losses = losses_of(random, n_entrants, n_seeds, ahead, noise)
        yield judge(ENTRANTS[:n_entrants], losses, resamples=resamples, seed=race)


def false_winners(races: int, n_entrants: int, n_seeds: int, resamples: int) -> float:
    """The share of races without a difference in which a pair has a winner."""
    found = verdicts(races, n_entrants, n_seeds, resamples)
    return sum(any(pair.winner for pair in verdict.pairs) for verdict in found) / races


def right_and_wrong(races: int, n_seeds: int, resamples: int) -> tuple[float, float]:
    """The shares of races in which the better entrant wins, and in which a pair has another winner."""
    right = wrong = 0
    for verdict in verdicts(races, len(ENTRANTS), n_seeds, resamples, ahead=1.0):
        right += verdict.winner == ENTRANTS[0]
        wrong += any(pair.winner not in (None, ENTRANTS[0]) for pair in verdict.pairs)
    return right / races, wrong / races


def coverage(races: int, n_seeds: int, resamples: int, noise: Noise) -> tuple[float, float]:
    """The shares of races in which the interval has the true difference in it, and the bound is below it."""
    inside = below = 0
    ahead = 2 / math.sqrt(n_seeds)
    for verdict in verdicts(races, 2, n_seeds, resamples, ahead, noise):
        (pair,) = verdict.pairs
        assert pair.interval is not None
        inside += pair.interval.low <= -ahead <= pair.interval.high
        below += pair.within is not None and pair.within < ahead
    return inside / races, below / races


def main(
    races: Annotated[int, typer.Option(min=1, help="Races for each figure.")] = 1000,
    resamples: Annotated[int, typer.Option(min=100, help="Of the bootstrap and of the test.")] = 9999,
) -> None:
    """Simulate races, and print how often their verdict is wrong."""
    print(
        "| seeds | none is better: a winner | one is better: it wins | another one wins |\n|---|---|---|---|"
    )
    for n_seeds in SEEDS:
        false = false_winners(races, len(ENTRANTS), n_seeds, resamples)
        right, wrong = right_and_wrong(races, n_seeds, resamples)
        print(f"| {n_seeds} | {false:.1%} | {right:.1%} | {wrong:.1%} |", flush=True)
    print("\n| noise | seeds | the interval has the difference | the bound is too small |\n|---|---|---|---|")
    enough = [n_seeds for n_seeds in SEEDS if n_seeds >= FEWEST_FOR_AN_INTERVAL]
    for noise, n_seeds in itertools.product(NOISES, enough):
        inside, below = coverage(races, n_seeds, resamples, noise)
        print(f"| {noise} | {n_seeds} | {inside:.1%} | {below:.1%} |", flush=True)


if __name__ == "__main__":
    typer.run(main)
