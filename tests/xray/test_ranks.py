"""Effective ranks, against NumPy's SVD of the whole matrices and where the answer is known."""

import numpy as np
import pytest
from heads_by_hand import KINDS, V, copies_the_previous_character, random_model, text_of

from microgpt.xray.circuits import circuits
from microgpt.xray.ranks import effective_rank, ranks


def rank_of(matrix):
    s = np.linalg.svd(matrix, compute_uv=False)
    p = s[s > 1e-12 * s.max()] / s.sum()
    return np.exp(-np.sum(p * np.log(p)))


def test_equal_singular_values_count_and_small_ones_hardly_do():
    assert effective_rank(np.ones(5)) == pytest.approx(5)
    assert effective_rank(np.array([3.0, 0, 0])) == 1
    assert effective_rank(np.array([1, 1e-9])) == pytest.approx(1, abs=1e-6)
    assert effective_rank(np.array([0.5, 0.25, 0.25])) == pytest.approx(2**1.5)
    assert effective_rank(np.zeros(3)) == 0


@pytest.mark.parametrize("kind", KINDS)
def test_ranks_are_those_of_the_whole_matrices(kind):
    model = random_model(**KINDS[kind])
    reading = model.read(text_of(40))
    for (qk, ov, outputs), head in zip(ranks(reading, model.heads, model.p), model.heads, strict=True):
        q, k, v, o = circuits(model.p, head)
        written = reading.heads[head.layer][:, head.columns] @ o
        expected = rank_of(q @ k.T), rank_of(v @ o), rank_of(written - written.mean(axis=0))
        assert (qk, ov, outputs) == pytest.approx(expected, rel=1e-9)
        assert max(qk, ov, outputs) <= head.width * (1 + 1e-12)


def test_outputs_do_not_depend_on_how_v_and_o_share_their_product():
    model = random_model(**KINDS["linear"])
    before = ranks(model.read(text_of(40)), model.heads, model.p)
    factor = np.array([100.0, 0.01, 1])
    model.p.qkv_w[0][:, 12:15] *= factor
    model.p.qkv_b[0][12:15] *= factor
    model.p.proj_w[0][:3] /= factor[:, None]
    assert np.allclose(ranks(model.read(text_of(40)), model.heads, model.p), before)


def test_a_head_that_copies_has_the_rank_of_its_alphabet_and_one_that_does_nothing_0():
    model = copies_the_previous_character()
    copying, idle = ranks(model.read(text_of(100)), model.heads, model.p)
    assert copying[0] == pytest.approx(5)  # the last of 6 positions is before none
    assert copying[1] == pytest.approx(V, rel=3e-3)
    assert 2 < copying[2] < V  # V characters in shares that sum to 1
    assert idle.tolist() == [0, 0, 0]
