"""The openblas backend: the linear maps by SciPy's BLAS, every other kernel borrowed from crystal.

Attention is borrowed too, although it consists of matrix products: those of one head are so small that BLAS
takes longer for them than crystal's tiles do (docs/backends.md has the figures).
"""

from microgpt_kernels import crystal
from microgpt_kernels.contract import borrowed
from microgpt_kernels.openblas.describe import describe
from microgpt_kernels.openblas.linear import linear_backward, linear_forward
from microgpt_kernels.openblas.threads import set_threads

# the names that this backend defines; all others are crystal's
__all__ = ["describe", "linear_backward", "linear_forward", "set_threads"]

globals().update(borrowed(crystal, own=__all__))
