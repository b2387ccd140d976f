"""The batch of a step: a walk through the text from as many places as the batch has rows."""

from numba import cuda

from microgpt_kernels.cublas.jit import inlined, kernel
from microgpt_kernels.cublas.threads import THREADS, WARP, blocks, warp_sum


def batch_fill(inputs, targets, n_targets, ids, order, clock, stride):
    """Row b walks the chunks b*Q//B to (b+1)*Q//B of the text, one chunk a step; chunk i starts at i*stride.

    Chunk i > 0 counts only its last `stride` targets: those before are the previous chunk's.

    inputs, targets  (B, T) int32  written; 0 and -1 where there is no character
    n_targets        (1,)   int64  written; how many targets there are
    ids              (X,)          read; the text, in unsigned integers of any width
    order            (Q,)   int64  read; which chunk comes when; empty for the order of the text
    clock            (2,)   int64  read; clock[0] is the step
    """
    _batch_fill_kernel.launch(
        blocks(inputs.size), THREADS, inputs, targets, n_targets, ids, order, clock, stride
    )


@kernel
def _batch_fill_kernel(inputs, targets, n_targets, ids, order, clock, stride):
    """A thread has one character; the first warp also counts the targets, a lane a row at a time."""
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
    """Where in the text row b begins, where its first target's character stands, and where the row ends."""
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
