"""Draws the next character of a text."""

from math import exp, inf

from numba import cuda

from microgpt_kernels.cublas.block import THREADS, WARPS, block_max
from microgpt_kernels.cublas.jit import inlined, kernel


def sample(window, output, clock, scratch, logits, uniform, temperature, top_k, top_p):
    """Draws a character from the last row of logits and puts it into the window.

    window   (T,)     int32  updated; the characters that the model sees
    output   (R,)     int32  updated; the characters drawn so far
    clock    (3,)     int64  updated; characters in the window, rows of it computed, characters drawn
    scratch  (2*V,)          scratch
    logits   (N, V)          read
    uniform  (R,)            read; slot clock[2] is the number in [0, 1) of this draw

    Temperature 0 takes the likeliest character. With top_k 0 and top_p 1 every character can be drawn. Of two
    equally likely characters the one with the lower id counts as the likelier. When the window is full, its
    newer half moves to the front, and the rows of that half are computed again.
    """
    real, V = logits.dtype.type, logits.shape[1]
    # at temperature 0 only the likeliest character can be drawn
    n_kept = 1 if temperature == 0 else top_k or V
    inverse = real(1.0 / temperature) if temperature > 0 else real(1.0)
    _sample_kernel.launch(
        1, THREADS, window, output, clock, scratch, logits[-1], uniform, inverse, n_kept, real(top_p)
    )


@kernel
def _sample_kernel(window, output, clock, scratch, row, uniform, inverse, n_kept, top_p):
    """In a single block, all threads rank the characters, and the first one draws."""
    T, V = len(window), len(row)
    real = row.dtype.type
    ranks, probs = (
        scratch[:V],
        scratch[V : 2 * V],
    )  # each character's rank; probabilities in the order of ranks
    highest = real(-inf)
    for v in range(cuda.threadIdx.x, V, THREADS):
        highest = row[v] if row[v] > highest else highest
        probs[v] = real(0.0)  # for a row with a NaN, in which several characters have the same rank
    highest = block_max(highest, cuda.shared.array(WARPS, row.dtype))
    for v in range(cuda.threadIdx.x, V, THREADS):
        rank = 0
        for u in range(V):
            if row[u] > row[v] or (row[u] == row[v] and u < v):
                rank += 1
        ranks[v] = real(rank)
        probs[rank] = exp((row[v] - highest) * inverse)
    full = clock[0] == T
    keep = T // 2
    if full:
        for t in range(cuda.threadIdx.x, keep, THREADS):
            window[t] = window[T - keep + t]
    cuda.syncthreads()
    if cuda.threadIdx.x == 0:
        drawn = _draw(ranks, probs, uniform[clock[2]], n_kept, top_p)
        clock[1] = 0 if full else clock[0]
        if full:
            clock[0] = keep
        window[clock[0]] = drawn
        clock[0] += 1
        output[clock[2]] = drawn
        clock[2] += 1


@inlined
def _draw(ranks, probs, uniform, n_kept, top_p):
    """The character that a uniform number picks, in the order of ids, from the likeliest n_kept or top_p."""
    V = len(ranks)
    real = probs.dtype.type
    total = real(0.0)
    for n in range(V):
        total += probs[n]
    mass, n = real(0.0), 0
    while n < min(n_kept, V) and (n == 0 or top_p >= real(1.0) or mass < top_p * total):
        mass += probs[n]
        n += 1
    reached, last = real(0.0), 0
    for v in range(V):
        rank = int(ranks[v])
        if rank < n and probs[rank] > real(0.0):
            last = v
            reached += probs[rank]
            if reached > uniform * mass:
                break
    return last
