"""The softmax of a row, for the loss and for the single query of generation."""

import numpy as np

from microgpt_kernels.crystal.exponential import exp
from microgpt_kernels.crystal.jit import inlined
from microgpt_kernels.crystal.vector import (
    below_lane,
    filled,
    lanes,
    load,
    max_lanes,
    maximum,
    store,
    sum_lanes,
)


@inlined
def softmax_row(out, inp, n, scale):
    """out[n] = softmax(scale * inp[n]), for scale > 0. out and inp may be the same array.

    Returns (highest, total), for which out[n] = e^(scale * inp[n] - highest) / total.
    """
    C = inp.shape[1]
    W = lanes(inp)
    tops = filled(-np.inf, inp)
    for c in range(0, C, W):
        tops = maximum(tops, below_lane(load(inp, n, c, C), C - c, -np.inf))
    highest = max_lanes(tops) * scale
    totals = filled(0.0, inp)
    for c in range(0, C, W):
        powers = exp(load(inp, n, c, C) * scale - highest)
        totals += below_lane(powers, C - c, 0.0)
        store(powers, out, n, c, C)
    total = sum_lanes(totals)
    inverse = inp.dtype.type(1.0) / total
    for c in range(0, C, W):
        store(load(out, n, c, C) * inverse, out, n, c, C)
    return highest, total
