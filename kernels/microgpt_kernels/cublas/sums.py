"""Sums over the rows of a matrix, in parts: each block sums some rows, and then the parts are added up.

The parts are always added in the same order, so that two runs agree bit for bit; atomic additions would come
in any order. As in tile.py, inner loops have a constant number of iterations and unsigned indices.
"""

import numpy as np
from numba import cuda

from microgpt_kernels.cublas.block import WARP, blocks, divided, lane
from microgpt_kernels.cublas.device import PARTIAL_BYTES
from microgpt_kernels.cublas.jit import inlined, kernel

# A block that sums over rows has THREAD_ROWS rows of 32 threads. Each row of threads takes every eighth row
# of the matrix, and each thread stays in one column.
THREAD_ROWS = 8
SUM_THREADS = WARP * THREAD_ROWS
# how many numbers a thread requests before it waits for the first of them
LOADS = 8
# The number of rows in a part. It comes from arithmetic for an H200, not from a measurement. Up to this
# number there is one launch, whose threads wait for memory 8 times, about as long as a second launch would
# take. With 16,384 rows of 384 columns there are 384 blocks, which have requested 3 MB at any time. That is
# what memory of 4.8 TB/s delivers in its latency of 0.6 us: smaller parts would gain nothing, and
# larger ones would leave the memory idle.
ROWS_PER_PART = 512


def in_parts(n_rows, *totals):
    """Arrays for the sums over parts of n_rows rows: for each total one of shape (n_parts, M).

    The number of parts is limited by the memory for them. If there is only one, its array is the total
    itself, and nothing is left to add up.

    totals  (M,) each, of one dtype
    """
    first = totals[0]
    n = max(1, min(blocks(n_rows, ROWS_PER_PART), PARTIAL_BYTES // (len(totals) * first.nbytes)))
    if n == 1:
        return [total.reshape(1, len(total)) for total in totals]
    room = first.device.partial((len(totals), n, len(first)), first.dtype)
    return [room[i] for i in range(len(totals))]


def sum_rows(total, rows):
    """total = sum_N(rows)

    total  (M,)    written
    rows   (N, M)  read
    """
    (parts,) = in_parts(len(rows), total)
    _launch(parts, rows)
    add_up(total, parts)


def add_up(total, parts):
    """total = sum of the parts, for which `in_parts` has made the array

    total  (M,)          written
    parts  (n_parts, M)  read
    """
    if len(parts) > 1:
        _launch(total.reshape(1, len(total)), parts)


def _launch(parts, rows):
    n_parts, M = parts.shape
    _sum_rows_kernel.launch(blocks(M, WARP) * n_parts, SUM_THREADS, parts, rows)


@kernel
def _sum_rows_kernel(parts, rows):
    """Each block adds up 32 columns of one part of the rows."""
    shared = cuda.shared.array((THREAD_ROWS, WARP), parts.dtype)
    N, M = rows.shape
    m, part, begin, end = share_of_rows(N, len(parts))
    zero = parts.dtype.type(0.0)
    n, total = begin + cuda.threadIdx.x // WARP, zero
    if m < M:
        while n < end:
            for _ in range(LOADS):
                total += rows[np.uint64(n), np.uint64(m)] if n < end else zero
                n += THREAD_ROWS
    total = sum_of_columns(total, shared)
    if cuda.threadIdx.x < WARP and m < M:
        parts[part, m] = total


@inlined
def share_of_rows(N, n_parts):
    """The column of this thread, and the part of its block: its number, its first row, and its end."""
    n_blocks, _ = divided(cuda.gridDim.x, n_parts)  # blocks for each part
    part, columns = divided(cuda.blockIdx.x, n_blocks)
    return columns * WARP + lane(), part, part * N // n_parts, (part + 1) * N // n_parts


@inlined
def sum_of_columns(value, shared):
    """The sum over the values in each column of a block's threads; the first row of threads receives it.

    shared  (THREAD_ROWS, WARP)  scratch in shared memory
    """
    shared[cuda.threadIdx.x // WARP, lane()] = value
    cuda.syncthreads()
    total = shared[0, lane()]
    for row in range(1, THREAD_ROWS):
        total += shared[row, lane()]
    cuda.syncthreads()
    return total
