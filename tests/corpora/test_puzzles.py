import math
from collections import Counter

import numpy as np
import pytest

from microgpt.corpora import puzzles
from microgpt.corpora.puzzles import CANDIDATES, LINE, RECALL, SYMBOLS, TEXTS, Hidden

HIDDEN = Hidden(11, 12)


def lines_of(name, n_lines=3000):
    return puzzles.write(name, n_lines, seed=5).splitlines()


@pytest.fixture
def small(monkeypatch):
    """Puzzles of four symbols, with two candidates: few enough lines to see each of them often."""
    for name, value in {"SYMBOLS": "abcd", "CANDIDATES": 2, "LINE": 5, "BITS": 2}.items():
        monkeypatch.setattr(puzzles, name, value)
    puzzles._similarities.cache_clear()
    puzzles._rankings.cache_clear()
    yield
    puzzles._similarities.cache_clear()
    puzzles._rankings.cache_clear()


@pytest.mark.parametrize("name", TEXTS)
def test_lines_of_one_length_that_hold_their_answer(name):
    kinds, hidden = Counter(), TEXTS[name].hidden
    for line in lines_of(name):
        assert len(line) + 1 == LINE
        candidates, question, answer = line[:CANDIDATES], line[-2], line[-1]
        assert set(candidates + answer) <= set(SYMBOLS)
        kind = "retrieval" if question == RECALL else "nearest"
        kinds[kind] += 1
        if kind == "retrieval":
            assert answer == puzzles.retrieved(candidates, hidden)
        else:
            assert answer == puzzles.nearest(candidates, question, hidden)
            assert answer in candidates
    assert kinds.keys() == set(TEXTS[name].kinds)
    if name.startswith("mixed"):
        assert kinds["nearest"] == pytest.approx(1500, abs=5 * math.sqrt(3000 / 4))


def test_the_vectors_have_length_1_and_as_many_dimensions_as_they_say():
    table = puzzles._similarities(HIDDEN.vectors_seed)
    similarities = np.array([[table[a][b] for b in SYMBOLS] for a in SYMBOLS])
    assert np.diag(similarities) == pytest.approx(1)
    assert np.array_equal(similarities, similarities.T)
    assert np.linalg.matrix_rank(similarities) == puzzles.DIMENSIONS


def test_a_symbol_is_nearest_to_itself_and_then_to_the_most_similar():
    assert all(puzzles.nearest(SYMBOLS, symbol, HIDDEN) == symbol for symbol in SYMBOLS)
    similarities = puzzles._similarities(HIDDEN.vectors_seed)[SYMBOLS[0]]
    others = sorted(SYMBOLS[1:], key=similarities.__getitem__)
    assert puzzles.nearest(others, SYMBOLS[0], HIDDEN) == others[-1]
    assert puzzles.nearest(others[:-1], SYMBOLS[0], HIDDEN) == others[-2]


def test_each_bit_is_that_of_the_highest_candidate_alone():
    rankings = puzzles._rankings(HIDDEN.rankings_seed)
    assert len(rankings) == puzzles.BITS
    orders = ["".join(sorted(SYMBOLS, key=ranks.__getitem__)) for ranks, _ in rankings]
    assert len(set(orders)) == len(rankings)
    for i, (order, (_, bits)) in enumerate(zip(orders, rankings, strict=True)):
        for highest in range(1, len(order)):
            number = SYMBOLS.index(puzzles.retrieved(order[: highest + 1], HIDDEN))
            assert number >> i & 1 == bits[order[highest]]
        assert 0.2 < sum(bits.values()) / len(SYMBOLS) < 0.8


@pytest.mark.parametrize("name", TEXTS)
def test_entropy_by_counting_the_lines_of_small_puzzles(name, small):
    n = 40_000
    counts = Counter(puzzles.write(name, n, seed=3).splitlines())
    lines = {"nearest": 64, "retrieval": 16}
    assert len(counts) == sum(lines[kind] for kind in TEXTS[name].kinds)
    nats = -math.fsum(count / n * math.log(count / n) for count in counts.values())
    assert nats / puzzles.LINE == pytest.approx(puzzles.entropy_rate(name), abs=0.002)


def test_entropy_rate():
    assert puzzles.entropy_rate("nearest") == pytest.approx((CANDIDATES + 1) * math.log(64) / LINE)
    assert puzzles.entropy_rate("retrieval") == pytest.approx(CANDIDATES * math.log(64) / LINE)
    mean = (puzzles.entropy_rate("nearest") + puzzles.entropy_rate("retrieval")) / 2
    assert puzzles.entropy_rate("mixed") == pytest.approx(mean + math.log(2) / LINE)


def test_one_seed_one_text():
    assert puzzles.write("mixed", 50, seed=4) == puzzles.write("mixed", 50, seed=4)
    assert puzzles.write("mixed", 90, seed=4).startswith(puzzles.write("mixed", 50, seed=4))
    assert puzzles.write("mixed", 50, seed=4) != puzzles.write("mixed", 50, seed=5)
    assert puzzles.write("mixed", 0, seed=4) == ""
