"""The rectifier (ReLU), the nonlinearity of the MLP."""

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
            # every comparison with NaN is false, so NaN stays NaN, and the run stops as it should
            store(maximum(0.0, load(inp, n, f, F)), out, n, f, F)


@kernel
def relu_backward(dinp, dout, out):
    """dinp = dout where out > 0, else 0

    dinp  (N, F)  written; may share memory with dout
    dout  (N, F)  read
    out   (N, F)  read, as written by the forward kernel
    """
    N, F = out.shape
    for n in range(N):
        for f in range(0, F, lanes(out)):
            kept = above_zero(load(dout, n, f, F), load(out, n, f, F))
            store(kept, dinp, n, f, F)
