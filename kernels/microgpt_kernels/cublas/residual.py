"""The residual connection: the output of a branch is added to its input."""

from numba import cuda

from microgpt_kernels.cublas.array import flat
from microgpt_kernels.cublas.block import THREADS, blocks
from microgpt_kernels.cublas.jit import kernel


def residual_forward(out, inp, branch):
    """out = inp + branch

    out     (N, C)  written
    inp     (N, C)  read
    branch  (N, C)  read
    """
    _residual_forward_kernel.launch(blocks(out.size), THREADS, flat(out), flat(inp), flat(branch))


@kernel
def _residual_forward_kernel(out, inp, branch):
    i = cuda.grid(1)
    if i < len(out):
        out[i] = inp[i] + branch[i]


def residual_backward(dinp, dbranch):
    """dinp += dbranch

    dinp     (N, C)  accumulated
    dbranch  (N, C)  read
    """
    _residual_backward_kernel.launch(blocks(dinp.size), THREADS, flat(dinp), flat(dbranch))


@kernel
def _residual_backward_kernel(dinp, dbranch):
    i = cuda.grid(1)
    if i < len(dinp):
        dinp[i] += dbranch[i]
