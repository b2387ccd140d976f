"""The rectifier."""

from microgpt_kernels.crystal.jit import kernel


@kernel
def relu_forward(out, inp):
    """out = max(inp, 0)

    out  (N, F)  written; may share memory with inp
    inp  (N, F)  read
    """
    N, F = out.shape
    zero = inp.dtype.type(0.0)
    for n in range(N):
        for f in range(F):
            # not max(): that would turn NaN into 0 and hide it
            out[n, f] = zero if inp[n, f] < zero else inp[n, f]


@kernel
def relu_backward(dinp, dout, out):
    """dinp = dout where out > 0, else 0

    dinp  (N, F)  written; may share memory with dout
    dout  (N, F)  read
    out   (N, F)  read, as written by the forward
    """
    N, F = out.shape
    zero = dout.dtype.type(0.0)
    for n in range(N):
        for f in range(F):
            dinp[n, f] = dout[n, f] if out[n, f] > zero else zero
