"""Arrays on the CPU are NumPy arrays. New ones begin on a cache line, for aligned vector loads."""

import numpy as np

CACHE_LINE = 64


def zeros(shape, dtype):
    """A zeroed array that begins on a cache line."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    buffer = np.zeros(size + CACHE_LINE, np.uint8)
    begin = -buffer.ctypes.data % CACHE_LINE
    return buffer[begin : begin + size].view(dtype).reshape(shape)


def overhead():
    """Zero: the memory that the backend itself uses is negligible."""
    return 0


def to_device(values):
    """The array itself."""
    return values


def to_host(array):
    """The array itself."""
    return array


def from_host(array, values):
    """array = values"""
    array[...] = values
