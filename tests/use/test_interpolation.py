"""A network and n-grams together: one distribution, whichever way it is asked for."""

import math

import numpy as np
import pytest
from microgpt_kernels import load, reference
from support import placed

from microgpt.config import TrainConfig
from microgpt.machine.budget import Budget
from microgpt.model.parameters import count, table
from microgpt.text.ngrams import fit
from microgpt.use.evaluate import Evaluator
from microgpt.use.generate import Generator, Sampling
from microgpt.use.interpolation import FINENESS, fitted_weight, interpolated, interpolated_logits

V = 11
RNG = np.random.default_rng(0)
KNOWN = RNG.integers(0, V, 400).astype(np.uint8)
# half of it is new to the n-grams, but for its last character, which they have never seen
TEXT = np.concatenate([KNOWN[50:90], RNG.integers(0, V, 40).astype(np.uint8)])


W = 0.3  # the weight of the n-grams


def model_of(order=4, backend="reference", T=8, dtype="float64", weight=W):
    config = TrainConfig(file="", seq_len=T, d_model=10, d_ff=12, heads="2+3+5", dtype=dtype).architecture(V)
    param = RNG.normal(0, 0.5, count(table(config.sizes))).astype(dtype)
    model = placed(load(backend), config, Budget(None), param)
    return model, model.__class__(**{**vars(model), "ngrams": fit(KNOWN, V, order), "ngram_weight": weight})


def rows_of(evaluator, n):
    losses, logits = np.full(n, np.nan), np.full((n, V), np.nan)
    for place, values in evaluator.losses():
        losses[place] = values
    for place, values in evaluator.logits():
        logits[place] = values
    return losses, logits


@pytest.mark.parametrize(("order", "weight"), [(1, 0.5), (2, 0.01), (6, 0.7), (3, 0.0), (3, 1.0)])
@pytest.mark.parametrize("before", [None, KNOWN[:3], KNOWN])
def test_the_probabilities_are_the_average_of_both_and_sum_to_one_at_every_position(order, weight, before):
    network, both = model_of(order, weight=weight)
    n = len(TEXT) - 1
    losses, logits = rows_of(Evaluator(both, TEXT, before), n)
    network_losses, network_logits = rows_of(Evaluator(network, TEXT, before), n)
    p = np.exp(logits)
    assert np.abs(p.sum(axis=1) - 1).max() < 1e-13
    q = both.ngrams.probabilities(both.ngrams.nodes(TEXT, before)[1:])
    powers = np.exp(network_logits)
    expected = (1 - weight) * powers / powers.sum(axis=1, keepdims=True) + weight * q
    assert np.abs(p - expected).max() < 1e-14
    # the losses come another way: from the network's, and from single characters' of the n-grams
    assert np.abs(losses + np.log(expected[np.arange(n), TEXT[1:]])).max() < 1e-13
    assert weight == 1 or (losses <= network_losses - math.log(1 - weight) + 1e-12).all()


@pytest.mark.parametrize("slices", [0.0, 0.1])
def test_the_score_is_the_mean_of_the_losses(slices, monkeypatch):
    monkeypatch.setattr("microgpt.use.evaluate.SLICE_SECONDS", slices)
    monkeypatch.setattr("microgpt.use.evaluate.MAX_SEQUENCES", 3)
    _, both = model_of()
    evaluator = Evaluator(both, TEXT, KNOWN)
    losses, _ = rows_of(evaluator, len(TEXT) - 1)
    told = []
    score = evaluator.score(lambda *now: told.append(now))
    assert score.nats == pytest.approx(losses.mean(), rel=1e-13)
    assert (score.characters, told[-1]) == (len(TEXT) - 1, (len(TEXT) - 1,) * 2)
    assert evaluator.score(stop=lambda: True) is None
    assert evaluator.score() == score


def test_the_fitted_score_is_that_of_the_best_weight_and_of_each_part(monkeypatch):
    monkeypatch.setattr("microgpt.use.evaluate.SLICE_SECONDS", 0.0)
    monkeypatch.setattr("microgpt.use.evaluate.MAX_SEQUENCES", 3)
    network, both = model_of()
    evaluator = Evaluator(both, TEXT, KNOWN)
    before = evaluator.score()
    fitted = evaluator.fit(None, lambda: False)
    assert 0 < fitted.weight < 1
    assert fitted.nats < min(fitted.network.nats, fitted.ngrams.nats, before.nats)
    assert fitted.network == Evaluator(network, TEXT, KNOWN).score()
    q = both.ngrams.losses(both.ngrams.nodes(TEXT, KNOWN)[1:], TEXT[1:])
    assert fitted.ngrams.nats == pytest.approx(q.mean(), rel=1e-13)
    for weight in (fitted.weight, fitted.weight - 1e-3, fitted.weight + 1e-3):
        _, other = model_of(weight=weight)
        other.param[:] = both.param
        score = Evaluator(other, TEXT, KNOWN).score()
        assert (score.nats, score.characters) >= (fitted.nats, fitted.characters)
    # the model keeps its own weight, and what was stopped is no score
    assert evaluator.fit(None, lambda: True) is None
    assert evaluator.score() == before
    assert evaluator.fit(None, lambda: False) == fitted


def test_an_evaluation_follows_the_network():
    _, both = model_of()
    evaluator = Evaluator(both, TEXT)
    both.param[:] = 0  # it knows nothing
    q = np.exp(-both.ngrams.losses(both.ngrams.nodes(TEXT)[1:], TEXT[1:]))
    assert evaluator.score().nats == pytest.approx(-np.log((1 - W) / V + W * q).mean())


@pytest.mark.parametrize("backend", ["reference", "crystal"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_is_generated_has_the_probability_that_the_evaluation_gives_it(backend, dtype):
    """The logits that a character was drawn by, and the loss of this character in the text as a whole."""
    T, length = 40, 30
    _, both = model_of(backend=backend, T=T, dtype=dtype)
    generator = Generator(both)
    prompt = KNOWN[100:106]
    drawn, losses = [], []
    for piece in generator.stream(prompt, length, Sampling(temperature=1.0, seed=3), chunk=1):
        row = generator.a.logits[len(prompt) + len(drawn) - 1].astype(np.float64)
        assert np.exp(row).sum() == pytest.approx(1, abs=1e-5 if dtype == "float32" else 1e-13)
        drawn.extend(piece)
        losses.append(-row[piece[0]])
    text = np.concatenate([prompt, drawn]).astype(np.uint8)
    expected, _ = rows_of(Evaluator(both, text), len(text) - 1)
    error = np.abs(np.array(losses) - expected[len(prompt) - 1 :]).max()
    assert error < (1e-5 if dtype == "float32" else 1e-12)


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(temperature=1.0, seed=1),
        Sampling(temperature=0.5, seed=2),
        Sampling(temperature=0.0),
        Sampling(temperature=1.3, top_k=3, seed=3),
        Sampling(temperature=1.0, top_p=0.6, seed=4),
    ],
    ids=str,
)
def test_temperature_top_k_and_top_p_are_those_of_both_together(sampling):
    """The window is full and halved meanwhile; the n-grams look back further than it reaches."""
    T, length = 5, 40
    network, both = model_of(order=7, T=T)
    prompt = KNOWN[10:30]
    text = np.concatenate(list(Generator(both).stream(prompt, length, sampling)))
    uniform = np.random.default_rng(sampling.seed).random(length, np.float32)
    window, history, expected = list(prompt[-T:]), list(prompt), []
    for i in range(length):
        seen = np.array([*window, 0], np.uint8)
        _, rows = rows_of(Evaluator(network, seen), len(window))
        q = both.ngrams.probabilities(both.ngrams.nodes(np.array([0]), np.array(history)))
        logits = interpolated_logits(rows[-1:], q, W)
        output = np.zeros(1, int)
        reference.sample(
            np.zeros(2, int), output, np.array([1, 1, 0]), None, logits, uniform[i : i + 1],
            sampling.temperature, sampling.top_k, sampling.top_p,
        )  # fmt: skip
        expected.append(int(output[0]))
        window = [*(window[T - T // 2 :] if len(window) == T else window), expected[-1]]
        history.append(expected[-1])
    assert text.tolist() == expected


def test_pieces_and_what_precedes_the_prompt_change_nothing():
    _, both = model_of(order=3, T=6)
    generator = Generator(both)

    def text_of(prompt, chunk=None):
        return np.concatenate(list(generator.stream(prompt, 1100, Sampling(seed=5), chunk))).tolist()

    expected = text_of(KNOWN[:50])
    assert text_of(KNOWN[:50], chunk=7) == expected
    assert text_of(KNOWN[44:50]) == expected
    assert generator.stream(np.zeros(0, int), 0, Sampling())
    with pytest.raises(ValueError, match="between 0 and 10"):
        generator.stream(np.array([V]), 1, Sampling())


def test_losses_of_any_size_are_interpolated():
    losses = np.array([0, 1e4, np.inf, 1e4, np.nan])
    ngram_losses = np.array([0, 1e4, 2, 0, 1])
    expected = [0, 1e4, 2 - math.log(W), -math.log(W), np.nan]
    network, alone = interpolated(losses, ngram_losses, 0), interpolated(losses, ngram_losses, 1)
    assert (network, alone[:-1]) == (
        pytest.approx(losses, nan_ok=True),
        pytest.approx(ngram_losses[:-1]),
    )
    assert interpolated(losses, ngram_losses, W) == pytest.approx(expected, nan_ok=True)
    huge = np.array([[-1e4, 0, 1e4]])
    q = np.array([[0.2, 0.3, 0.5]])
    together = interpolated_logits(huge, q, W)
    assert np.exp(together) == pytest.approx(W * q + [[0, 0, 1 - W]])


def test_the_generator_takes_the_weight_that_it_has_now():
    def text_of(generator):
        return np.concatenate(list(generator.stream(KNOWN[:5], 50, Sampling(1.0, seed=5)))).tolist()

    network, both = model_of()
    other = both.__class__(**{**vars(both), "ngram_weight": 0.9})
    generator = Generator(both)
    texts = [text_of(generator)]
    generator.weight = 0.9
    texts.append(text_of(generator))
    assert texts == [text_of(Generator(both)), text_of(Generator(other))]
    assert texts[0] != texts[1]
    generator.weight = 0.0
    assert text_of(generator) == text_of(Generator(network))


# --- the weight


@pytest.mark.parametrize("weight", [1e-5, 0.02, 0.5, 0.8, 0.9999])
def test_the_fitted_weight_is_the_one_that_the_text_was_drawn_with(weight):
    """Characters that came from the n-grams with this probability, and else from the network."""
    random = np.random.default_rng(1)
    n = 200_000
    p, q = random.dirichlet(np.ones(V) / 3, n), random.dirichlet(np.ones(V) / 3, n)
    both = np.cumsum((1 - weight) * p + weight * q, axis=1)
    drawn = np.minimum((random.random((n, 1)) > both).sum(axis=1), V - 1)
    losses, ngram_losses = -np.log(p[np.arange(n), drawn]), -np.log(q[np.arange(n), drawn])
    found = fitted_weight(losses, ngram_losses)
    assert found == pytest.approx(weight, abs=0.01 * math.sqrt(weight * (1 - weight)) + 2e-5)
    # nothing near it is better, and the true weight only a little worse
    loss = interpolated(losses, ngram_losses, found).mean()
    for other in (found - 1 / FINENESS, found + 1 / FINENESS, 0.0, 1.0):
        if 0 <= other <= 1:
            assert interpolated(losses, ngram_losses, other).mean() >= loss - 1e-10
    assert 0 <= interpolated(losses, ngram_losses, weight).mean() - loss < 10 / (2 * n)
    assert fitted_weight(losses, ngram_losses) == found


def test_what_is_never_better_has_no_weight():
    losses = np.array([1.0, 2.0, 3.0])
    assert fitted_weight(losses, losses + 1) == 0.0
    assert fitted_weight(losses + 1, losses) == 1.0
    assert fitted_weight(losses, losses) == 0.0
    # the means of p / q and q / p decide
    assert fitted_weight(np.array([1.0, 1.0]), np.array([0.9, 1.2])) == 0.0
    assert fitted_weight(np.array([0.9, 1.2]), np.array([1.0, 1.0])) == 1.0


def test_weights_of_losses_of_any_size():
    assert fitted_weight(np.array([0.0, 1e5]), np.array([1e5, 0.0])) == 0.5
    assert fitted_weight(np.array([0.0, 0.0, 0.0, np.inf]), np.array([1e5, 1e5, 1e5, 3.0])) == 0.25
    assert fitted_weight(np.array([1e5] * 9 + [0.0]), np.array([0.0] * 9 + [800.0])) == pytest.approx(0.9)
    assert math.isnan(fitted_weight(np.array([1.0, np.nan]), np.array([1.0, 1.0])))
