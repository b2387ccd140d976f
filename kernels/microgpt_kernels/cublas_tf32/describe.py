"""Describes what runs the kernels, in one line for `microgpt backends`."""

from microgpt_kernels.cublas import device


def describe():
    """The name of the GPU and the versions, and how TF32 rounds."""
    return f"{device.current().describe()}; products of float32 in TF32, which keeps 3 digits"
