"""Kinds of arrays, and how a long one is worked through in blocks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
IdArray = npt.NDArray[np.integer[Any]]  # token ids, in integers of any width

BLOCK = 1 << 17  # numbers: a mebibyte of float64


def blocks(low: int, high: int) -> Iterator[tuple[int, int]]:
    """The borders of the blocks in which low:high is worked through, so that temporaries stay small."""
    for begin in range(low, high, BLOCK):
        yield begin, min(begin + BLOCK, high)


def all_finite(array: Array) -> bool:
    """Whether a contiguous array on the host has neither a NaN nor an infinity."""
    flat = array.reshape(-1)
    return all(np.isfinite(flat[low:high]).all() for low, high in blocks(0, len(flat)))
