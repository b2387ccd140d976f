"""What counting n-grams costs: never less than it does take."""

import numpy as np
import pytest

from microgpt.machine.budget import Budget
from microgpt.text.ngrams import fit, highest_order
from microgpt.training.counting import (
    A_MOMENT,
    MEMORY,
    NOTHING,
    ORDER,
    TIME,
    Cost,
    Counting,
    candidates,
    cost,
    reason,
    shared,
)

RANDOM = np.random.default_rng(0)
TEXTS = {
    "random": RANDOM.integers(0, 60, 5000).astype(np.uint8),
    "all alike": np.zeros(3000, np.uint8),
    "all different": np.arange(3000, dtype=np.uint16),
    "repeated": np.tile(RANDOM.integers(0, 30, 700).astype(np.uint8), 5),
    "one character": np.zeros(1, np.uint8),
}


def variety_of(ids, V, order):
    """The different n-grams of each order for each character, counted in a plain way."""
    padded = [-1] * order + ids.tolist()
    return tuple(
        len({tuple(padded[i - m : i]) for i in range(order + 1, len(padded) + 1)}) / len(ids)
        for m in range(1, order + 1)
    )


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("wanted", [1, 2, ORDER, 16])
def test_a_model_takes_no_more_than_it_costs(text, known, wanted, monkeypatch):
    monkeypatch.setattr("microgpt.text.ngrams.BLOCK_SIZE", 500)  # so that runs are merged
    ids = TEXTS[text]
    V = int(ids.max()) + 1
    order = highest_order(V, wanted)
    variety = variety_of(ids, V, min(order, ORDER)) if known else ()
    most = cost(wanted, len(ids), 0, V, Counting(1.0, variety))
    budget = Budget(max(most.moment, most.n_bytes))
    model = fit(ids, V, order, budget)  # raises where it needs more for a moment
    assert (most.order, most.seconds) == (order, len(ids))
    held = budget.held + 8 * model.n_grams
    assert held == model.n_bytes + 8 * model.n_grams <= most.n_bytes
    if known and order <= ORDER:
        assert most.n_bytes <= held + 100 * order


def test_none_cost_nothing():
    assert cost(0, 1000, 100, 65, Counting(1.0)) == NOTHING


def test_candidates_are_the_orders_that_keep_to_their_part_of_the_memory():
    def orders(cap, V=65, n=10_000):
        found = list(candidates(cap, n, 1000, V, Counting(1e6)))
        assert found[-1] == NOTHING
        assert all(one.n_bytes <= MEMORY * cap for one in found)
        return [one.order for one in found]

    assert orders(1 << 31) == [6, 5, 4, 3, 2, 1, 0]
    assert orders(1 << 31, 3000) == [5, 4, 3, 2, 1, 0]
    assert orders(1_000_000) == [3, 2, 1, 0]
    assert orders(11_000) == [0]  # the text is all that there is room for
    assert next(candidates(None, 10**9, 10**6, 65, Counting(1e6))).order == ORDER


def test_the_network_never_has_less_of_more_time():
    one = Cost(6, 0, 0, 10.0)
    times = np.linspace(0, 100, 5000)
    network = [shared(seconds, one, told=False)[1] for seconds in times]
    assert sorted(network) == network
    assert [shared(seconds, one, told=False)[0] for seconds in (39.9, 40.1)] == [False, True]
    assert TIME == 0.25
    assert shared(41, one, told=False) == (True, 31)
    assert shared(35, one, told=False) == (False, 30)
    assert shared(12, one, told=False) == (False, 12)
    assert shared(12, one, told=True) == (True, 2)
    assert shared(0.3, Cost(6, 0, 0, A_MOMENT), told=False) == (True, 0.3 - A_MOMENT)
    assert shared(12, NOTHING, told=False) == (True, 12)


def test_reasons():
    def said(order, seconds=0.01, V=65, **more):
        return reason(Cost(order, 0, 0, seconds), V, counted=True, **more)

    assert said(6) == "6-grams of the text, counted in a moment, predict beside the network"
    assert said(5).endswith("; 6-grams might not fit the memory cap")
    assert said(5, V=3000).endswith("; of 3,000 distinct characters, no longer ones can be counted")
    assert "counted in about 1,234.6 s, predict" in said(6, 1234.56)
    assert reason(NOTHING, 65, counted=True).endswith("which would not fit the memory cap")
    assert reason(Cost(6, 0, 0, 9.0), 65, counted=False).endswith("takes about 9.0 s, too much of this time")
