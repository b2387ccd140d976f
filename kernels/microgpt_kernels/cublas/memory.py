"""Arrays on the GPU, and copies between the host and the GPU."""

from microgpt_kernels.cublas import device
from microgpt_kernels.cublas.blas import WORKSPACE_BYTES
from microgpt_kernels.cublas.device import PARTIAL_BYTES


def zeros(shape, dtype):
    """An array of zeros on the GPU."""
    return device.current().zeros(shape, dtype)


def to_device(values):
    """A copy of a NumPy array on the GPU."""
    array = zeros(values.shape, values.dtype)
    from_host(array, values)
    return array


def to_host(array):
    """A copy of an array as a NumPy array, once all work requested so far is done."""
    return array.device.download(array)


def from_host(array, values):
    """array = values"""
    array.device.upload(array, values)


def overhead():
    """The bytes of two workspaces: that of cuBLAS, and that of kernels which work in several launches."""
    return WORKSPACE_BYTES + PARTIAL_BYTES
