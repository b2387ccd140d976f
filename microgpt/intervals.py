"""From where to where a mean may be: the BCa bootstrap (Efron 1987), for races and for measures of heads."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import stats  # type: ignore[import-untyped]

from microgpt.arrays import Floats

RESAMPLES = 9999
# With fewer values an interval at 95% has the mean in it in 83%, and of two entrants of a race none can win.
FEWEST_FOR_AN_INTERVAL = 6
NUMBERS = 1 << 18  # of the resamples that are in memory together


class Interval(NamedTuple):
    """From where to where a mean may be."""

    low: float
    high: float


def bca_intervals(values: Floats, level: float, resamples: int, seed: int) -> list[Interval | None]:
    """An interval for the mean of each row of values (rows, n), all from the same resamples of the columns.

    Where all values of a row are equal, that value is the interval. None for every row where n is below
    FEWEST_FOR_AN_INTERVAL.
    """
    n_rows, n = values.shape
    if n < FEWEST_FOR_AN_INTERVAL:
        return [None] * n_rows
    # The bootstrap is of the deviations from the mean: where the values differ in their last digits only, the
    # means of resamples would be rounded to the same number, and the interval would be none.
    means = values.mean(axis=1)
    deviations = values - means[:, None]
    ends = np.zeros((2, n_rows))
    vary = np.ptp(values, axis=1) > 0
    if vary.any():
        # SciPy before 1.15 has no `rng`; a Generator means the same by the older name
        result = stats.bootstrap(
            (deviations[vary],),
            np.mean,
            axis=-1,
            method="BCa",
            confidence_level=level,
            n_resamples=resamples,
            batch=batch(deviations),
            random_state=np.random.default_rng(seed),
        )
        ends[:, vary] = result.confidence_interval
    return [Interval(float(low), float(high)) for low, high in (means + ends).T]


def batch(values: Floats) -> int:
    """How many resamples of these values are made together; the result does not depend on it."""
    return max(1, NUMBERS // values.size)


def bca_ends(values: Floats, level: float = 0.95) -> tuple[Floats, Floats]:
    """The ends of the intervals for the means of the rows of values (rows, n), as two arrays (rows,).

    They are NaN where n is below FEWEST_FOR_AN_INTERVAL.
    """
    ends = [each or (np.nan, np.nan) for each in bca_intervals(values, level, RESAMPLES, seed=0)]
    low, high = np.array(ends, np.float64).reshape(-1, 2).T
    return low, high
