"""Fair to width: what heads are worth for each of their columns, and how unequally that is shared out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from microgpt.arrays import Array
from microgpt.xray.head import Head


class Fairness(NamedTuple):
    """Of H heads over all layers. Bits are per character of the text.

    per_column     (H,)       bits / D
    per_parameter  (H,)       bits / (4 C D), the weights of q, k, v and o
    lorenz         (H+1, 2)   shares of all columns, and of all bits, of the heads up to each, from (0, 0) to
                              (1, 1); those with the least bits per column come first
    gini           0 where all columns are worth the same, and near 1 where few are worth everything; NaN
                   where no head is worth anything, and the shares of bits, too
    """

    per_column: Array
    per_parameter: Array
    lorenz: Array
    gini: float


def fairness(bits: Array, heads: Sequence[Head], d_model: int) -> Fairness:
    """What `bits` (H,) of each head mean for their widths, with the curve of Lorenz 1905 and Gini's number.

    The number is twice the area between the curve and the diagonal. A share cannot be negative: a head with
    less than 0 bits, without which the text is predicted better, has a share of 0.
    """
    widths = np.array([head.width for head in heads])
    per_column = bits / widths
    order = np.argsort(per_column, kind="stable")
    with np.errstate(invalid="ignore"):
        x, y = (
            np.append(0, np.cumsum(values[order])) / values.sum() for values in (widths, np.maximum(bits, 0))
        )
    gini = 1 - float(((x[1:] - x[:-1]) * (y[1:] + y[:-1])).sum())
    return Fairness(per_column, per_column / (4 * d_model), np.stack([x, y], axis=1), gini)
