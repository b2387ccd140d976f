"""The cublas backend with TF32: cuBLAS may round the factors of float32 products to 10 bits of mantissa.

Tensor cores then compute the products, several times as fast. float64 is not rounded.
"""

from microgpt_kernels import cublas
from microgpt_kernels.contract import borrowed
from microgpt_kernels.cublas_tf32.describe import describe
from microgpt_kernels.cublas_tf32.linear import linear_backward, linear_forward

# the names that this backend defines; all others are borrowed from cublas
__all__ = ["describe", "linear_backward", "linear_forward"]

globals().update(borrowed(cublas, own=__all__))
