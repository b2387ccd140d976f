"""Sums over the rows of a matrix, in parts: blocks sum some rows each, then the parts are added up.

Every part has its place and they are added in one order, so that two runs agree bit for bit; with atomic
additions they would come in any order.
"""

from numba import cuda

from microgpt_kernels.cublas.array import flat
from microgpt_kernels.cublas.device import PARTIAL_BYTES
from microgpt_kernels.cublas.jit import inlined, kernel
from microgpt_kernels.cublas.threads import WARP, blocks, lane

# a block is so many rows of threads, and each thread meets a column's numbers one by one
DEEP = 8
SQUARE = WARP * DEEP
ROWS = 128


def in_parts(n_rows, rows, *totals):
    """Where to sum n_rows rows in parts, about so many `rows` each: for each total an array (parts, *shape).

    As many parts as there is room for. A single part is the total itself, in which nothing is left to add up.

    totals  of one shape and dtype
    """
    first = totals[0]
    n = max(1, min(blocks(n_rows, rows), PARTIAL_BYTES // (len(totals) * first.nbytes)))
    if n == 1:
        return [total.reshape(1, *total.shape) for total in totals]
    room = first.device.partial((len(totals), n, *first.shape), first.dtype)
    return [room[i] for i in range(len(totals))]


def sum_rows(total, rows):
    """total = sum_N(rows)

    total  (M,)    written
    rows   (N, M)  read
    """
    N, M = rows.shape
    (parts,) = in_parts(N, ROWS, total)
    _sum_rows_kernel.launch((blocks(M, WARP), len(parts)), SQUARE, parts, rows)
    add_up(total, parts)


def add_up(total, parts):
    """total = sum over the first axis of parts, which `in_parts` has made for it

    total  (...)     written
    parts  (n, ...)  read
    """
    if len(parts) > 1:
        flat_parts = parts.reshape(len(parts), total.size)
        _add_up_kernel.launch(blocks(total.size, SQUARE), SQUARE, flat(total), flat_parts)


@kernel
def _add_up_kernel(total, parts):
    n, M = parts.shape
    m = cuda.grid(1)
    if m < M:
        value = parts[0, m]
        for i in range(1, n):
            value += parts[i, m]
        total[m] = value


@kernel
def _sum_rows_kernel(parts, rows):
    """Block (columns, part)."""
    shared = cuda.shared.array((DEEP, WARP), parts.dtype)
    N, M = rows.shape
    m = cuda.blockIdx.x * WARP + lane()
    n_parts = cuda.gridDim.y
    part = cuda.blockIdx.y
    begin, end = part * N // n_parts, (part + 1) * N // n_parts
    total = parts.dtype.type(0.0)
    if m < M:
        for n in range(begin + cuda.threadIdx.x // WARP, end, DEEP):
            total += rows[n, m]
    total = sum_of_columns(total, shared)
    if cuda.threadIdx.x < WARP and m < M:
        parts[part, m] = total


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
