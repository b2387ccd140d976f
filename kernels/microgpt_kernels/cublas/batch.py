"""The batch of a step: each row of it goes through a different part of the text."""

from numba import cuda

from microgpt_kernels.cublas.block import THREADS, WARP, blocks, warp_sum
from microgpt_kernels.cublas.jit import inlined, kernel


def batch_fill(inputs, targets, n_targets, ids, order, clock, stride):
    """Row b goes through the chunks from b*Q//B to (b+1)*Q//B of the text, one at each step.

    Chunk i starts at character i*stride. Only the last `stride` targets of a chunk are used, since the
    previous chunk has the others; of chunk 0 all targets are used.

    inputs, targets  (B, T) int32  written; 0 and -1 where there is no character
    n_targets        (1,)   int64  written; how many targets there are
    ids              (X,)          read; the text, as unsigned integers of any width
    order            (Q,)   int64  read; the order of the chunks; empty for the order of the text
    clock            (2,)   int64  read; clock[0] is the step
    """
    _batch_fill_kernel.launch(
        blocks(inputs.size), THREADS, inputs, targets, n_targets, ids, order, clock, stride
    )


@kernel
def _batch_fill_kernel(inputs, targets, n_targets, ids, order, clock, stride):
    """Each thread fills in one character. The first warp also counts the targets, one row in each lane."""
    B, T = inputs.shape
    i = cuda.grid(1)
    b, t = i // T, i % T
    if b < B:
        start, first, stop = _bounds(b, inputs, ids, order, clock, stride)
        place = start + t
        inputs[b, t] = ids[place] if place < stop else 0
        targets[b, t] = ids[place + 1] if first <= place and place < stop else -1
    if i < WARP:
        count = 0
        for row in range(i, B, WARP):
            _, first, stop = _bounds(row, inputs, ids, order, clock, stride)
            count += stop - first
        count = warp_sum(count)
        if i == 0:
            n_targets[0] = count


@inlined
def _bounds(b, inputs, ids, order, clock, stride):
    """Three indices into the text: where row b begins, its first target's character, and its end."""
    B, T = inputs.shape
    n_chunks = 1 + max(0, (len(ids) - 2 - T + stride) // stride)
    place = b * n_chunks // B + clock[0] % ((n_chunks + B - 1) // B)
    start, first, stop = 0, 0, 0
    if place < (b + 1) * n_chunks // B:
        chunk = order[place] if len(order) > 0 else place
        start = chunk * stride
        stop = min(start + T, len(ids) - 1)
        first = start if chunk == 0 else start + T - stride
    return start, first, stop
