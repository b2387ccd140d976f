"""The shift in time: half of a row comes from the row before (Peng et al. 2023, RWKV, arXiv 2305.13048)."""

from microgpt_kernels.crystal.jit import inlined, kernel
from microgpt_kernels.crystal.vector import filled, lanes, load, store


@kernel
def shift_forward(out, inp, n_sequences):
    """The first C // 2 columns of each row are those of the row before, and 0 in the first row of a sequence.

        out[n, c] = inp[n - 1, c] for c < C // 2, else inp[n, c]

    out  (N, C)  written
    inp  (N, C)  read; n_sequences sequences, one after the other

    If out has fewer rows than inp, there is one sequence, and they are its last rows.
    """
    N, C = out.shape
    T, before_out = len(inp) // n_sequences, len(inp) - N
    for n in range(N):
        i = before_out + n
        if i % T == 0:
            _clear(out, n, C // 2)
        else:
            _copy(out, n, inp, i - 1, 0, C // 2)
        _copy(out, n, inp, i, C // 2, C)


@kernel
def shift_backward(dinp, dout, n_sequences):
    """Gradient of `shift_forward` for whole sequences: the first C // 2 columns are those of the row after.

        dinp[n, c] = dout[n + 1, c] for c < C // 2, else dout[n, c]

    dinp  (N, C)  written
    dout  (N, C)  read; n_sequences sequences, after whose last rows there are zeros
    """
    N, C = dout.shape
    T = N // n_sequences
    for n in range(N):
        if (n + 1) % T == 0:
            _clear(dinp, n, C // 2)
        else:
            _copy(dinp, n, dout, n + 1, 0, C // 2)
        _copy(dinp, n, dout, n, C // 2, C)


@inlined
def _copy(out, n, inp, i, begin, end):
    """out[n, begin:end] = inp[i, begin:end]"""
    for c in range(begin, end, lanes(out)):
        store(load(inp, i, c, end), out, n, c, end)


@inlined
def _clear(out, n, end):
    """out[n, :end] = 0"""
    for c in range(0, end, lanes(out)):
        store(filled(0.0, out), out, n, c, end)
