"""Puzzles: lines of random symbols, a question about them, and the one character that answers it.

Every line has the same length: CANDIDATES symbols, the question, the answer and a line break. Two kinds of
questions each need one of the two things that a layer of attention can spend its width on:

nearest    The question is a symbol; the answer is the candidate nearest to it, by hidden random unit vectors
           of all symbols. One head as wide as these vectors can find it; narrower heads cannot unless there
           are exponentially many of them (Amsel, Yehudai & Bruna 2025, arXiv 2410.03477).
retrieval  The question is RECALL. By each of BITS hidden random rankings, one candidate ranks highest, and it
           has a hidden random bit; the answer is the symbol whose number has these bits. As many heads as
           rankings can find it; fewer cannot unless the model is exponentially large (Yu et al. 2025,
           arXiv 2510.06662).

Both theorems speak of vectors with any coordinates. Symbols are few, so here the wrong layout learns less,
and not nothing. With --seq-len LINE a model reads one line at a time, from its beginning.

All else is drawn uniformly and independently, so the entropy of a line is the sum of the logarithms of the
numbers of choices: the answer has none.
"""

import math
import operator
import random
import string
from collections.abc import Callable, Sequence
from functools import cache
from statistics import NormalDist
from typing import NamedTuple

SYMBOLS = string.ascii_uppercase + string.ascii_lowercase + string.digits + "+/"
RECALL = "?"  # the question of `retrieval`
# In one layer of d_model 64, uniform layouts differ visibly at these sizes, and in opposite directions.
CANDIDATES = 5  # symbols in a line before its question
LINE = CANDIDATES + 3
DIMENSIONS = 32  # of the unit vectors of `nearest`
BITS = 4  # of an answer of `retrieval`


class Hidden(NamedTuple):
    """What a text keeps to itself, by the seeds from which it is drawn."""

    vectors_seed: int = 2
    rankings_seed: int = 3


class Puzzles(NamedTuple):
    """A text: each line is of one of its kinds at random, and the question tells of which."""

    kinds: tuple[str, ...]
    hidden: Hidden = Hidden()


# A layout may happen to suit what is hidden, so the mixed text exists three times.
TEXTS = {
    "nearest": Puzzles(("nearest",)),
    "retrieval": Puzzles(("retrieval",)),
    "mixed": Puzzles(("nearest", "retrieval")),
    "mixed-2": Puzzles(("nearest", "retrieval"), Hidden(4, 5)),
    "mixed-3": Puzzles(("nearest", "retrieval"), Hidden(6, 7)),
}


def write(name: str, n_lines: int, seed: int) -> str:
    """One of TEXTS, of n_lines lines."""
    kinds, hidden = TEXTS[name]
    # of all generators in `random`, only random() promises the same numbers in each version of Python
    draw = random.Random(seed).random
    return "".join(_line(_one_of(kinds, draw), hidden, draw) for _ in range(n_lines))


def entropy_rate(name: str) -> float:
    """The entropy of one of TEXTS in nats per character, if all that is hidden is known."""
    kinds = TEXTS[name].kinds
    symbols = CANDIDATES + kinds.count("nearest") / len(kinds)  # that are drawn for a line, on the average
    return (math.log(len(kinds)) + symbols * math.log(len(SYMBOLS))) / LINE


def nearest(candidates: Sequence[str], symbol: str, hidden: Hidden) -> str:
    """The candidate whose vector has the largest inner product with that of `symbol`."""
    return max(candidates, key=_similarities(hidden.vectors_seed)[symbol].__getitem__)


def retrieved(candidates: Sequence[str], hidden: Hidden) -> str:
    """The symbol whose number has in bit i the bit of the candidate that ranks highest by ranking i."""
    number = 0
    for i, (ranks, bits) in enumerate(_rankings(hidden.rankings_seed)):
        number |= bits[max(candidates, key=ranks.__getitem__)] << i
    return SYMBOLS[number]


def _line(kind: str, hidden: Hidden, draw: Callable[[], float]) -> str:
    candidates = [_one_of(SYMBOLS, draw) for _ in range(CANDIDATES)]
    if kind == "retrieval":
        question, answer = RECALL, retrieved(candidates, hidden)
    else:
        question = _one_of(SYMBOLS, draw)
        answer = nearest(candidates, question, hidden)
    return f"{''.join(candidates)}{question}{answer}\n"


def _one_of(choices: Sequence[str], draw: Callable[[], float]) -> str:
    return choices[int(draw() * len(choices))]


@cache
def _similarities(seed: int) -> dict[str, dict[str, float]]:
    """The inner product of the vectors of any two symbols: a random direction has normal coordinates."""
    draw, normal = random.Random(seed).random, NormalDist()
    vectors = {}
    for symbol in SYMBOLS:
        coordinates = [normal.inv_cdf(draw()) for _ in range(DIMENSIONS)]
        length = math.sqrt(_inner(coordinates, coordinates))
        vectors[symbol] = [coordinate / length for coordinate in coordinates]
    return {a: {b: _inner(u, v) for b, v in vectors.items()} for a, u in vectors.items()}


def _inner(u: Sequence[float], v: Sequence[float]) -> float:
    return math.fsum(map(operator.mul, u, v))  # rounded once, so the same in each version of Python


@cache
def _rankings(seed: int) -> list[tuple[dict[str, float], dict[str, int]]]:
    """For each ranking, how high each symbol ranks, from 0 to 1, and its bit."""
    draw = random.Random(seed).random
    return [
        ({symbol: draw() for symbol in SYMBOLS}, {symbol: int(2 * draw()) for symbol in SYMBOLS})
        for _ in range(BITS)
    ]
