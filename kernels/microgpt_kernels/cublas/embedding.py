"""The embeddings of characters and of positions."""

import numpy as np
from numba import cuda

from microgpt_kernels.cublas.array import flat
from microgpt_kernels.cublas.device import PARTIAL_BYTES
from microgpt_kernels.cublas.jit import kernel
from microgpt_kernels.cublas.sums import DEEP, SQUARE, sum_of_columns
from microgpt_kernels.cublas.threads import THREADS, WARP, WARPS, blocks, divided, lane, warp_row, warp_sum

# so many rows are sorted by comparing each with each
PART = 4096


def embedding_forward(out, ids, table):
    """out[n] = table[ids[n]]

    out    (N, C)         written
    ids    (N,)    int32  read
    table  (V, C)         read
    """
    _embedding_forward_kernel.launch(blocks(len(out), WARPS), THREADS, out, ids, table)


@kernel
def _embedding_forward_kernel(out, ids, table):
    """A warp has a row."""
    n = warp_row()
    if n < len(out):
        v = ids[n]
        for c in range(lane(), out.shape[1], WARP):
            out[n, c] = table[v, c]


def embedding_backward(dtable, dout, ids):
    """dtable[v] = sum of dout[n] over the n where ids[n] is v

    dtable  (V, C)         written
    dout    (N, C)         read
    ids     (N,)    int32  read

    The rows are sorted by their character first, PART at a time, so that nobody has to search for a
    character's rows. It costs N * (PART + V) comparisons, which a warp makes 32 at a time, and then N * C
    additions; to search would be N * V comparisons for each of the C columns.
    """
    V, _ = dtable.shape
    # as many rows at a time as their order has room for: millions
    n_parts = PARTIAL_BYTES // (ids.dtype.itemsize * (PART + V + 1))
    for low in range(0, len(ids), n_parts * PART):
        rows = slice(low, min(len(ids), low + n_parts * PART))
        _sum_by_character(dtable, dout[rows], ids[rows], low > 0)


def _sum_by_character(dtable, dout, ids, accumulate):
    (V, C), N = dtable.shape, len(ids)
    n_parts = blocks(N, PART)
    room = ids.device.partial((N + n_parts * (V + 1),), ids.dtype)
    order, starts = room[:N], room[N:].reshape(n_parts, V + 1)
    n_sorted = n_parts * (min(PART, N) + V + 1)
    _sort_kernel.launch(blocks(n_sorted, WARPS), THREADS, order, starts, ids)
    n_blocks = blocks(C, WARP) * V
    _embedding_backward_kernel.launch(n_blocks, SQUARE, dtable, dout, order, starts, int(accumulate))


@kernel
def _sort_kernel(order, starts, ids):
    """The rows of each part in the order of their characters, and where each character's rows begin.

    order   (N,)             written; of equal characters the earlier row comes first
    starts  (n_parts, V+1)   written; of character v they are order[starts[part, v]:starts[part, v + 1]]

    A warp has a row, or a character, and counts the rows that come before it.
    """
    n_parts, n_starts = starts.shape
    n_rows = min(PART, len(ids))
    part, i = divided(warp_row(), n_rows + n_starts)
    begin = part * PART
    end = min(begin + PART, len(ids))
    is_row = i < n_rows
    if part >= n_parts or (is_row and begin + i >= end):
        return
    # of its own character a row comes after those before it, and the beginning after none
    character, before = (ids[begin + i], begin + i) if is_row else (i - n_rows, begin)
    n, place = begin + lane(), 0
    while n < before:
        place += ids[np.uint64(n)] <= character
        n += WARP
    while n < end:
        place += ids[np.uint64(n)] < character
        n += WARP
    place = begin + warp_sum(place)
    if lane() == 0:
        if is_row:
            order[place] = before
        else:
            starts[part, i - n_rows] = place


@kernel
def _embedding_backward_kernel(dtable, dout, order, starts, accumulate):
    """A block has some columns of a character. Its rows of threads take the character's rows in turn."""
    shared = cuda.shared.array((DEEP, WARP), dtable.dtype)
    V, C = dtable.shape
    n_blocks, _ = divided(cuda.gridDim.x, V)  # of a character
    v, columns = divided(cuda.blockIdx.x, n_blocks)
    c = columns * WARP + lane()
    total = dtable.dtype.type(0.0)
    if c < C:
        for part in range(len(starts)):
            i, end = starts[part, v] + cuda.threadIdx.x // WARP, starts[part, v + 1]
            while i < end:
                total += dout[np.uint64(order[np.uint64(i)]), np.uint64(c)]
                i += DEEP
    total = sum_of_columns(total, shared)
    if cuda.threadIdx.x < WARP and c < C:
        dtable[v, c] = dtable[v, c] + total if accumulate else total


def position_forward(out, table, start):
    """out[n] += table[(start + n) mod T]

    out    (N, C)  accumulated
    table  (T, C)  read
    """
    _position_forward_kernel.launch(blocks(len(out), WARPS), THREADS, out, table, start)


@kernel
def _position_forward_kernel(out, table, start):
    """A warp has a row."""
    n = warp_row()
    if n < len(out):
        t = (start + n) % len(table)
        for c in range(lane(), out.shape[1], WARP):
            out[n, c] += table[t, c]


def position_backward(dtable, dout):
    """dtable[t] = sum of dout[n] over the n that stand at position t: n mod T is t

    dtable  (T, C)  written
    dout    (N, C)  read
    """
    _position_backward_kernel.launch(blocks(dtable.size), THREADS, flat(dtable), flat(dout))


@kernel
def _position_backward_kernel(dtable, dout):
    i = cuda.grid(1)
    if i < len(dtable):
        total = dtable.dtype.type(0.0)
        for j in range(i, len(dout), len(dtable)):
            total += dout[j]
        dtable[i] = total
