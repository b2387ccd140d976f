"""What counting the n-grams of a text costs, in time and in memory, and of which order they can be."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from microgpt.text.ngrams import highest_order, memory_of, ngram_name

# n-grams are of this order, or a lower one where they would take more than the first part of the memory cap,
# or more than the second one for a moment.
ORDER, MEMORY, MEMORY_FOR_A_MOMENT = 6, 0.5, 0.75
# There are none where counting them would take longer than this part of the time, and than so many seconds.
# To look up a character that is held out takes as long as to count so many.
TIME, A_MOMENT, LOOKED_UP = 0.25, 1.0, 10


class Counting(NamedTuple):
    """What is known of a text before its n-grams are counted."""

    speed: float  # characters that are counted in a second
    # the different n-grams of order 1, 2 and so on, for each character; there can be 1 of each at the most
    variety: tuple[float, ...] = ()


class Cost(NamedTuple):
    """What n-grams of an order take at the most."""

    order: int
    n_bytes: int  # that they hold
    moment: int  # bytes that are needed for a moment, while they are counted
    seconds: float


NOTHING = Cost(0, 0, 0, 0.0)


def cost(wanted: int, n_train: int, n_val: int, V: int, counting: Counting) -> Cost:
    """What n-grams take of the order that is wanted, or of the highest that can be counted.

    n_train, n_val  the characters to train on, and those that are held out
    """
    if not wanted:
        return NOTHING
    order = highest_order(V, wanted)
    grams: list[int] = []
    for m in range(1, order + 1):
        variety = counting.variety[m - 1] if m <= len(counting.variety) else 1.0
        grams.append(max(1, min(n_train, (V + 1) ** m, math.ceil(variety * (n_train + n_val)))))
    memory = memory_of(grams, V)
    seconds = (n_train + LOOKED_UP * n_val) / counting.speed
    return Cost(order, memory.held + 8 * grams[-1], memory.moment, seconds)  # with those of a checkpoint


def candidates(cap: int | None, n_train: int, n_val: int, V: int, counting: Counting) -> Iterator[Cost]:
    """The n-grams that take no more than their part of the memory, from the highest order to none."""
    room = math.inf if cap is None else cap - np.min_scalar_type(V - 1).itemsize * (n_train + n_val)
    for order in range(highest_order(V, ORDER), 0, -1):
        one = cost(order, n_train, n_val, V, counting)
        if one.n_bytes <= MEMORY * room and one.moment <= MEMORY_FOR_A_MOMENT * room:
            yield one
    yield NOTHING


def shared(seconds: float, one: Cost, *, told: bool) -> tuple[bool, float]:
    """Whether n-grams are counted in this time, and the seconds that it leaves to the network.

    told  they are counted in any case

    The network never has less of more time. So shortly before the time suffices for n-grams, it has no more
    than what they will leave it. Where they take a moment, they are counted however short the time is.
    """
    if told or one.seconds <= max(A_MOMENT, TIME * seconds):
        return True, seconds - one.seconds
    return False, min(seconds, one.seconds / TIME - one.seconds)


def reason(one: Cost, V: int, *, counted: bool) -> str:
    """What was chosen and why."""
    highest = highest_order(V, ORDER)
    seconds = "a moment" if one.seconds < 0.05 else f"about {one.seconds:,.1f} s"
    if not one.order:
        return "without n-grams of the text, which would not fit the memory cap"
    if not counted:
        return f"without n-grams of the text: to count them takes {seconds}, too much of this time"
    why = ""
    if one.order < highest:
        why = f"; {ngram_name(highest)}s might not fit the memory cap"
    elif highest < ORDER:
        why = f"; of {V:,} distinct characters, no longer ones can be counted"
    return f"{ngram_name(one.order)}s of the text, counted in {seconds}, predict beside the network{why}"
