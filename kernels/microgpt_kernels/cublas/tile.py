"""The inner loops of attention's matrix products: tiles of PANEL by PANEL numbers in shared memory.

A block of TILE_THREADS threads computes one tile of a product, and each thread a square of PER_THREAD by
PER_THREAD numbers of it. Matrices lie in arrays of one dimension: `begin` is the index of a matrix's
first number, and `stride` the distance between its rows.

On a GPU the instructions other than multiply-adds limit the speed of these products. So inner loops have a
constant number of iterations: the compiler unrolls them, and a thread loads many numbers before it waits for
one. Indices are unsigned: with signed ones each access would check whether it counts from the array's end.
"""

import numpy as np
from numba import cuda

from microgpt_kernels.cublas.block import WARP, lane
from microgpt_kernels.cublas.jit import inlined

# the number of queries that a block of attention computes together, which is the side of a tile
PANEL = 32
# the side of the square of sums that a thread holds, and the number of such squares along a side of a tile
PER_THREAD = 4
SIDE = PANEL // PER_THREAD
TILE_THREADS = SIDE * SIDE
TILE_WARPS = TILE_THREADS // WARP
# the length of a tile's rows in memory: each begins at a multiple of 16 bytes, so one load reads 4 numbers
ROW_LENGTH = PANEL + 4
# rows of both tiles that are multiplied in one iteration of the innermost loop
ROWS_PER_TURN = 4


@inlined
def load(tile, values, begin, stride, n_rows, n_columns):
    """tile = the first rows and columns of a matrix, and zeros where it ends before the tile does."""
    row, column = cuda.threadIdx.x // WARP, lane()
    place = begin + row * stride + column
    for i in range(0, PANEL, TILE_WARPS):
        inside = row + i < n_rows and column < n_columns
        tile[row + i, column] = values[np.uint64(place)] if inside else tile.dtype.type(0.0)
        place += TILE_WARPS * stride


@inlined
def load_transposed(tile, values, begin, stride, n_rows, n_columns):
    """tile.T = the first rows and columns of a matrix, and zeros where it ends before the tile does.

    A warp reads 4 rows of 8 numbers, which are whole sectors of memory, and writes them to the 32 banks of
    shared memory at once. A row of 32 numbers would go to 8 banks only, four numbers to each, one by one.
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
    """The row and the column of a tile at which this thread's square begins.

    It uses & and not %, which would check the sign, so that the compiler knows that four numbers are aligned.
    """
    return cuda.threadIdx.x // SIDE * PER_THREAD, (cuda.threadIdx.x & (SIDE - 1)) * PER_THREAD


@inlined
def clear(sums):
    for i in range(PER_THREAD):
        for j in range(PER_THREAD):
            sums[i, j] = sums.dtype.type(0.0)


@inlined
def add_product(sums, a, b, depth):
    """sums += this thread's square of a.T @ b, over the first `depth` rows of both tiles and some zeros.

    All threads of the block wait for each other at the beginning, until a and b are written, and at the end,
    until both have been read.
    """
    i, j = corner()
    cuda.syncthreads()
    for d in range(0, depth, ROWS_PER_TURN):
        row = d & (PANEL - ROWS_PER_TURN)  # equal to d, but known to the compiler as not negative
        _add_row_product(sums, a, b, row, i, j)
        _add_row_product(sums, a, b, row + 1, i, j)
        _add_row_product(sums, a, b, row + 2, i, j)
        _add_row_product(sums, a, b, row + 3, i, j)
    cuda.syncthreads()


@inlined
def _add_row_product(sums, a, b, d, i, j):
    for r in range(PER_THREAD):
        for c in range(PER_THREAD):
            sums[r, c] += a[d, i + r] * b[d, j + c]
