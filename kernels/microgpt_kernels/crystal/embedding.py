"""The learned embeddings of characters and positions."""

from microgpt_kernels.crystal.jit import kernel


@kernel
def embedding_forward(out, ids, table):
    """Row n is the embedding of character ids[n].

    out    (N, C)       written
    ids    (N,)  int32  read
    table  (V, C)       read
    """
    N, C = out.shape
    for n in range(N):
        i = ids[n]
        for c in range(C):
            out[n, c] = table[i, c]


@kernel
def embedding_backward(dtable, dout, ids):
    """Gradient of `embedding_forward`.

    dtable  (V, C)       written
    dout    (N, C)       read
    ids     (N,)  int32  read
    """
    N, C = dout.shape
    for i in range(len(dtable)):
        for c in range(C):
            dtable[i, c] = dtable.dtype.type(0.0)
    for n in range(N):
        i = ids[n]
        for c in range(C):
            dtable[i, c] += dout[n, c]


@kernel
def position_forward(out, table, start):
    """Adds to row n the vector of its position, (start + n) mod T.

    out    (N, C)  accumulated
    table  (T, C)  read
    """
    N, C = out.shape
    T = table.shape[0]
    for n in range(N):
        t = (start + n) % T
        for c in range(C):
            out[n, c] += table[t, c]


@kernel
def position_backward(dtable, dout):
    """Gradient of `position_forward` for whole sequences.

    dtable  (T, C)  written
    dout    (N, C)  read
    """
    N, C = dout.shape
    T = dtable.shape[0]
    for t in range(T):
        for c in range(C):
            dtable[t, c] = dout[t, c]
    for n in range(T, N):
        t = n % T
        for c in range(C):
            dtable[t, c] += dout[n, c]
