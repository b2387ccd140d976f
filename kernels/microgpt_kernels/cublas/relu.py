"""The rectifier, ReLU."""

from numba import cuda

from microgpt_kernels.cublas.array import flat
from microgpt_kernels.cublas.block import THREADS, blocks
from microgpt_kernels.cublas.jit import kernel


def relu_forward(out, inp):
    """out = max(inp, 0)

    out  (N, F)  written; may share memory with inp
    inp  (N, F)  read
    """
    _relu_forward_kernel.launch(blocks(out.size), THREADS, flat(out), flat(inp))


@kernel
def _relu_forward_kernel(out, inp):
    i = cuda.grid(1)
    if i < len(out):
        zero = out.dtype.type(0.0)
        out[i] = zero if inp[i] < zero else inp[i]  # a NaN stays a NaN


def relu_backward(dinp, dout, out):
    """Gradient of `relu_forward`: dinp = dout where out > 0, else 0

    dinp  (N, F)  written; may share memory with dout
    dout  (N, F)  read
    out   (N, F)  read
    """
    _relu_backward_kernel.launch(blocks(out.size), THREADS, flat(dinp), flat(dout), flat(out))


@kernel
def _relu_backward_kernel(dinp, dout, out):
    i = cuda.grid(1)
    if i < len(out):
        zero = out.dtype.type(0.0)
        dinp[i] = dout[i] if out[i] > zero else zero
