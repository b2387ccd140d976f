"""The shift in time: half of a row comes from the row before (Peng et al. 2023, RWKV, arXiv 2305.13048)."""

from microgpt_kernels.cublas.block import THREADS, WARP, WARPS, blocks, lane, warp_row
from microgpt_kernels.cublas.jit import kernel


def shift_forward(out, inp, n_sequences):
    """The first C // 2 columns of each row are those of the row before, and 0 in the first row of a sequence.

    out  (N, C)  written
    inp  (N, C)  read; n_sequences sequences, one after the other

    If out has fewer rows than inp, there is one sequence, and they are its last rows.
    """
    _shift_forward_kernel.launch(blocks(len(out), WARPS), THREADS, out, inp, len(inp) // n_sequences)


@kernel
def _shift_forward_kernel(out, inp, T):
    """Each warp writes one row."""
    n = warp_row()
    if n < len(out):
        C = out.shape[1]
        i = len(inp) - len(out) + n
        is_first = i % T == 0
        for c in range(lane(), C, WARP):
            if c >= C // 2:
                out[n, c] = inp[i, c]
            else:
                out[n, c] = out.dtype.type(0.0) if is_first else inp[i - 1, c]


def shift_backward(dinp, dout, n_sequences):
    """Gradient of `shift_forward` for whole sequences: the first C // 2 columns are those of the row after.

    dinp  (N, C)  written
    dout  (N, C)  read; n_sequences sequences, after whose last rows there are zeros
    """
    _shift_backward_kernel.launch(blocks(len(dout), WARPS), THREADS, dinp, dout, len(dout) // n_sequences)


@kernel
def _shift_backward_kernel(dinp, dout, T):
    """Each warp writes one row."""
    n = warp_row()
    if n < len(dinp):
        C = dinp.shape[1]
        is_last = (n + 1) % T == 0
        for c in range(lane(), C, WARP):
            if c >= C // 2:
                dinp[n, c] = dout[n, c]
            else:
                dinp[n, c] = dinp.dtype.type(0.0) if is_last else dout[n + 1, c]
