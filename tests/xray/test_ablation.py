"""The loss without a head, against the slow way and for a head that writes nothing."""

import numpy as np
import pytest
from coalition_judge import Judge, architecture_of, made, text_of

from microgpt.xray.ablation import ablations
from microgpt.xray.coalitions import Coalitions


def test_the_change_without_a_head_is_that_of_the_slow_way():
    architecture, ids = architecture_of(), text_of(80)
    judge, told = Judge(architecture, ids), []
    found = ablations(Coalitions(made(architecture), ids), lambda *given: told.append(given))
    everything = judge.bits([True] * 5, judge.means).mean()
    assert found.all_on == pytest.approx(everything, rel=1e-12)
    assert found.all_off == pytest.approx(judge.bits([False] * 5, judge.means).mean(), rel=1e-12)
    for change, outputs in ((found.mean, judge.means), (found.zero, np.zeros_like(judge.means))):
        without = [judge.bits([g != h for g in range(5)], outputs).mean() for h in range(5)]
        np.testing.assert_allclose(change.bits, np.array(without) - everything, rtol=1e-9, atol=1e-12)
        assert np.all((change.low < change.bits) & (change.bits < change.high))
    assert [head.layer for head in found.heads] == [0, 0, 0, 1, 1]
    assert told == [(n, 10) for n in range(1, 11)]


def test_without_a_head_that_writes_nothing_the_loss_is_the_same():
    model = made(architecture_of())
    model.p.proj_w[0, 1:4] = 0
    found = ablations(Coalitions(model, text_of(80)))
    for change in (found.mean, found.zero):
        assert change.bits[1] == change.low[1] == change.high[1] == 0
        assert np.all(change.bits[[0, 2, 3, 4]] != 0)


def test_a_head_that_always_writes_the_same_is_missed_by_zero_but_not_by_mean():
    """Its values are all the bias, whatever it attends to."""
    model = made(architecture_of())
    model.p.qkv_w[1, :, 12:16], model.p.qkv_b[1, 12:16] = 0, 2.0
    found = ablations(Coalitions(model, text_of(80)))
    assert found.mean.bits[3] == pytest.approx(0, abs=1e-12)
    assert abs(found.zero.bits[3]) > 0.01


def test_of_a_short_text_there_is_no_interval():
    found = ablations(Coalitions(made(architecture_of()), text_of(12)))
    assert np.isfinite(found.mean.bits).all()
    assert np.isnan([found.mean.low, found.mean.high, found.zero.low, found.zero.high]).all()
