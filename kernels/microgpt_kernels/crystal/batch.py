"""The batch of a step. Each row of it goes through a part of the text, one chunk at each step."""

from microgpt_kernels.crystal.jit import kernel


@kernel
def batch_fill(inputs, targets, n_targets, ids, order, clock, stride):
    """Row b goes through the chunks b*Q//B to (b+1)*Q//B of the text; chunk i starts at character i*stride.

    Chunks overlap if the stride is below T. So only the last `stride` targets of a chunk are used: those
    before them belong to the previous chunk. In the first chunk all targets are used.

    inputs, targets  (B, T) int32  written; 0 and -1 where there is no character
    n_targets        (1,)   int64  written; how many targets there are
    ids              (X,)          read; the text, in unsigned integers of 8, 16 or 32 bits
    order            (Q,)   int64  read; the order of the chunks; empty for the order of the text
    clock            (2,)   int64  read; clock[0] is the step
    """
    B, T = inputs.shape
    length = len(ids)
    n_chunks = 1 + max(0, (length - 2 - T + stride) // stride)
    step = clock[0] % ((n_chunks + B - 1) // B)
    count = 0
    for b in range(B):
        for t in range(T):
            inputs[b, t] = 0
            targets[b, t] = -1
        place = b * n_chunks // B + step
        if place < (b + 1) * n_chunks // B:
            chunk = order[place] if len(order) > 0 else place
            start = chunk * stride
            stop = min(start + T, length - 1)
            first = start if chunk == 0 else start + T - stride
            for i in range(start, stop):
                inputs[b, i - start] = ids[i]
                if i >= first:
                    targets[b, i - start] = ids[i + 1]
                    count += 1
    n_targets[0] = count
