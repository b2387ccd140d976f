"""The insides of attention's matrix products: squares of PANEL by PANEL numbers in shared memory.

A block of TILE_THREADS threads makes a tile of a product, of which each thread holds EACH by EACH sums. A
matrix in an array of one dimension is where it begins and how far its rows are apart.
"""

from numba import cuda

from microgpt_kernels.contract import PANEL
from microgpt_kernels.cublas.jit import inlined
from microgpt_kernels.cublas.threads import WARP, lane

EACH = 4
SIDE = PANEL // EACH
TILE_THREADS = SIDE * SIDE
TILE_WARPS = TILE_THREADS // WARP
# rows of a tile begin at multiples of 16 bytes, so that 4 numbers are one load
PADDED = PANEL + 4


@inlined
def load(tile, values, begin, stride, n_rows, n_columns):
    """tile = the first rows and columns of a matrix, filled up with zeros."""
    column = lane()
    for row in range(cuda.threadIdx.x // WARP, PANEL, TILE_WARPS):
        inside = row < n_rows and column < n_columns
        tile[row, column] = values[begin + row * stride + column] if inside else tile.dtype.type(0.0)


@inlined
def load_transposed(tile, values, begin, stride, n_rows, n_columns):
    """tile.T = the first rows and columns of a matrix, filled up with zeros.

    A warp reads 4 rows of 8 numbers, whole sectors of memory, and writes them to 32 banks of shared memory; a
    row of 32 would be written to 8 of them, one after the other.
    """
    for row in range(cuda.threadIdx.x // SIDE, PANEL, SIDE):
        for column in range(cuda.threadIdx.x & (SIDE - 1), PANEL, SIDE):
            inside = row < n_rows and column < n_columns
            tile[column, row] = values[begin + row * stride + column] if inside else tile.dtype.type(0.0)


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
    """sums += this thread's part of a.T @ b, over the first `depth` rows of both tiles.

    Begins when all threads have written their parts of a and b, and ends when all have read them.
    """
    i, j = corner()
    cuda.syncthreads()
    for d in range(depth):
        for r in range(EACH):
            for c in range(EACH):
                sums[r, c] += a[d, i + r] * b[d, j + c]
    cuda.syncthreads()
