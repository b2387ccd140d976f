"""What runs the kernels, and how exactly."""

from microgpt_kernels.cublas.memory import describe as describe_gpu


def describe():
    """The GPU, and what TF32 means for the results."""
    return f"{describe_gpu()}; products of float32 in TF32, which keeps 3 digits"
