"""Composition scores, against the whole matrices, and their baseline, against random ones."""

import numpy as np
import pytest
from heads_by_hand import KINDS, random_model

from microgpt.xray.circuits import circuits
from microgpt.xray.composition import KINDS as READERS
from microgpt.xray.composition import composition


def test_scores_are_those_of_the_whole_matrices():
    model = random_model(**KINDS["learned"])
    found = composition(model.p, model.heads)
    assert found.earlier.tolist() == [h for h in range(3) for _ in range(3)]
    assert found.later.tolist() == [3] * 9
    assert found.kind.tolist() == [0, 1, 2] * 3
    for earlier, later, kind, score in zip(found.earlier, found.later, found.kind, found.score, strict=True):
        one, two = (circuits(model.p, model.heads[h]) for h in (earlier, later))
        writes = one.v @ one.o
        reads = {"q": two.q @ two.k.T, "k": two.k @ two.q.T, "v": two.v @ two.o}[READERS[kind]]
        size = np.linalg.norm(writes) * np.linalg.norm(reads)
        assert score == pytest.approx(np.linalg.norm(writes @ reads) / size)


def test_the_baseline_is_what_random_models_have():
    """Of wide and of narrow heads; the mean of the squares is 1 / C."""
    narrow, wide = [], []
    for seed in range(60):
        model = random_model(heads="1+1+22", d_model=24)
        model.p.qkv_w[...] = np.random.default_rng(seed).normal(size=model.p.qkv_w.shape)
        model.p.proj_w[...] = np.random.default_rng(seed + 1000).normal(size=model.p.proj_w.shape)
        found = composition(model.p, model.heads)
        narrow += [
            row
            for row in zip(
                found.score, found.baseline, found.deviation, found.earlier, found.later, strict=True
            )
            if row[3] < 2 and row[4] < 5
        ]
        wide += [
            row
            for row in zip(
                found.score, found.baseline, found.deviation, found.earlier, found.later, strict=True
            )
            if row[3] == 2 and row[4] == 5
        ]
    for pairs in (narrow, wide):
        score, baseline, deviation = np.array(pairs)[:, :3].T
        assert baseline.mean() == pytest.approx(score.mean(), rel=0.1)
        assert deviation.mean() == pytest.approx(score.std(), rel=0.25)
        assert (score**2).mean() == pytest.approx(1 / 24, rel=0.2)
    assert np.mean(narrow, axis=0)[1] < 0.9 * np.mean(wide, axis=0)[1]


def test_a_head_that_reads_just_what_another_writes_is_found():
    model = random_model(heads="1+5")
    before = composition(model.p, model.heads)
    model.p.ln1_w[1] = 1
    model.p.qkv_w[1][:, 6] = circuits(model.p, model.heads[0]).o  # the key of the second layer's first head
    found = composition(model.p, model.heads)
    reads_key = (found.earlier == 0) & (found.later == 2) & (found.kind == 1)
    assert found.score[reads_key] == pytest.approx(1)
    assert found.baseline[reads_key] == pytest.approx(before.baseline[reads_key])


def test_heads_of_zeros_compose_with_nothing_and_one_layer_has_no_pairs():
    model = random_model()
    model.p.proj_w[0, :6] = 0
    found = composition(model.p, model.heads)
    assert not found.score.any()
    assert not found.baseline.any()
    assert composition(*random_model(n_layers=1, heads="3+3")[1:3]).excess.shape == (0,)
