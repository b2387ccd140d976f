"""Vectors: compiled, they do what they do in plain Python, in every lane."""

import numpy as np
import pytest
from microgpt_kernels.crystal.exponential import exp
from microgpt_kernels.crystal.jit import OPTIONS
from microgpt_kernels.crystal.vector import (
    above_zero,
    below_lane,
    filled,
    from_lane,
    lanes,
    load,
    max_lanes,
    maximum,
    sqrt,
    store,
    sum_lanes,
)
from numba import njit, types
from support import TOLERANCE, Guarded, relative_error


def arithmetic(out, a, b, column, end):
    x, y = load(a, 1, column, end), load(b, 1, column, end)
    total = filled(0.0, a)
    total += x
    results = (
        x + y, x - y, x * y, x / y, total, 2.5 * x - 1,
        maximum(x, y), maximum(0.0, x), above_zero(x, y), exp(x), sqrt(y),
    )  # fmt: skip
    store(results[0], out, 0, column, end)
    store(results[1], out, 1, column, end)
    store(results[2], out, 2, column, end)
    store(results[3], out, 3, column, end)
    store(results[4], out, 4, column, end)
    store(results[5], out, 5, column, end)
    store(results[6], out, 6, column, end)
    store(results[7], out, 7, column, end)
    store(results[8], out, 8, column, end)
    store(results[9], out, 9, column, end)
    store(results[10], out, 10, column, end)


def across(out, a, b, column, end):
    x = load(a, 0, column, column + lanes(a))
    for i in range(lanes(a) + 1):
        store(from_lane(x, i, -7), out, i, 0, lanes(a))
        store(below_lane(x, i, np.inf), out, i, lanes(a), 2 * lanes(a))
    out[0, 0] = sum_lanes(x)
    out[1, 0] = max_lanes(x)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("n", [1, 2, 5, 99])
@pytest.mark.parametrize("function", [arithmetic, across])
def test_compiled_vectors_do_what_plain_ones_do(dtype, function, n):
    rng = np.random.default_rng(n)
    a, b = rng.normal(size=(2, 3, 40)).astype(dtype)
    b[1, 3:6] = np.nan, 0, np.inf
    W = lanes(a)
    matrix = types.Array(getattr(types, dtype), 2, "A")
    signature = types.void(matrix, matrix, matrix, types.intp, types.intp)
    compiled = njit(signature, **OPTIONS)(function)
    before = np.full((W + 2 if function is across else 11, max(40, 2 * W)), -1, dtype)
    found, expected = Guarded(before), before.copy()
    with np.errstate(all="ignore"):
        function(expected, a, b, 2, 2 + n)
    # a part of a vector touches nothing beyond it: the last row ends where the memory does
    compiled(found.array, a, b, 2, 2 + n)
    assert found.guards_hold()
    finite = np.isfinite(expected)
    assert np.array_equal(found.array[~finite], expected[~finite], equal_nan=True)
    assert relative_error(found.array[finite], expected[finite]) <= TOLERANCE[dtype]
