"""Shapley values and interactions, against their definitions, and with a head that writes nothing."""

import itertools
from math import factorial

import numpy as np
import pytest
from coalition_judge import architecture_of, made, text_of

from microgpt.xray.coalitions import Coalitions
from microgpt.xray.shapley import MOST_EXACT, shapley, shapley_interactions, shapley_values

N = 5
WORTH = np.random.default_rng(0).normal(0, 1, 1 << N)  # of the coalitions of a game without any structure


def number(coalition, n=N):
    return sum(1 << n - 1 - player for player in coalition)


def worth(*coalition):
    return WORTH[number(coalition)]


def test_a_value_is_the_mean_over_all_orders():
    values = np.zeros(N)
    for order in itertools.permutations(range(N)):
        for place, player in enumerate(order):
            values[player] += worth(*order[: place + 1]) - worth(*order[:place])
    np.testing.assert_allclose(shapley_values(WORTH), values / factorial(N), rtol=1e-12)


def test_several_games_are_solved_together():
    games = np.stack([WORTH, 3 * WORTH, WORTH**2], axis=1)
    each = np.stack([shapley_values(game) for game in games.T], axis=1)
    np.testing.assert_allclose(shapley_values(games), each, rtol=1e-12)


def test_an_interaction_is_what_two_add_to_each_other():
    found = shapley_interactions(WORTH)
    for i, j in itertools.permutations(range(N), 2):
        others, expected = [player for player in range(N) if player not in (i, j)], 0
        for size in range(N - 1):
            weight = factorial(size) * factorial(N - 2 - size) / factorial(N - 1)
            for s in itertools.combinations(others, size):
                expected += weight * (worth(*s, i, j) - worth(*s, i) - worth(*s, j) + worth(*s))
        assert found[i, j] == pytest.approx(expected, rel=1e-12)
    np.testing.assert_array_equal(np.diag(found), 0)


def test_a_game_of_gloves():
    """The first player has a left glove, two others a right one each, and a pair is worth 1."""
    gloves = np.array([0, 0, 0, 0, 0, 1, 1, 1.0])
    np.testing.assert_allclose(shapley_values(gloves), [2 / 3, 1 / 6, 1 / 6])
    # the left glove needs a right one, and the two right ones replace each other
    np.testing.assert_allclose(
        shapley_interactions(gloves), np.array([[0, 1, 1], [1, 0, -1], [1, -1, 0]]) / 2
    )


@pytest.fixture(scope="module")
def model():
    """Its second head writes nothing."""
    model = made(architecture_of())
    model.p.proj_w[0, 1:4] = 0
    return model


@pytest.fixture(scope="module")
def exact(model):
    return shapley(Coalitions(model, text_of(60)))


def test_the_values_add_up_to_the_gain_of_attention(model, exact):
    coalitions = Coalitions(model, text_of(60))
    gain = coalitions.losses([False] * N).mean() - coalitions.losses([True] * N).mean()
    assert exact.gain == pytest.approx(gain, rel=1e-9)
    assert exact.bits.sum() == pytest.approx(gain, rel=1e-9)
    assert np.all((exact.low <= exact.bits) & (exact.bits <= exact.high))
    assert exact.n_orders == 0
    np.testing.assert_array_equal(exact.sampling_error, 0)


def test_a_head_that_writes_nothing_is_worth_nothing(exact):
    assert exact.bits[1] == exact.low[1] == exact.high[1] == 0
    np.testing.assert_array_equal(exact.interactions[1], 0)
    np.testing.assert_array_equal(exact.interactions, exact.interactions.T)
    assert np.all(np.abs(exact.bits[[0, 2, 3, 4]]) > 1e-3)


def test_values_of_drawn_orders_agree_with_the_exact_ones(model, exact):
    drawn = shapley(Coalitions(model, text_of(60)), n_orders=30, seed=1)
    assert drawn.n_orders == 30
    assert drawn.interactions is None
    assert drawn.bits.sum() == pytest.approx(exact.gain, rel=1e-9)
    assert drawn.bits[1] == drawn.sampling_error[1] == 0
    error = np.abs(drawn.bits - exact.bits)
    assert np.all(error <= 2 * drawn.sampling_error)  # with a probability of 99.9%
    assert 0 < drawn.sampling_error.max() < 0.25 * np.abs(exact.bits).max()
    # the interval is that of the text, and a little wider
    assert np.all(drawn.high - drawn.low >= 2 * drawn.sampling_error)
    more = shapley(Coalitions(model, text_of(60)), n_orders=120, seed=1)
    assert more.sampling_error.max() < drawn.sampling_error.max()


def test_more_heads_than_can_be_exact_are_sampled_for_some_seconds():
    architecture = architecture_of(heads=f"{MOST_EXACT + 1}x1", d_model=MOST_EXACT + 1)

    class Listener:
        told = ()

        def working(self, what, so_far):
            self.told = (*self.told, (what, so_far))

        def idle(self):
            self.told = (*self.told, "idle")

    listener = Listener()
    found = shapley(Coalitions(made(architecture), text_of(12)), seconds=0, listener=listener)
    assert found.n_orders == 4  # the fewest of which an error can be told
    assert found.bits.sum() == pytest.approx(found.gain, rel=1e-9)
    assert [what for what, *_ in listener.told[:-1]] == ["Shapley values of 17 heads"] * 2
    assert listener.told[-1] == "idle"


def test_of_two_heads_an_order_and_its_reverse_say_all():
    coalitions = Coalitions(made(architecture_of(heads="2+4")), text_of(60))
    exact, drawn = shapley(coalitions), shapley(coalitions, n_orders=4)
    np.testing.assert_allclose(drawn.bits, exact.bits, rtol=1e-9)
    np.testing.assert_allclose(drawn.sampling_error, 0, atol=1e-12)
    np.testing.assert_allclose([drawn.low, drawn.high], [exact.low, exact.high], rtol=0.01)
    assert abs(exact.interactions[0, 1]) > 1e-3  # one order alone would say something else
