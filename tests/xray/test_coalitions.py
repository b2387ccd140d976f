"""The losses of coalitions of heads, against forward passes in which the outputs of heads are overwritten."""

import dataclasses
import itertools

import numpy as np
import pytest
from coalition_judge import Judge, V, architecture_of, made, text_of
from gpu import GPU_BACKENDS, gpu_backend
from microgpt_kernels import load

from microgpt.errors import MicrogptError
from microgpt.machine.budget import Budget
from microgpt.use.evaluate import Evaluator
from microgpt.xray import coalitions as module
from microgpt.xray.coalitions import Coalitions

MODELS = {
    "learned positions": {},
    "rotary positions, shifted in time": {"positions": "rope", "token_shift": True},
    "squares, scores by width": {"activation": "relu2", "attention_scale": "linear"},
    "one layer, no positions": {"heads": "1+2+3", "positions": "none"},
    "three layers": {"heads": "6 | 2+4 | 5+1"},
}


def subsets(n):
    return itertools.product((False, True), repeat=n)


def small_pieces(monkeypatch):
    """Several blocks in a part, several parts, and of the last layer only one head in a recording."""
    for name, value in {"ROWS": 10, "MOST_PARTS": 3, "MOST_RECORDED": 1}.items():
        monkeypatch.setattr(module, name, value)


@pytest.mark.parametrize("options", MODELS.values(), ids=MODELS)
@pytest.mark.parametrize("pieces", [None, small_pieces], ids=["whole", "in pieces"])
def test_every_coalition_has_the_loss_of_the_slow_way(options, pieces, monkeypatch):
    if pieces is not None:
        pieces(monkeypatch)
    architecture, ids = architecture_of(**options), text_of(38)
    judge, coalitions = Judge(architecture, ids), Coalitions(made(architecture), ids)
    np.testing.assert_allclose(coalitions.mean_outputs(), judge.means, rtol=1e-12, atol=1e-15)
    for off_by, outputs in (("mean", judge.means), ("zero", np.zeros_like(judge.means))):
        expected = [judge.bits(on, outputs).mean() for on in subsets(len(coalitions.heads))]
        assert np.ptp(expected) > 0.01  # heads matter
        all_losses = coalitions.all_losses(off_by).mean(axis=1)
        np.testing.assert_allclose(all_losses, expected, rtol=1e-12)
        one_by_one = [coalitions.losses(on, off_by).mean() for on in subsets(len(coalitions.heads))]
        np.testing.assert_allclose(one_by_one, expected, rtol=1e-12)


def test_each_part_of_the_text_has_its_own_loss(monkeypatch):
    monkeypatch.setattr(module, "MOST_PARTS", 3)
    architecture, ids = (
        architecture_of(),
        text_of(38),
    )  # 8 chunks: two, three and three, of which the last has 2
    coalitions = Coalitions(made(architecture), ids)
    on = [True, False, True, True, False]
    judge = Judge(architecture, ids)
    bits = judge.bits(on, judge.means)
    expected = [bits[low:high].sum() * 3 / 37 for low, high in ((0, 10), (10, 25), (25, 37))]
    np.testing.assert_allclose(coalitions.losses(on), expected, rtol=1e-12)
    assert coalitions.n_parts == 3


def test_with_all_heads_on_it_is_the_score_of_the_model():
    placed, ids = made(architecture_of()), text_of(101)
    bits = Coalitions(placed, ids).losses([True] * 5).mean()
    assert bits == pytest.approx(Evaluator(placed, ids).score().bits, rel=1e-12)


@pytest.mark.parametrize("backend", ["crystal", "openblas"])
def test_the_compiled_backends_agree_and_threads_change_nothing(backend):
    architecture, ids = architecture_of(dtype="float32"), text_of(201)
    k = load(backend)
    alone, shared = (Coalitions(made(architecture, k), ids, n_threads=n).all_losses() for n in (1, 2))
    k.set_threads(1)
    np.testing.assert_array_equal(alone, shared)
    exact = Coalitions(made(architecture_of()), ids).all_losses()
    np.testing.assert_allclose(alone, exact, rtol=1e-4)


@pytest.mark.parametrize("backend", GPU_BACKENDS)
def test_a_gpu_agrees(backend, monkeypatch):
    k = gpu_backend(backend, monkeypatch)
    architecture, ids = architecture_of("6 | 2+4", token_shift=True, dtype="float32"), text_of(8)
    found = Coalitions(made(architecture, k), ids).all_losses()
    exact = Coalitions(made(dataclasses.replace(architecture, dtype="float64")), ids).all_losses()
    np.testing.assert_allclose(found, exact, rtol=1e-4)


def test_progress_counts_the_coalitions():
    told = []
    Coalitions(made(architecture_of()), text_of(20)).all_losses(progress=lambda *given: told.append(given))
    assert told == [(done, 32) for done in range(4, 33, 4)]


@pytest.mark.parametrize("n", [0, 1])
def test_a_text_too_short_is_refused(n):
    with pytest.raises(MicrogptError, match="at least 2 characters"):
        Coalitions(made(architecture_of()), text_of(n))


def test_arrays_that_exceed_the_budget_are_refused():
    with pytest.raises(MicrogptError, match="out of memory budget"):
        Coalitions(made(architecture_of(), budget=Budget(40_000)), text_of(2000))


def test_two_characters_are_enough():
    placed, ids = made(architecture_of()), np.array([V - 1, 0], np.uint8)
    assert Coalitions(placed, ids).all_losses().shape == (32, 1)


def test_a_model_with_weights_that_are_not_finite_is_refused():
    model = made(architecture_of())
    model.p.qkv_w[1, 0, -1] = np.inf
    with np.errstate(invalid="ignore"), pytest.raises(MicrogptError, match="not finite"):
        Coalitions(model, text_of(20)).losses([True] * 5)
