"""Rotary positions (Su et al. 2021): pairs of columns of q and k are rotated by the position of their row."""

from microgpt_kernels.crystal.jit import inlined, kernel


@inlined
def _rotate(qkv, cos, sin, offsets, start, direction):
    N = qkv.shape[0]
    T, C = cos.shape
    for n in range(N):
        t = (start + n) % T
        for first in (0, C):  # q, then k
            for h in range(len(offsets) - 1):
                # the last column of a head of odd width is not changed
                for c in range(offsets[h], offsets[h + 1] - 1, 2):
                    x, y = qkv[n, first + c], qkv[n, first + c + 1]
                    turn = direction * sin[t, c]
                    qkv[n, first + c] = x * cos[t, c] - y * turn
                    qkv[n, first + c + 1] = x * turn + y * cos[t, c]


@kernel
def rope_forward(qkv, cos, sin, offsets, start):
    """Rotates columns (2j, 2j+1) of each head of q and k by position * 10000^(-2j/D) (equation 34).

    qkv       (N, 3C)        updated; row n is at position (start + n) mod T
    cos, sin  (T, C)         read; cosine and sine of the angle by which the pair of each column is rotated
    offsets   (H+1,)  int32  read; head h has columns offsets[h]:offsets[h+1]
    """
    _rotate(qkv, cos, sin, offsets, start, qkv.dtype.type(1.0))


@kernel
def rope_backward(dqkv, cos, sin, offsets):
    """Gradient of `rope_forward` for whole sequences: the rotation by the opposite angle.

    dqkv      (N, 3C)        updated
    cos, sin  (T, C)         read
    offsets   (H+1,)  int32  read
    """
    _rotate(dqkv, cos, sin, offsets, 0, dqkv.dtype.type(-1.0))
