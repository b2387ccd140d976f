"""The squared rectifier, the nonlinearity of the MLP (So et al. 2021, Primer, arXiv 2109.08668)."""

from microgpt_kernels.crystal.jit import kernel
from microgpt_kernels.crystal.vector import lanes, load, maximum, sqrt, store


@kernel
def relu_squared_forward(out, inp):
    """out = max(inp, 0)^2

    out  (N, F)  written; may share memory with inp
    inp  (N, F)  read
    """
    N, F = out.shape
    for n in range(N):
        for f in range(0, F, lanes(out)):
            kept = maximum(0.0, load(inp, n, f, F))  # NaN stays NaN, and the run stops as it should
            store(kept * kept, out, n, f, F)


@kernel
def relu_squared_backward(dinp, dout, out):
    """dinp = 2 * max(inp, 0) * dout

    dinp  (N, F)  written; may share memory with dout
    dout  (N, F)  read
    out   (N, F)  read, as written by the forward kernel
    """
    N, F = out.shape
    for n in range(N):
        for f in range(0, F, lanes(out)):
            kept = sqrt(load(out, n, f, F))  # max(inp, 0), since the forward kernel has overwritten inp
            store(2.0 * kept * load(dout, n, f, F), dinp, n, f, F)
