"""The entropies of a text, against their definition."""

import itertools
import math
import tracemalloc
from collections import Counter

import numpy as np
import pytest

from microgpt.text.entropy import entropies


def entropies_by_definition(ids):
    n_pairs = len(ids) - 1
    unigram = sum(-c / len(ids) * math.log(c / len(ids)) for c in Counter(ids).values())
    before = Counter(ids[:-1])
    pairs = Counter(itertools.pairwise(ids))
    bigram = sum(-c / n_pairs * math.log(c / before[a]) for (a, _), c in pairs.items())
    return unigram, bigram


# below and above the vocabulary size where the full table of pairs gives way to a list, and 64-bit codes
@pytest.mark.parametrize("V", [1, 2, 65, 1024, 1025, 65536, 70_000])
@pytest.mark.parametrize("n", [2, 3, 1000])
def test_entropies_by_definition(V, n):
    rng = np.random.default_rng(V)
    ids = np.minimum(rng.zipf(1.3, n) - 1, V - 1).astype(np.uint8 if V <= 256 else np.uint32)
    assert entropies(ids, V) == pytest.approx(entropies_by_definition(ids.tolist()), abs=1e-12)


def test_pairs_of_a_very_large_vocabulary_are_told_apart():
    V = 70_000
    # in 32 bits, the pair (61356, 47296) would be the same number as (0, 0)
    assert 61356 * V + 47296 == 2**32
    ids = np.array([0, 0, 61356, 47296, 0, 0, 5, 61356, 7, 0], np.uint32)
    assert entropies(ids, V) == pytest.approx(entropies_by_definition(ids.tolist()), abs=1e-12)


@pytest.mark.parametrize("V", [3, 2000])
def test_entropies_over_several_blocks(V):
    # a cycle of 5, which divides no block size: the pairs at the borders differ
    ids = np.tile(np.array([0, 1, 0, 2, 1], np.uint16), 500_000)
    n = len(ids)
    unigram, bigram = entropies(ids, V)
    assert unigram == pytest.approx(-2 * 0.4 * math.log(0.4) - 0.2 * math.log(0.2), abs=1e-9)
    # 0 is followed by 1 or 2 equally often; after 1 and 2 the next is certain
    zeros = 2 * n // 5
    assert bigram == pytest.approx(zeros * math.log(2) / (n - 1), abs=1e-9)


@pytest.mark.parametrize("V", [1000, 20_000])
def test_entropies_need_little_memory(V):
    # nearly every pair is a different one: 4 million of them
    ids = np.random.default_rng(0).integers(0, V, 4_000_000, np.uint16)
    tracemalloc.start()
    unigram, bigram = entropies(ids, V)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 64 << 20
    assert unigram == pytest.approx(math.log(V), rel=1e-2)
    assert (bigram is None) == (V == 20_000)


@pytest.mark.parametrize("n", [0, 1])
def test_entropies_of_too_short_a_text(n):
    assert entropies(np.zeros(n, np.uint8), 1) == (0.0, 0.0)


def test_entropies_of_a_text_without_surprise():
    assert entropies(np.zeros(100, np.uint8), 1) == (0.0, 0.0)
    unigram, bigram = entropies(np.tile(np.array([0, 1], np.uint8), 50), 2)
    assert unigram == pytest.approx(math.log(2))
    assert bigram == pytest.approx(0.0, abs=1e-12)
