"""The residual connection: the output of a branch is added to its input."""

from microgpt_kernels.crystal.jit import kernel


@kernel
def residual_forward(out, inp, branch):
    """out = inp + branch

    out          (N, C)  written
    inp, branch  (N, C)  read
    """
    N, C = out.shape
    for n in range(N):
        for c in range(C):
            out[n, c] = inp[n, c] + branch[n, c]


@kernel
def residual_backward(dinp, dbranch):
    """dinp += dbranch: the gradient through the branch is added to the gradient that bypasses it.

    dinp     (N, C)  accumulated
    dbranch  (N, C)  read
    """
    N, C = dinp.shape
    for n in range(N):
        for c in range(C):
            dinp[n, c] += dbranch[n, c]
