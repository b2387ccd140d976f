"""Sums over the rows of a matrix, in parts: blocks sum some rows each, then the parts are added up.

Every part has its place and they are added in one order, so that two runs agree bit for bit; with atomic
additions they would come in any order. Inner loops are written as in tile.py: a constant number of turns, and
unsigned indices.
"""

import numpy as np
from numba import cuda

from microgpt_kernels.cublas.device import PARTIAL_BYTES
from microgpt_kernels.cublas.jit import inlined, kernel
from microgpt_kernels.cublas.threads import WARP, blocks, divided, lane

# a block is so many rows of threads, and each thread meets a column's numbers one by one
DEEP = 8
SQUARE = WARP * DEEP
# so many of them are on their way at a time
AHEAD = 8
# A part has so many rows: not by measurement, but by arithmetic for an H200. Up to here there is one launch,
# whose threads wait for memory 8 times: about as long as a second launch takes. At 16,384 rows of 384 columns
# there are 384 blocks with 3 MB on their way, what memory of 4.8 TB/s delivers in the 0.6 us that it takes to
# answer: smaller parts would gain nothing, and larger ones leave it idle.
ROWS = 512


def in_parts(n_rows, *totals):
    """Where to sum n_rows rows in parts: for each total an array (parts, M).

    As many parts as there is room for. A single part is the total itself, in which nothing is left to add up.

    totals  (M,), of one dtype
    """
    first = totals[0]
    n = max(1, min(blocks(n_rows, ROWS), PARTIAL_BYTES // (len(totals) * first.nbytes)))
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
    """total = sum over the parts, which `in_parts` has made for it

    total  (M,)    written
    parts  (n, M)  read
    """
    if len(parts) > 1:
        _launch(total.reshape(1, len(total)), parts)


def _launch(parts, rows):
    n, M = parts.shape
    _sum_rows_kernel.launch(blocks(M, WARP) * n, SQUARE, parts, rows)


@kernel
def _sum_rows_kernel(parts, rows):
    """A block has some columns of a part of the rows."""
    shared = cuda.shared.array((DEEP, WARP), parts.dtype)
    N, M = rows.shape
    m, part, begin, end = share_of_rows(N, len(parts))
    zero = parts.dtype.type(0.0)
    n, total = begin + cuda.threadIdx.x // WARP, zero
    if m < M:
        while n < end:
            for _ in range(AHEAD):
                total += rows[np.uint64(n), np.uint64(m)] if n < end else zero
                n += DEEP
    total = sum_of_columns(total, shared)
    if cuda.threadIdx.x < WARP and m < M:
        parts[part, m] = total


@inlined
def share_of_rows(N, n_parts):
    """A thread's column, and its block's part of N rows: which it is, where it begins and ends."""
    n_blocks, _ = divided(cuda.gridDim.x, n_parts)  # of a part
    part, columns = divided(cuda.blockIdx.x, n_blocks)
    return columns * WARP + lane(), part, part * N // n_parts, (part + 1) * N // n_parts


@inlined
def sum_of_columns(value, shared):
    """The sum over a block's rows of threads, in the threads of its first row.

    shared  (DEEP, WARP)  scratch in shared memory
    """
    shared[cuda.threadIdx.x // WARP, lane()] = value
    cuda.syncthreads()
    total = shared[0, lane()]
    for row in range(1, DEEP):
        total += shared[row, lane()]
    cuda.syncthreads()
    return total
