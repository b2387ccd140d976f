"""The squared rectifier (So et al. 2021, Primer, arXiv 2109.08668)."""

from math import sqrt

from numba import cuda

from microgpt_kernels.cublas.array import flat
from microgpt_kernels.cublas.block import THREADS, blocks
from microgpt_kernels.cublas.jit import kernel


def relu_squared_forward(out, inp):
    """out = max(inp, 0)^2

    out  (N, F)  written; may share memory with inp
    inp  (N, F)  read
    """
    _relu_squared_forward_kernel.launch(blocks(out.size), THREADS, flat(out), flat(inp))


@kernel
def _relu_squared_forward_kernel(out, inp):
    i = cuda.grid(1)
    if i < len(out):
        zero = out.dtype.type(0.0)
        kept = zero if inp[i] < zero else inp[i]  # a NaN stays a NaN
        out[i] = kept * kept


def relu_squared_backward(dinp, dout, out):
    """Gradient of `relu_squared_forward`: dinp = 2 * max(inp, 0) * dout, where max(inp, 0) = sqrt(out)

    dinp  (N, F)  written; may share memory with dout
    dout  (N, F)  read
    out   (N, F)  read
    """
    _relu_squared_backward_kernel.launch(blocks(out.size), THREADS, flat(dinp), flat(dout), flat(out))


@kernel
def _relu_squared_backward_kernel(dinp, dout, out):
    i = cuda.grid(1)
    if i < len(out):
        two = out.dtype.type(2.0)
        dinp[i] = two * sqrt(out[i]) * dout[i]
