"""How predictable the characters of a text are, from how often they and their pairs occur."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from microgpt.arrays import IdArray
from microgpt.text.reading import BLOCK_SIZE

MAX_PAIRS = 1 << 20  # different pairs of neighbours that `entropies` counts: with them it needs about 50 MiB


def entropies(ids: IdArray, V: int) -> tuple[float, float | None]:
    """How predictable a text (n,) of token ids below V is, in nats per character.

    Returns the unigram entropy H(x_t), the loss of a model that knows only how frequent each character is,
    and the bigram entropy H(x_t | x_{t-1}), the loss of one that also sees the character before. Both are
    exact for this text, not estimates. They are 0.0 for a text too short to have them; None for the bigram
    entropy of a text with more than MAX_PAIRS different pairs of neighbours: they would take too much memory.
    """
    if len(ids) < 2:
        return 0.0, 0.0
    counted = _count_pairs(ids, V)
    if counted is None:
        occurrences = np.zeros(V, np.int64)
        for at in range(0, len(ids), BLOCK_SIZE):
            occurrences += np.bincount(ids[at : at + BLOCK_SIZE], minlength=V)
        return _entropy(occurrences), None
    pairs, pair_counts = counted
    before = np.bincount(pairs // V, weights=pair_counts, minlength=V)  # float64, exact below 2**53
    every = before.copy()
    every[ids[-1]] += 1  # the last character comes before no other
    return _entropy(every), max(0.0, _entropy(pair_counts) - _entropy(before))


def _count_pairs(ids: IdArray, V: int) -> tuple[IdArray, NDArray[np.int64]] | None:
    """The different pairs of neighbours, each as first * V + second, and how often each occurs.

    None if there are more than MAX_PAIRS of them.
    """
    n_possible = V * V
    block_size = 1 << 20 if n_possible <= MAX_PAIRS else 1 << 18
    code = np.uint32 if n_possible <= 1 << 32 else np.int64  # 32 bits sort in two thirds of the time
    # a pair needs two ids, so each block also has the first id of the next one
    starts = range(0, len(ids) - 1, block_size)
    blocks: Iterator[IdArray] = (ids[at : at + block_size + 1].astype(code) for at in starts)
    codes: Iterator[IdArray] = (block[:-1] * V + block[1:] for block in blocks)
    if n_possible <= MAX_PAIRS:
        table = np.zeros(n_possible, np.int64)
        for block in codes:
            table += np.bincount(block, minlength=n_possible)
        occurring = np.flatnonzero(table)
        return occurring, table[occurring]

    # most of the possible pairs of a large vocabulary never occur: keep a sorted list of those that do
    pairs: IdArray = np.empty(0, code)
    counts = np.empty(0, np.int64)
    for block in codes:
        found, found_counts = np.unique(block, return_counts=True)
        places: NDArray[np.intp] = np.searchsorted(pairs, found)
        inside = places < len(pairs)
        known = inside.copy()
        known[inside] = pairs[places[inside]] == found[inside]
        if len(pairs) + np.count_nonzero(~known) > MAX_PAIRS:
            return None
        counts[places[known]] += found_counts[known]
        pairs = np.insert(pairs, places[~known], found[~known])
        counts = np.insert(counts, places[~known], found_counts[~known])
    return pairs, counts


def _entropy(counts: NDArray[Any]) -> float:
    total = counts.sum()
    occurring = counts[counts > 0]
    return max(0.0, float(np.log(total) - (occurring * np.log(occurring)).sum() / total))
