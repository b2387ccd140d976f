"""The rectifier."""

from microgpt_kernels.crystal.jit import kernel
from microgpt_kernels.crystal.vector import above_zero, lanes, load, maximum, store


@kernel
def relu_forward(out, inp):
    """out = max(inp, 0)

    out  (N, F)  written; may share memory with inp
    inp  (N, F)  read
    """
    N, F = out.shape
    for n in range(N):
        for f in range(0, F, lanes(out)):
            # NaN, of which no comparison is true, stays NaN: nothing hides it
            store(maximum(0.0, load(inp, n, f, F - f)), out, n, f, F - f)


@kernel
def relu_backward(dinp, dout, out):
    """dinp = dout where out > 0, else 0

    dinp  (N, F)  written; may share memory with dout
    dout  (N, F)  read
    out   (N, F)  read, as written by the forward
    """
    N, F = out.shape
    for n in range(N):
        for f in range(0, F, lanes(out)):
            kept = above_zero(load(dout, n, f, F - f), load(out, n, f, F - f))
            store(kept, dinp, n, f, F - f)
