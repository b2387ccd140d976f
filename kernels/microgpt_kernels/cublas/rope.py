"""Rotary positions (Su et al. 2021): pairs of columns of q and k are rotated by the position of their row."""

from numba import cuda

from microgpt_kernels.cublas.block import THREADS, WARP, WARPS, blocks, divided, lane
from microgpt_kernels.cublas.jit import kernel


def rope_forward(qkv, cos, sin, offsets, start):
    """Rotates columns (2j, 2j+1) of each head of q and k by position * 10000^(-2j/D) (equation 34).

    qkv       (N, 3C)        updated; row n is at position (start + n) mod T
    cos, sin  (T, C)         read; cosine and sine of the angle by which the pair of each column is rotated
    offsets   (H+1,)  int32  read; head h has columns offsets[h]:offsets[h+1]
    """
    _rotate(qkv, cos, sin, offsets, start, 1.0)


def rope_backward(dqkv, cos, sin, offsets):
    """Gradient of `rope_forward` for whole sequences: the rotation by the opposite angle.

    dqkv      (N, 3C)        updated
    cos, sin  (T, C)         read
    offsets   (H+1,)  int32  read
    """
    _rotate(dqkv, cos, sin, offsets, 0, -1.0)


def _rotate(qkv, cos, sin, offsets, start, direction):
    n_blocks = blocks(len(qkv), WARPS) * (len(offsets) - 1)
    _rotate_kernel.launch(n_blocks, THREADS, qkv, cos, sin, offsets, start, qkv.dtype.type(direction))


@kernel
def _rotate_kernel(qkv, cos, sin, offsets, start, direction):
    """Each block rotates some rows of one head: each warp one row, each lane some pairs of its columns."""
    T, C = cos.shape
    rows, h = divided(cuda.blockIdx.x, len(offsets) - 1)
    n = rows * WARPS + cuda.threadIdx.x // WARP
    if n < len(qkv):
        t = (start + n) % T
        # the last column of a head of odd width is not changed
        for c in range(offsets[h] + 2 * lane(), offsets[h + 1] - 1, 2 * WARP):
            for first in (0, C):  # q, then k
                x, y = qkv[n, first + c], qkv[n, first + c + 1]
                turn = direction * sin[t, c]
                qkv[n, first + c] = x * cos[t, c] - y * turn
                qkv[n, first + c + 1] = x * turn + y * cos[t, c]
