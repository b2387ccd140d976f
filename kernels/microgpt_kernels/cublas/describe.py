"""Describes what runs the kernels, in one line for `microgpt backends`."""

from microgpt_kernels.cublas import device


def describe():
    """The name of the GPU, and the versions of the driver and of CUDA's packages."""
    return device.current().describe()
