"""The loss over a whole text, against a plain loop over its chunks."""

import math
import types

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from microgpt_kernels import load, reference
from support import placed

from microgpt.config import TrainConfig
from microgpt.errors import MicrogptError
from microgpt.machine.budget import Budget
from microgpt.model import transformer as model
from microgpt.model.activations import activation_bytes, activations
from microgpt.model.parameters import count, table
from microgpt.model.placed import PlacedModel
from microgpt.recipes import RECIPES
from microgpt.use import evaluate
from microgpt.use.evaluate import ARENA_BYTES, MAX_SEQUENCES, Evaluator, Score, sequences_that_fit

V = 11
COMPILED = ("crystal", "openblas")


def config_of(T, dtype="float64", positions="learned", **options):
    given = {"seq_len": T, "dtype": dtype, "positions": positions, "d_model": 10, "heads": "2+3+5", **options}
    return TrainConfig(file="", d_ff=12, **RECIPES["plain"] | given).architecture(V)


def parameters(config):
    return np.random.default_rng(1).normal(0, 0.3, count(table(config.sizes)))


def text_of(n):
    return np.random.default_rng(n).integers(0, V, n).astype(np.uint8)


def evaluator_of(backend, config, ids, budget=None):
    param = parameters(config).astype(config.dtype)
    return Evaluator(placed(load(backend), config, budget or Budget(None), param), ids)


def chunk_by_chunk(config, ids):
    """The mean loss in nats: each chunk of seq_len characters in a forward pass of its own."""
    exact = placed(reference, config, Budget(None), parameters(config))
    a = activations(exact, n_sequences=1)
    forward, _ = model.build(reference)
    losses = []
    for start in range(0, len(ids) - 1, config.seq_len):
        inputs = ids[start : start + config.seq_len + 1][:-1]
        targets = ids[start + 1 : start + config.seq_len + 1]
        rows = slice(0, len(inputs))
        forward(exact.p, a, exact.c, inputs, 0, rows, rows, slice(0, 1))
        logits = a.logits[rows]
        log_total = np.log(np.exp(logits).sum(axis=1))
        losses.extend(log_total - logits[np.arange(len(targets)), targets])
    assert len(losses) == len(ids) - 1
    return math.fsum(losses) / len(losses)


@settings(deadline=None, max_examples=30)
@given(
    n=st.integers(2, 150),
    T=st.integers(1, 12),
    positions=st.sampled_from(["learned", "rope", "none"]),
    batch=st.integers(1, MAX_SEQUENCES),
)
def test_the_score_is_that_of_a_loop_over_the_chunks(n, T, positions, batch):
    config, ids = config_of(T, positions=positions), text_of(n)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluate, "MAX_SEQUENCES", batch)
        score = evaluator_of("reference", config, ids).score()
    assert score.characters == n - 1
    assert score.nats == pytest.approx(chunk_by_chunk(config, ids), rel=1e-12)


@pytest.mark.parametrize("backend", COMPILED)
def test_backends_agree(backend):
    for T, n in ((7, 1000), (8, 5), (1, 40), (16, 16 * 40 + 1), (32, 2)):
        config, ids = config_of(T, "float32"), text_of(n)
        score = evaluator_of(backend, config, ids).score()
        assert score.characters == n - 1
        assert score.nats == pytest.approx(chunk_by_chunk(config, ids), rel=1e-5)


def test_scores_can_be_repeated_and_follow_the_parameters():
    config, ids = config_of(8), text_of(200)
    changing = placed(reference, config, Budget(None), parameters(config))
    evaluator = Evaluator(changing, ids)
    score = evaluator.score()
    assert isinstance(score.nats, float)
    assert evaluator.score() == score
    changing.param[:] = 0  # every character is as likely as any other
    assert evaluator.score().nats == pytest.approx(math.log(V))


def test_the_total_is_counted_in_float64(monkeypatch):
    config, ids = config_of(4, "float32"), text_of(400)
    evaluator = evaluator_of("reference", config, ids)
    rounded = evaluator.score().nats * 399
    total = evaluator._state.total[0]
    assert total.dtype == np.float64
    assert total == pytest.approx(rounded)
    # with so much counted before, float32 would lose a small batch whole
    evaluator._state.total[0] = before = 1e12
    evaluator._evaluate(1, evaluator._state)
    assert 1 < evaluator._state.total[0] - before < 1000


def test_progress_is_told_after_every_slice(monkeypatch):
    told = []
    evaluator = evaluator_of("reference", config_of(4), text_of(2000))
    evaluator.score(lambda *both: told.append(both))
    assert [total for _, total in told] == [1999] * len(told)
    counts = [done for done, _ in told]
    assert counts == sorted(set(counts))
    assert counts[-1] == 1999
    # the first slice is one batch: it shows soon how fast the others will be
    assert counts[0] == MAX_SEQUENCES * 4
    # slices of no time at all are still slices of at least one batch
    monkeypatch.setattr(evaluate, "SLICE_SECONDS", 0.0)
    told.clear()
    evaluator.score(lambda *both: told.append(both))
    assert len(told) == -(-500 // MAX_SEQUENCES)


def test_a_stop_ends_a_score_after_the_slice(monkeypatch):
    monkeypatch.setattr(evaluate, "SLICE_SECONDS", 0.0)  # a batch each
    evaluator = evaluator_of("reference", config_of(4), text_of(2000))
    expected = evaluator.score()
    told = []
    assert evaluator.score(lambda *both: told.append(both), stop=lambda: len(told) == 3) is None
    assert len(told) == 3
    # what is whole is not thrown away
    assert evaluator.score(stop=lambda: False) == expected
    n_slices = -(-500 // MAX_SEQUENCES)
    told.clear()
    finished = evaluator.score(lambda *both: told.append(both), stop=lambda: len(told) == n_slices)
    assert finished == expected


def test_an_interrupt_leaves_the_evaluator_usable():
    evaluator = evaluator_of("reference", config_of(4), text_of(2000))
    expected = evaluator.score()

    def interrupt(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluator.score(interrupt)
    assert evaluator.score() == expected


@pytest.mark.parametrize("T", [1, 32, 512, 2048])
@pytest.mark.parametrize("heads", ["10", "ones"])
def test_the_batch_keeps_the_arena_modest(T, heads):
    config = config_of(T, heads=heads)
    batch = sequences_that_fit(config)
    assert 1 <= batch <= MAX_SEQUENCES

    def booked(n_sequences):
        nothing = types.SimpleNamespace(zeros=lambda shape, dtype: np.empty(0))
        model = PlacedModel(nothing, config, Budget(None), np.empty(0), None, None)
        activations(model, n_sequences=n_sequences)
        assert model.budget.held == activation_bytes(config, n_sequences=n_sequences)
        return model.budget.held

    assert booked(batch) <= ARENA_BYTES or batch == 1
    if batch < MAX_SEQUENCES:
        assert booked(2 * batch) > ARENA_BYTES


def test_the_arrays_are_booked():
    with pytest.raises(MicrogptError, match=r"out of memory budget: .* for the activation"):
        evaluator_of("reference", config_of(2048), text_of(100), Budget(4 << 20))
    budget = Budget(None)
    evaluator_of("reference", config_of(4), text_of(100), budget)
    assert budget.held > 0


@pytest.mark.parametrize("n", [0, 1])
def test_a_text_with_nothing_to_predict_is_refused(n):
    with pytest.raises(MicrogptError, match="at least 2 characters"):
        evaluator_of("reference", config_of(4), text_of(n))


def test_the_units():
    score = Score(nats=math.log(8), characters=5)
    assert score.bits == pytest.approx(3)
    assert score.perplexity == pytest.approx(8)
    assert Score(1e6, 1).perplexity == math.inf
    assert math.isnan(Score(math.nan, 1).perplexity)
