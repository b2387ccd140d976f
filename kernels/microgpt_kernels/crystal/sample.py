"""Draws the next character of a text."""

from microgpt_kernels.crystal.exponential import exp
from microgpt_kernels.crystal.jit import inlined, kernel


@kernel
def sample(window, output, clock, scratch, logits, uniform, temperature, top_k, top_p):
    """Draws a character from the last row of logits and puts it into the window.

    window   (T,)     int32  updated; the characters that the model sees
    output   (R,)     int32  updated; the characters drawn so far
    clock    (3,)     int64  updated; characters in the window, rows of it computed, characters drawn
    scratch  (2*V,)          scratch
    logits   (N, V)          read
    uniform  (R,)            read; slot clock[2] is the random number in [0, 1) for this draw

    Temperature 0 takes the likeliest character. top_k 0 and top_p 1 exclude no character. Of equally likely
    characters the one with the lower id counts as the likelier. If the window is full, its newer half
    moves to the front, and the rows of that half are computed again.
    """
    T, V = len(window), logits.shape[1]
    row = logits[logits.shape[0] - 1]
    real = row.dtype.type
    best = 0
    for v in range(V):
        if row[v] > row[best]:
            best = v
    if temperature == 0.0:
        drawn = best
    else:
        probs = scratch[:V]
        inverse = real(1.0 / temperature)
        total = real(0.0)
        for v in range(V):
            probs[v] = exp((row[v] - row[best]) * inverse)
            total += probs[v]
        if top_k > 0 or top_p < 1.0:
            drawn = _draw_from_likeliest(probs, scratch[V : 2 * V], total, uniform[clock[2]], top_k, top_p)
        else:
            drawn = _draw(probs, uniform[clock[2]] * total)

    if clock[0] == T:
        keep = T // 2
        for t in range(keep):
            window[t] = window[T - keep + t]
        clock[0] = keep
        clock[1] = 0
    else:
        clock[1] = clock[0]
    window[clock[0]] = drawn
    clock[0] += 1
    output[clock[2]] = drawn
    clock[2] += 1


@inlined
def _draw(probs, mark):
    """The first character at which the running sum of the probabilities is above the mark."""
    reached = probs.dtype.type(0.0)
    last = 0
    for v in range(len(probs)):
        if probs[v] > 0:
            last = v
            reached += probs[v]
            if reached > mark:
                break
    return last


@inlined
def _draw_from_likeliest(probs, kept, total, uniform, top_k, top_p):
    """Moves the likeliest characters from probs to kept, up to top_k or top_p, and draws one of them."""
    V = len(probs)
    real = probs.dtype.type
    for v in range(V):
        kept[v] = real(0.0)
    mass = real(0.0)
    for n in range(V):
        best = 0
        for v in range(V):
            if probs[v] > probs[best]:
                best = v
        if probs[best] <= 0:
            break
        kept[best] = probs[best]
        mass += probs[best]
        probs[best] = real(-1.0)
        if n + 1 == top_k or mass >= top_p * total:
            break
    return _draw(kept, uniform * mass)
