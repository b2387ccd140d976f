"""The induction score: whether a head finds what followed last time, in a random string that is repeated."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from microgpt.arrays import Array, IdArray
from microgpt.xray.head import Head
from microgpt.xray.reading import Reading

STRINGS = 16


def repeated_strings(V: int, T: int) -> IdArray:
    """The ids (STRINGS * T + 1,) of random strings, each of which fills a window with two copies of it.

    A string has T // 2 characters of the vocabulary, each as often as any other as far as possible, in
    random order. So most characters of a copy are there once, and it is plain what followed one. (Trained
    models know few of these strings from their text; that is the point, and also why a model may do worse
    here than on its text.) The strings are always the same.
    """
    half = T // 2
    random = np.random.default_rng(0)
    every = np.tile(np.arange(V), (STRINGS, -(-half // V)))
    strings = random.permuted(every, axis=1)[:, :half]
    windows = np.zeros((STRINGS, T), np.int64)
    windows[:, :half] = windows[:, half : 2 * half] = strings
    return np.append(windows, 0).astype(np.uint32)


def induction(reading: Reading, heads: Sequence[Head]) -> Array:
    """The score (H,) of each head over a reading of `repeated_strings` with the period p = T // 2:

        mean_{t >= p} A[t, t - p + 1]

    It is the weight of the character that followed the same character in the first copy: the prefix matching
    score of Olsson et al. 2022. With token_shift a head can also look one character further, at a row that
    holds half of what it looks for; that does not count here. NaN where windows are shorter than 4.
    """
    T = reading.ids.shape[1]
    p = T // 2
    if p < 2:
        return np.full(len(heads), np.nan)
    t = np.arange(p, 2 * p)
    # window by window: the weights of a long one are many
    windows = [slice(w, w + 1) for w in range(len(reading.ids))]
    return np.array(
        [np.mean([reading.attention(head, window)[:, t, t - p + 1] for window in windows]) for head in heads]
    )
