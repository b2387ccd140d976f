"""What runs the kernels."""

from microgpt_kernels.cublas import device


def describe():
    """The GPU and the versions of what drives it."""
    return device.current().describe()
