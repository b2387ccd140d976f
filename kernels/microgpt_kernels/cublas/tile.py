"""The insides of attention's matrix products: squares of PANEL by PANEL numbers in shared memory.

A block of TILE_THREADS threads makes a tile of a product, of which each thread holds EACH by EACH sums. A
matrix in an array of one dimension is where it begins and how far its rows are apart.

What bounds these products on a GPU are the instructions beside the multiply-adds. So inner loops turn a
constant number of times: the compiler unrolls them, and many numbers are on their way at a time. And an index
is made unsigned, or every access would ask whether it counts from the array's end.
"""

import numpy as np
from numba import cuda

from microgpt_kernels.cublas.jit import inlined
from microgpt_kernels.cublas.threads import WARP, lane

PANEL = 32
EACH = 4
SIDE = PANEL // EACH
TILE_THREADS = SIDE * SIDE
TILE_WARPS = TILE_THREADS // WARP
# rows of a tile begin at multiples of 16 bytes, so that 4 numbers are one load
PADDED = PANEL + 4
# so many rows of both tiles are multiplied in a turn of the innermost loop
TURN = 4


@inlined
def load(tile, values, begin, stride, n_rows, n_columns):
    """tile = the first rows and columns of a matrix, filled up with zeros."""
    row, column = cuda.threadIdx.x // WARP, lane()
    place = begin + row * stride + column
    for i in range(0, PANEL, TILE_WARPS):
        inside = row + i < n_rows and column < n_columns
        tile[row + i, column] = values[np.uint64(place)] if inside else tile.dtype.type(0.0)
        place += TILE_WARPS * stride


@inlined
def load_transposed(tile, values, begin, stride, n_rows, n_columns):
    """tile.T = the first rows and columns of a matrix, filled up with zeros.

    A warp reads 4 rows of 8 numbers, whole sectors of memory, and writes them to 32 banks of shared memory; a
    row of 32 would be written to 8 of them, one after the other.
    """
    row, column = cuda.threadIdx.x // SIDE, cuda.threadIdx.x & (SIDE - 1)
    place = begin + row * stride + column
    for i in range(0, PANEL, SIDE):
        for j in range(0, PANEL, SIDE):
            inside = row + i < n_rows and column + j < n_columns
            tile[column + j, row + i] = values[np.uint64(place + j)] if inside else tile.dtype.type(0.0)
        place += SIDE * stride


@inlined
def corner():
    """The row and the column of a tile where this thread's part of it begins.

    With & for %, which would ask for the sign, the compiler sees that a row of four numbers is aligned.
    """
    return cuda.threadIdx.x // SIDE * EACH, (cuda.threadIdx.x & (SIDE - 1)) * EACH


@inlined
def clear(sums):
    for i in range(EACH):
        for j in range(EACH):
            sums[i, j] = sums.dtype.type(0.0)


@inlined
def add_product(sums, a, b, depth):
    """sums += this thread's part of a.T @ b, over the first `depth` rows of both tiles and some zeros.

    Begins when all threads have written their parts of a and b, and ends when all have read them.
    """
    i, j = corner()
    cuda.syncthreads()
    for d in range(0, depth, TURN):
        row = d & (PANEL - TURN)  # the same, and to the compiler a number that is not negative
        _add_row_product(sums, a, b, row, i, j)
        _add_row_product(sums, a, b, row + 1, i, j)
        _add_row_product(sums, a, b, row + 2, i, j)
        _add_row_product(sums, a, b, row + 3, i, j)
    cuda.syncthreads()


@inlined
def _add_row_product(sums, a, b, d, i, j):
    for r in range(EACH):
        for c in range(EACH):
            sums[r, c] += a[d, i + r] * b[d, j + c]
