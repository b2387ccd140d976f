"""The residual connection: what a branch computed, added to what went in."""

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
    """Adds the gradient that has come back through the branch to the one that has come past it.

    dinp     (N, C)  accumulated
    dbranch  (N, C)  read
    """
    N, C = dinp.shape
    for n in range(N):
        for c in range(C):
            dinp[n, c] += dbranch[n, c]
