"""The embeddings of characters and of positions."""

import numpy as np
from numba import cuda

from microgpt_kernels.cublas.array import flat
from microgpt_kernels.cublas.block import THREADS, WARP, WARPS, blocks, divided, lane, warp_row, warp_sum
from microgpt_kernels.cublas.device import PARTIAL_BYTES
from microgpt_kernels.cublas.jit import kernel
from microgpt_kernels.cublas.sums import SUM_THREADS, THREAD_ROWS, sum_of_columns

# rows that are sorted together, by comparing each with each
SORTED_ROWS = 4096


def embedding_forward(out, ids, table):
    """out[n] = table[ids[n]]

    out    (N, C)         written
    ids    (N,)    int32  read
    table  (V, C)         read
    """
    _embedding_forward_kernel.launch(blocks(len(out), WARPS), THREADS, out, ids, table)


@kernel
def _embedding_forward_kernel(out, ids, table):
    """Each warp copies one row."""
    n = warp_row()
    if n < len(out):
        v = ids[n]
        for c in range(lane(), out.shape[1], WARP):
            out[n, c] = table[v, c]


def embedding_backward(dtable, dout, ids):
    """dtable[v] = sum of dout[n] over all n with ids[n] = v

    dtable  (V, C)         written
    dout    (N, C)         read
    ids     (N,)    int32  read

    The rows are sorted by their characters first, SORTED_ROWS at a time, so that nothing has to search for
    the rows of a character. That takes N * (SORTED_ROWS + V) comparisons, of which a warp makes 32 at a time,
    and then N * C additions. Searching would take N * V comparisons for each of the C columns.
    """
    V, _ = dtable.shape
    # sort as many parts at a time as there is memory for, which is enough for millions of rows
    n_parts = PARTIAL_BYTES // (ids.dtype.itemsize * (SORTED_ROWS + V + 1))
    for low in range(0, len(ids), n_parts * SORTED_ROWS):
        rows = slice(low, min(len(ids), low + n_parts * SORTED_ROWS))
        _sum_by_character(dtable, dout[rows], ids[rows], low > 0)


def _sum_by_character(dtable, dout, ids, accumulate):
    (V, C), N = dtable.shape, len(ids)
    n_parts = blocks(N, SORTED_ROWS)
    room = ids.device.partial((N + n_parts * (V + 1),), ids.dtype)
    order, starts = room[:N], room[N:].reshape(n_parts, V + 1)
    n_sorted = n_parts * (min(SORTED_ROWS, N) + V + 1)
    _sort_kernel.launch(blocks(n_sorted, WARPS), THREADS, order, starts, ids)
    n_blocks = blocks(C, WARP) * V
    _embedding_backward_kernel.launch(n_blocks, SUM_THREADS, dtable, dout, order, starts, int(accumulate))


@kernel
def _sort_kernel(order, starts, ids):
    """The rows of each part in the order of their characters, and where each character's rows begin.

    order   (N,)             written; of equal characters the earlier row comes first
    starts  (n_parts, V+1)   written; of character v they are order[starts[part, v]:starts[part, v + 1]]

    Each warp places one row, or one character's beginning, by counting the rows that come before it.
    """
    n_parts, n_starts = starts.shape
    n_rows = min(SORTED_ROWS, len(ids))
    part, i = divided(warp_row(), n_rows + n_starts)
    begin = part * SORTED_ROWS
    end = min(begin + SORTED_ROWS, len(ids))
    is_row = i < n_rows
    if part >= n_parts or (is_row and begin + i >= end):
        return
    # a row comes after the earlier rows of its character, and the character's beginning before all of them
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
    """Each block adds up 32 columns of one character, whose rows its rows of threads take in turn."""
    shared = cuda.shared.array((THREAD_ROWS, WARP), dtable.dtype)
    V, C = dtable.shape
    n_blocks, _ = divided(cuda.gridDim.x, V)  # blocks for each character
    v, columns = divided(cuda.blockIdx.x, n_blocks)
    c = columns * WARP + lane()
    total = dtable.dtype.type(0.0)
    if c < C:
        for part in range(len(starts)):
            i, end = starts[part, v] + cuda.threadIdx.x // WARP, starts[part, v + 1]
            while i < end:
                total += dout[np.uint64(order[np.uint64(i)]), np.uint64(c)]
                i += THREAD_ROWS
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
    """Each warp adds one row of the table."""
    n = warp_row()
    if n < len(out):
        t = (start + n) % len(table)
        for c in range(lane(), out.shape[1], WARP):
            out[n, c] += table[t, c]


def position_backward(dtable, dout):
    """dtable[t] = sum of dout[n] over all n at position t, which is n mod T

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
