"""The memory that a run may take: what an array needs is booked before it is allocated."""

from __future__ import annotations

import math
from types import ModuleType

import numpy as np
import numpy.typing as npt

from microgpt.arrays import Array
from microgpt.errors import MicrogptError

ADDRESSABLE = 1 << 47  # bytes: where no cap is set, this still keeps sizes within what NumPy can count


class Budget:
    """Counts the arrays that a run holds; one that does not fit raises before it is allocated.

    Not counted are counters of a few bytes, what is needed for a moment only, such as the weights of another
    run from their file to their place, and a GPU's own copies of the text and of the order of its chunks.

    cap  bytes; None for no limit
    """

    def __init__(self, cap: int | None) -> None:
        self.cap = cap
        self.held = 0

    def book(self, n_bytes: int, what: str, remedy: str) -> None:
        """Count bytes that something is about to allocate, or raise MicrogptError."""
        if self.held + n_bytes > ADDRESSABLE:
            raise MicrogptError(
                f"no computer has the {format_bytes(n_bytes)} that {what} would take; {remedy}"
            )
        if self.cap is not None and self.held + n_bytes > self.cap:
            raise MicrogptError(
                f"out of memory budget: {format_bytes(n_bytes)} for {what} do not fit, "
                f"{format_bytes(self.held)} of the {format_bytes(self.cap)} cap are held; {remedy}, "
                "or raise --memory-cap"
            )
        self.held += n_bytes

    def zeros(
        self, k: ModuleType, shape: tuple[int, ...], dtype: npt.DTypeLike, what: str, remedy: str
    ) -> Array:
        """A zeroed array of the backend."""
        self.book(math.prod(shape) * np.dtype(dtype).itemsize, what, remedy)
        array: Array = k.zeros(shape, dtype)
        return array


def format_bytes(n_bytes: int) -> str:
    """1536 -> '1.5 KiB'."""
    size = float(n_bytes)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024 or unit == "GiB":
            break
        size /= 1024
    return f"{size:.0f} {unit}" if size >= 100 or unit == "B" else f"{size:.1f} {unit}"
