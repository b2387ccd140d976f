"""Attention patterns: where a head looks, how widely, and how far back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from microgpt.arrays import BLOCK, Array
from microgpt.text.vocabulary import Vocabulary
from microgpt.xray.head import Head
from microgpt.xray.reading import Reading

MOST_BACK = 8
OFFSETS = tuple(range(1, MOST_BACK + 1))
OTHERS = ("first", "same", "newline", "word_start")


@dataclass(frozen=True, eq=False)
class Patterns:
    """Of H heads: scores from 0 to 1, NaN where the text has no query that could show the pattern.

    offsets     (H, 8)  the weight of the character 1, 2 ... 8 places before
    first       (H,)    of the first character of the window, but for its own
    same        (H,)    of earlier occurrences of the same character
    newline     (H,)    of characters that begin a line
    word_start  (H,)    of letters and digits that begin a word
    entropy     (H,)    of the weights, in nats
    reach       (H,)    how far back it looks, in characters
    """

    offsets: Array
    first: Array
    same: Array
    newline: Array
    word_start: Array
    entropy: Array
    reach: Array


def patterns(reading: Reading, heads: Sequence[Head], vocabulary: Vocabulary) -> tuple[Patterns, Patterns]:
    """The patterns of all heads over a text; and, as H = 1, of a head that looks at everything equally.

    A pattern is a set M of pairs of a query t and a key s <= t; A[t, s] are the attention weights. Its score
    is the mean over the queries that have any such key:

        mean_t sum_{s: (t, s) in M} A[t, s]

    as the detectors of TransformerLens have it (there divided by all of A: queries without such a key count,
    too). What begins a line or a word is known of a key whose predecessor is in the window. The last two are
    means over all queries, of

        entropy  - sum_s A[t, s] ln A[t, s]     from 0, a single key, to ln(t + 1), all keys equally
        reach    sum_s A[t, s] (t - s)

    The score of a head that looks at everything equally is what to compare with. With token_shift a key also
    holds half of the character before it, and a query half of its own predecessor.
    """
    H, n, T = len(heads), len(reading.losses), reading.ids.shape[1]
    n_patterns = len(OFFSETS) + len(OTHERS)
    sums, counts = np.zeros((H + 1, n_patterns + 2)), np.zeros(n_patterns)
    even = np.tril(np.ones((T, T))) / np.arange(1, T + 1)[:, None]
    for windows in _blocks(len(reading.ids), T):
        ids = reading.ids[windows]
        queries = T * windows.start + np.arange(ids.size).reshape(ids.shape) < n
        pairs = _pairs(ids, vocabulary) & queries[..., None]
        counts += pairs.any(axis=-1).sum(axis=(1, 2))
        for i in range(H + 1):
            att = reading.attention(heads[i], windows) if i < H else np.broadcast_to(even, pairs.shape[1:])
            att = att * queries[..., None]
            # by np.einsum, which does not keep all pairs as float64
            sums[i, :n_patterns] += np.einsum("pwts,wts->p", pairs, att)
            logs = np.log(att, out=np.zeros_like(att), where=att > 0)
            sums[i, -2] -= np.vdot(att, logs)
            sums[i, -1] += np.vdot(att, np.broadcast_to(_distances(T), att.shape))
    with np.errstate(invalid="ignore"):  # a pattern without occasion is 0 / 0
        means = sums / np.concatenate([counts, [n, n]])
    return _named(means[:H]), _named(means[H:])


def _named(means: Array) -> Patterns:
    first, same, newline, word_start, entropy, reach = means[:, MOST_BACK:].T
    return Patterns(means[:, :MOST_BACK], first, same, newline, word_start, entropy, reach)


def _blocks(W: int, T: int) -> Iterator[slice]:
    """Windows in slices that keep their attention weights within BLOCK numbers, or of a single window."""
    step = max(1, BLOCK // T**2)
    for begin in range(0, W, step):
        yield slice(begin, min(begin + step, W))


def _distances(T: int) -> Array:
    """How far each key is before each query, (T, T); below 0 for later keys."""
    return np.arange(T)[:, None] - np.arange(T)


def _pairs(ids: Array, vocabulary: Vocabulary) -> Array:
    """The pairs of a query and a key (patterns, w, T, T) that make up each pattern, of ids (w, T)."""
    w, T = ids.shape
    distances = _distances(T)
    in_word = np.array([character.isalnum() for character in vocabulary.characters])[ids]
    is_break = (vocabulary.codes == ord("\n"))[ids]
    begins_line, begins_word = np.zeros((w, T), bool), np.zeros((w, T), bool)
    begins_line[:, 1:] = is_break[:, :-1]
    begins_word[:, 1:] = in_word[:, 1:] & ~in_word[:, :-1]
    up_to, before = distances >= 0, distances > 0
    is_first = before & (np.arange(T) == 0)
    found = [np.broadcast_to(pairs, (w, T, T)) for pairs in [*(distances == k for k in OFFSETS), is_first]]
    found.append((ids[:, :, None] == ids[:, None, :]) & before)
    found += [begins[:, None, :] & up_to for begins in (begins_line, begins_word)]
    return np.stack(found)
