"""What runs the kernels, and how exactly."""

from microgpt_kernels.cublas import device


def describe():
    """The GPU, and what TF32 means for the results."""
    return f"{device.current().describe()}; products of float32 in TF32, which keeps 3 digits"
