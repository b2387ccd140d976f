"""The embeddings of characters and of positions."""

from numba import cuda

from microgpt_kernels.cublas.array import flat
from microgpt_kernels.cublas.jit import kernel
from microgpt_kernels.cublas.sums import add_up, in_parts
from microgpt_kernels.cublas.threads import THREADS, WARP, WARPS, blocks, lane, warp_row

# so many ids are searched for one character by a block
IDS = 1024


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
    """
    V, C = dtable.shape
    (parts,) = in_parts(len(ids), IDS, dtable)
    _embedding_backward_kernel.launch((V, blocks(C), len(parts)), THREADS, parts, dout, ids)
    add_up(dtable, parts)


@kernel
def _embedding_backward_kernel(parts, dout, ids):
    """Block (character, columns, part). Each searches its ids, so that none needs an atomic addition."""
    N, C = dout.shape
    v, part, n_parts = cuda.blockIdx.x, cuda.blockIdx.z, cuda.gridDim.z
    c = cuda.blockIdx.y * cuda.blockDim.x + cuda.threadIdx.x
    if c < C:
        total = parts.dtype.type(0.0)
        for n in range(part * N // n_parts, (part + 1) * N // n_parts):
            if ids[n] == v:
                total += dout[n, c]
        parts[part, v, c] = total


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
