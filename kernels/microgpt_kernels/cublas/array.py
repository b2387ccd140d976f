"""An array on the GPU: where it begins, its shape and its dtype. It is row-major and has no gaps."""

from __future__ import annotations

import math
from typing import Any

import numpy as np


class Array:
    """A part of a buffer on a device, or all of it.

    array[l] and array[l, low:high] are views of the same memory. A single number, such as array[0, 0] of a
    matrix, is read from the device, and the host waits for it.
    """

    __slots__ = ("buffer", "device", "dtype", "pointer", "shape")

    def __init__(self, device: Any, buffer: Any, pointer: int, shape: tuple[int, ...], dtype: Any) -> None:
        self.device, self.buffer, self.pointer = device, buffer, pointer
        self.shape, self.dtype = tuple(map(int, shape)), np.dtype(dtype)

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize

    @property
    def strides(self) -> tuple[int, ...]:
        """For each axis, how many bytes apart its elements are."""
        return tuple(math.prod(self.shape[axis + 1 :]) * self.dtype.itemsize for axis in range(self.ndim))

    def __len__(self) -> int:
        return self.shape[0]

    def reshape(self, *shape: Any) -> Array:
        """The same memory in another shape of the same size, given as lengths or as a tuple of them."""
        if isinstance(shape[0], tuple):
            (shape,) = shape
        if math.prod(shape) != self.size:
            raise ValueError(f"{self.shape} cannot become {shape}")
        return Array(self.device, self.buffer, self.pointer, shape, self.dtype)

    def __getitem__(self, index: Any) -> Any:
        pointer, rest = self.pointer, list(self.shape)
        for place, each in enumerate(index if isinstance(index, tuple) else (index,)):
            stride = math.prod(rest[1:]) * self.dtype.itemsize
            if isinstance(each, slice):
                start, stop, step = each.indices(rest[0])
                if step != 1 or (isinstance(index, tuple) and place != len(index) - 1):
                    raise IndexError(f"[{index}]: only the last index can be a slice, and its step is 1")
                pointer, rest[0] = pointer + start * stride, max(0, stop - start)
            else:
                n = rest.pop(0)
                if not -n <= each < n:
                    raise IndexError(f"index {each} is out of bounds for an axis of {n}")
                pointer += int(each) % n * stride
        view = Array(self.device, self.buffer, pointer, tuple(rest), self.dtype)
        return view if rest or not self.shape else self.device.read_one(view)


def flat(array: Array) -> Array:
    """The same memory as an array of one dimension."""
    return array.reshape(array.size)
