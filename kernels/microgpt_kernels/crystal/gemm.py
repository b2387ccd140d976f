"""The matrix product, made of register tiles. The other files here call `gemm`, `transpose` and `dots`.

Called from plain Python, these functions do the same in a few lines of NumPy, for debugging.
"""

from __future__ import annotations

from numba import types
from numba.extending import overload

from microgpt_kernels.crystal.jit import INNER, external_function, inlined
from microgpt_kernels.crystal.tile import SUMS, dot_block, make_tile, pointer, shift, transpose_block
from microgpt_kernels.crystal.vector import lanes


def gemm(out, a, b, start):
    """out = start + a @ b, where start is 0.0, a row (such as a bias) or an array as large as out.

    out    (N, M)  written; rows contiguous
    a      (N, K)  read; any strides: pass `x.T` for a transposed factor
    b      (K, M)  read; rows contiguous
    start  (), (M,) or (N, M)  read; may be out
    """
    out[...] = start
    for k in range(a.shape[1]):
        out += a[:, k : k + 1] * b[k]


def transpose(out, inp):
    """out = inp.T, as a copy. Both have contiguous rows."""
    out[...] = inp.T


def dots(out, a, b, add):
    """out = a @ b.T, where out has W columns, one for each lane of a vector. All rows are contiguous.

    out    (N, W)  written, or added to
    a      (N, K)  read; K is a multiple of W
    b      (W, K)  read

    For few rows this is faster than `gemm`, which would need a copy of b.T and leave most of its tile empty.
    """
    out[...] = out + a @ b.T if add else a @ b.T


# How many rows of b are used at a time: few enough to stay in the first-level cache for all rows of a.
DEPTH = 256


def _make_columns(n_vectors, masked):
    """A function that computes one strip of columns from top to bottom, with the tallest tiles that fit."""
    # for more than eight rows of a there are not enough registers to hold their addresses
    tall = min(8, SUMS // n_vectors)
    half, quarter = tall // 2, tall // 4
    of_tall, of_half, of_quarter, of_one = (
        make_tile(height, n_vectors, masked) for height in (tall, half, quarter, 1)
    )

    @inlined
    def columns(c, c_row, a, a_row, a_col, b, b_row, start, start_row, N, K, width):
        i = 0
        begin = max(start_row, 0)
        while i + tall <= N:
            of_tall(
                shift(c, i * c_row), c_row, shift(a, i * a_row), a_row, a_col, b, b_row, K,
                shift(start, i * begin), start_row, width,
            )  # fmt: skip
            i += tall
        if i + half <= N:
            of_half(
                shift(c, i * c_row), c_row, shift(a, i * a_row), a_row, a_col, b, b_row, K,
                shift(start, i * begin), start_row, width,
            )  # fmt: skip
            i += half
        if i + quarter <= N:
            of_quarter(
                shift(c, i * c_row), c_row, shift(a, i * a_row), a_row, a_col, b, b_row, K,
                shift(start, i * begin), start_row, width,
            )  # fmt: skip
            i += quarter
        while i < N:
            of_one(
                shift(c, i * c_row), c_row, shift(a, i * a_row), a_row, a_col, b, b_row, K,
                shift(start, i * begin), start_row, width,
            )  # fmt: skip
            i += 1

    return columns


_pairs = _make_columns(2, masked=False)
_ones = _make_columns(1, masked=False)
_edges = _make_columns(1, masked=True)


def _signature(dtype):
    address, n = types.CPointer(dtype), types.intp
    return types.void(address, n, address, n, n, address, n, address, n, n, n, n)


def _panels(c, c_row, a, a_row, a_col, b, b_row, start, start_row, N, M, K):
    """c = start + a @ b on addresses; strides count elements."""
    W = lanes(c)
    for k in range(0, K, DEPTH):
        depth = min(DEPTH, K - k)
        if k > 0:
            start, start_row = c, c_row
        j = 0
        while j < M:
            cj, bj, sj = shift(c, j), shift(b, k * b_row + j), shift(start, j)
            ak = shift(a, k * a_col)
            left = M - j
            if left >= 2 * W:
                _pairs(cj, c_row, ak, a_row, a_col, bj, b_row, sj, start_row, N, depth, left)
                j += 2 * W
            elif left >= W:
                _ones(cj, c_row, ak, a_row, a_col, bj, b_row, sj, start_row, N, depth, left)
                j += W
            else:
                _edges(cj, c_row, ak, a_row, a_col, bj, b_row, sj, start_row, N, depth, left)
                j += W


# The tiles are compiled separately and called by address. As part of each kernel they would be optimised
# again for every product of the model, and a cold start would take three times as long.
_TILED = {
    dtype: external_function(_panels, f"microgpt_gemm_{dtype}", _signature(dtype))
    for dtype in (types.float32, types.float64)
}


@overload(gemm, jit_options=INNER)
def _gemm(out, a, b, start):
    panels = _TILED[out.dtype]
    # the sums start from a matrix as large as out, from the same row for each row of out, or from zero
    if isinstance(start, types.Array):
        matrix = start.ndim == 2

        def begin(out, start):
            return pointer(start), start.strides[0] // start.itemsize if matrix else 0
    else:

        def begin(out, start):
            return pointer(out), -1

    begin = inlined(begin)

    def gemm(out, a, b, start):
        size = out.itemsize
        first, first_row = begin(out, start)
        panels(
            pointer(out), out.strides[0] // size, pointer(a), a.strides[0] // size, a.strides[1] // size,
            pointer(b), b.strides[0] // size, first, first_row, out.shape[0], out.shape[1], a.shape[1],
        )  # fmt: skip

    return gemm


@overload(transpose, jit_options=INNER)
def _transpose(out, inp):
    def transpose(out, inp):
        rows, columns = inp.shape
        out_row, inp_row = out.strides[0] // out.itemsize, inp.strides[0] // inp.itemsize
        W = lanes(out)
        full_rows, full_columns = rows - rows % W, columns - columns % W
        for i in range(0, full_rows, W):
            for j in range(0, full_columns, W):
                transpose_block(
                    shift(pointer(out), j * out_row + i),
                    out_row,
                    shift(pointer(inp), i * inp_row + j),
                    inp_row,
                )
        for i in range(rows):
            for j in range(full_columns if i < full_rows else 0, columns):
                out[j, i] = inp[i, j]

    return transpose


@overload(dots, jit_options=INNER)
def _dots(out, a, b, add):
    def dots(out, a, b, add):
        size = out.itemsize
        a_row, b_row, out_row = a.strides[0] // size, b.strides[0] // size, out.strides[0] // size
        for n in range(out.shape[0]):
            dot_block(
                shift(pointer(out), n * out_row),
                pointer(b),
                b_row,
                shift(pointer(a), n * a_row),
                a.shape[1],
                add,
            )

    return dots
