"""What the losses of a race say: which entrant is better, or how large a difference can still be.

A race trains each of its entrants with the same seeds. A seed is lucky or unlucky for all of them together,
so it is the differences of two losses that are judged, seed by seed: they are paired. Each pair has

    an interval    for the mean difference, at 95%: the BCa bootstrap (Efron 1987)
    a p value      of the test that flips the signs of the differences (Fisher 1935)
    adjusted       by Holm's method (1979) for all pairs of the race: where no entrant is better, the
                   probability of a winner in any of the pairs is at most 5%

A pair has a winner only where both agree: the adjusted p value is at most 5%, and the interval leaves out 0.
Without a winner it is never said that there is no difference, but how large it can still be: two one-sided
tests at 5% (Schuirmann 1987) exclude what lies beyond the interval at 90%.

Losses are in bits per character, and lower is better. The same losses give the same figures, to the last bit.
The interval of few seeds is narrower than its name says: `benchmarks/false_winners.py` measures how often it
has the true difference in it, and how often a winner is a false one.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats  # type: ignore[import-untyped]

from microgpt.arrays import Floats
from microgpt.intervals import RESAMPLES, Interval, batch, bca_intervals

ALPHA = 0.05  # the probability of a false winner in a race, at the most
LEVEL, WITHIN_LEVEL = 1 - ALPHA, 1 - 2 * ALPHA  # of the intervals, and of those that bound a difference
POWER = 0.8  # the probability with which a difference is to be found
# Beyond these SciPy's distributions fail, and nobody cares.
LARGEST_EFFECT, MANY_SEEDS = 1e6, 1_000_000_000
# With fewer, it still has the mean in it more rarely than it says: in 90% with 10 seeds (docs/race.md).
FEWEST_TO_TRUST = 20


@dataclass(frozen=True)
class Standing:
    """One entrant of a race."""

    name: str
    mean: float  # of its losses
    interval: Interval | None  # for the mean; None for fewer than FEWEST_FOR_AN_INTERVAL seeds


@dataclass(frozen=True)
class Pair:
    """Two entrants of a race, compared seed by seed."""

    first: str
    second: str
    difference: float  # mean of the losses of the first one minus those of the second one
    interval: Interval | None  # for the difference; None for fewer than FEWEST_FOR_AN_INTERVAL seeds
    deviation: float | None  # standard deviation of the differences; None for one seed
    p: float
    adjusted_p: float
    winner: str | None
    # Where there is no winner, the difference is at most this, whichever is better, at 95%. Of each pair for
    # itself: it is not adjusted for the number of pairs. None also where there is no interval.
    within: float | None
    seeds_needed: int | None  # to find the smallest difference of interest; None where none was named

    @property
    def loser(self) -> str | None:
        if self.winner is None:
            return None
        return self.second if self.winner == self.first else self.first

    def turned(self) -> Pair:
        """The same pair, the second one first."""
        interval = None if self.interval is None else Interval(-self.interval.high, -self.interval.low)
        return dataclasses.replace(
            self, first=self.second, second=self.first, difference=-self.difference, interval=interval
        )


@dataclass(frozen=True)
class Verdict:
    """What a race has settled."""

    standings: tuple[Standing, ...]  # in the order of the entrants
    pairs: tuple[Pair, ...]  # the first entrant with each other one, the second with each after it, and so on
    winner: str | None  # the one that won against every other one
    unbeaten: tuple[str, ...]  # those that lost against none, the lowest mean first


def judge(
    names: Sequence[str],
    losses: Floats,
    smallest: float | None = None,
    *,
    n_pairs: int = 0,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Verdict:
    """What the losses of a race say.

    names     of the entrants, all different
    losses    (entrants, seeds), in bits per character, all finite; each column is of one seed
    smallest  difference of interest, above 0, for which to say how many seeds it needs
    n_pairs   for which p values are adjusted, if that is more than there are: some entrants may have failed
    seed      of the random numbers that choose the resamples

    Of what is said of a pair, only the adjusted p value and the seeds needed depend on the other entrants.
    Raises ValueError where a loss is not finite.
    """
    if not np.isfinite(losses).all():
        raise ValueError("a race is judged by finite losses only")
    firsts, seconds = np.triu_indices(len(names), 1)
    differences = losses[firsts] - losses[seconds]
    n_found, n_seeds = differences.shape
    n_pairs = max(n_pairs, n_found)
    p_values = sign_flip_test(differences, resamples, seed)
    adjusted = holm(np.concatenate([p_values, np.ones(n_pairs - n_found)]))[:n_found]
    intervals = bca_intervals(differences, LEVEL, resamples, seed)
    bounds = bca_intervals(differences, WITHIN_LEVEL, resamples, seed)
    pairs = []
    for i in range(n_found):
        first, second = names[firsts[i]], names[seconds[i]]
        winner = winner_of(first, second, intervals[i], adjusted[i])
        bound = bounds[i] if winner is None else None
        deviation = float(differences[i].std(ddof=1)) if n_seeds > 1 else None
        needed = None
        if deviation is not None and smallest is not None:
            needed = seeds_needed(deviation, smallest, n_pairs)
        pair = Pair(
            first,
            second,
            difference=float(differences[i].mean()),
            interval=intervals[i],
            deviation=deviation,
            p=float(p_values[i]),
            adjusted_p=float(adjusted[i]),
            winner=winner,
            within=max(-bound.low, bound.high) + 0.0 if bound else None,  # never -0.0
            seeds_needed=needed,
        )
        pairs.append(pair)
    means = losses.mean(axis=1)
    standings = zip(names, map(float, means), bca_intervals(losses, LEVEL, resamples, seed), strict=True)
    wins = Counter(pair.winner for pair in pairs)
    beaten = {pair.loser for pair in pairs}
    return Verdict(
        tuple(itertools.starmap(Standing, standings)),
        tuple(pairs),
        winner=next((name for name in names if wins[name] == len(names) - 1 > 0), None),
        unbeaten=tuple(names[i] for i in np.argsort(means, kind="stable") if names[i] not in beaten),
    )


def winner_of(first: str, second: str, interval: Interval | None, adjusted_p: float) -> str | None:
    """The better one of a pair, where the interval and the test agree that there is one."""
    if interval is None or adjusted_p > ALPHA:
        return None
    return first if interval.high < 0 else second if interval.low > 0 else None


def sign_flip_test(differences: Floats, resamples: int, seed: int) -> Floats:
    """The two-sided p value (pairs,) of the mean of each row of differences (pairs, seeds).

    If both entrants of a pair are equally good, each difference could as well have the other sign. All
    combinations of signs are tried where there are at most `resamples` of them, and as many random ones else.
    """
    n_pairs, n_seeds = differences.shape
    if n_pairs == 0 or n_seeds < 2:  # with one seed, both signs give a mean that is as far from 0
        return np.ones(n_pairs)
    # with fewer, not even the smallest p value that random signs can give would pass Holm's first step
    flips = max(resamples, math.ceil(2 * n_pairs / ALPHA))
    result = stats.permutation_test(
        (differences,),
        np.mean,
        axis=-1,
        permutation_type="samples",
        alternative="two-sided",
        n_resamples=flips,
        batch=batch(differences),
        random_state=np.random.default_rng(seed),
    )
    return np.asarray(result.pvalue, np.float64)


def holm(p: Floats) -> Floats:
    """The p values (m,) of m tests, adjusted: by chance any of them is at most x with probability x or less.

    The smallest is multiplied by m, the next one by m - 1, and so on; none becomes smaller than those before.
    """
    order = np.argsort(p)
    adjusted = np.empty_like(p)
    adjusted[order] = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    return np.minimum(adjusted, 1.0)


def least_seeds(n_pairs: int) -> int:
    """With fewer seeds, no race with this number of pairs has a winner, however large the differences are.

    The smallest p value of n seeds is 2 / 2**n, where all differences have one sign, and Holm's first step
    asks for ALPHA / n_pairs.
    """
    return math.ceil(1 + math.log2(n_pairs / ALPHA))


def seeds_needed(deviation: float, difference: float, n_pairs: int) -> int:
    """How many seeds find a difference with probability POWER, in a race with this number of pairs.

    deviation   standard deviation of the differences of a pair
    difference  that is to be found, above 0

    The power is that of the paired t test at ALPHA / n_pairs, which is Holm's first and strictest step. Never
    fewer than `least_seeds`.
    """
    level = ALPHA / n_pairs
    least = least_seeds(n_pairs)
    if deviation == 0:
        return least
    effect = min(difference / deviation, LARGEST_EFFECT)

    def power(n: int) -> float:
        # the square of a noncentral t is a noncentral F, which has both tails in one
        critical = stats.t.isf(level / 2, n - 1) ** 2
        return float(stats.ncf.sf(critical, 1, n - 1, effect**2 * n))

    # as many as if the deviation were known, and then the few more that it takes because it is estimated
    quantiles = float(stats.norm.isf(level / 2) + stats.norm.ppf(POWER))
    n = max(least, math.ceil((quantiles / effect) ** 2))
    if n > MANY_SEEDS:
        return MANY_SEEDS
    while power(n) < POWER:
        n += 1
    return n
