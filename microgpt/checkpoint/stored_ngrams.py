"""n-grams in a checkpoint: those of the highest order and how often each occurs, which imply all others."""

from __future__ import annotations

from typing import Any

import numpy as np

from microgpt.arrays import Array
from microgpt.errors import MicrogptError, shown
from microgpt.text.ngrams import Counts, NGrams, highest_order, kneser_ney

KEYS, COUNTS = "ngrams.keys", "ngrams.counts"
# the tensors by name; both are as `ngrams.Counts` describes
DTYPES: dict[str, np.dtype[Any]] = {KEYS: np.dtype(np.int64), COUNTS: np.dtype(np.int32)}


def stored(ngrams: NGrams) -> dict[str, Array]:
    """The tensors of an n-gram model."""
    return dict(zip((KEYS, COUNTS), ngrams.grams(), strict=True))


def check_order(order: object, V: int) -> int:
    """The order of n-grams of V different characters; raises MicrogptError for what cannot be one."""
    if type(order) is not int or order < 1 or highest_order(V, order) != order:
        raise MicrogptError(f"its n-grams cannot be of order {shown(order)}, with {V} distinct characters")
    return order


def check_weight(weight: object) -> float:
    """The weight of n-grams beside a network; raises MicrogptError for what cannot be one."""
    if not (type(weight) in (int, float) and 0 <= weight <= 1):  # type: ignore[operator]
        raise MicrogptError(f"the weight of its n-grams must be a number from 0 to 1, not {shown(weight)}")
    return float(weight)  # type: ignore[arg-type]


def restored(keys: Array, counts: Array, V: int, order: int) -> NGrams:
    """The model of these n-grams. Raises MicrogptError for n-grams and counts that no text has."""
    if not len(keys):
        raise MicrogptError("it has no n-grams, and a text has some")
    if not 0 <= keys[0] <= keys[-1] < (V + 1) ** order or not (keys[1:] > keys[:-1]).all():
        raise MicrogptError(f"its n-grams are not {order}-grams of {V} characters in ascending order")
    if counts.min() < 1 or counts.sum(dtype=np.int64) >= 1 << 31:
        raise MicrogptError("its n-grams are counted less than once, or more often than any text has them")
    rest, after_zero = keys, np.zeros(len(keys), np.bool_)
    for place in range(order):  # from the last character to the first; 0 stands for what precedes the text
        rest, digit = np.divmod(rest, V + 1)
        if (digit == 0).any() if place == 0 else (after_zero & (digit > 0)).any():
            raise MicrogptError("its n-grams have characters before the beginning of the text")
        after_zero = digit == 0
    return kneser_ney(Counts(keys, counts), V, order)
