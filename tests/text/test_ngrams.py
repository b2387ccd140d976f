"""n-gram models, against ones that are made by the definition, with dictionaries."""

import math
import tracemalloc
from collections import Counter, defaultdict

import numba
import numpy as np
import pytest

from microgpt.errors import MicrogptError
from microgpt.machine.budget import Budget
from microgpt.text import ngrams
from microgpt.text.ngrams import count, fit, highest_order, kneser_ney, shortened

TEXTS = [(V, n, order) for V in (1, 2, 4) for n in (1, 2, 7, 60) for order in (1, 2, 3, 5)]


class ByDefinition:
    """Kneser-Ney with dictionaries, from all the n-grams of the highest order with their occurrences."""

    def __init__(self, occurrences, V, order, discounts=None):
        self.V, self.order = V, order
        self.counts = {order: Counter(occurrences)}
        for n in range(order - 1, 0, -1):
            # each different n-gram of the order above is one continuation
            self.counts[n] = Counter(gram[1:] for gram in self.counts[n + 1])
        self.discounts = discounts or {n: self.discounts_of(n) for n in self.counts}
        self.successors = defaultdict(dict)
        for counts in self.counts.values():
            for gram, c in counts.items():
                self.successors[gram[:-1]][gram[-1]] = c

    def discounts_of(self, n):
        n1, n2, n3, n4 = (sum(c == wanted for c in self.counts[n].values()) for wanted in (1, 2, 3, 4))
        discounts = []
        for c, (fewer, more) in enumerate(((n1, n2), (n2, n3), (n3, n4)), 1):
            try:
                value = c - (c + 1) * n1 / (n1 + 2 * n2) * more / fewer
            except ZeroDivisionError:
                value = -1
            # where there is none of a count, and of all below it, nothing can be estimated
            discounts.append(value if n1 and 0 < value < c else c / 2)
        return [0, *discounts]

    def p(self, symbol, context):
        lower = self.p(symbol, context[1:]) if context else 1 / self.V
        successors = self.successors.get(context)
        if not successors:
            return lower
        discounts = self.discounts[len(context) + 1]
        total = sum(successors.values())
        reserved = sum(discounts[min(c, 3)] for c in successors.values())
        c = successors.get(symbol, 0)
        return (c - discounts[min(c, 3)] + reserved * lower) / total

    def row(self, context):
        return [self.p(symbol, context) for symbol in range(self.V)]


def occurrences_of(ids, order):
    padded = (None,) * (order - 1) + tuple(ids.tolist())
    return [padded[t : t + order] for t in range(len(ids))]


def text_of(V, n, seed=0):
    """Characters that depend on the one before, some of them rare."""
    rng = np.random.default_rng(seed)
    steps = np.minimum(rng.geometric(0.5, n) - 1, V - 1)
    return (np.cumsum(steps) % V).astype(np.uint8 if V <= 256 else np.uint32)


@pytest.mark.parametrize(("V", "n", "order"), TEXTS)
def test_the_distribution_after_any_context_is_that_of_the_definition(V, n, order):
    ids = text_of(V, n)
    expected, model = ByDefinition(occurrences_of(ids, order), V, order), fit(ids, V, order)
    new = text_of(V, 30, seed=1)
    rows = model.probabilities(model.nodes(new))
    for t, row in enumerate(rows):
        context = tuple(new[max(0, t - order + 1) : t].tolist())
        np.testing.assert_allclose(row, expected.row(context), rtol=1e-12)
    np.testing.assert_allclose(rows.sum(1), 1, rtol=1e-12)
    losses = model.losses(model.nodes(new), new)
    np.testing.assert_allclose(losses, -np.log(rows[np.arange(30), new]), rtol=1e-12)


@pytest.mark.parametrize(("V", "n", "order"), TEXTS)
def test_leaving_one_occurrence_out_is_counting_without_it(V, n, order):
    ids = text_of(V, n)
    occurrences, model = occurrences_of(ids, order), fit(ids, V, order)
    discounts = ByDefinition(occurrences, V, order).discounts
    nodes = model.nodes(ids, from_the_start=True)
    rows = model.probabilities(nodes, ids)
    for t, row in enumerate(rows):
        expected = ByDefinition(occurrences[:t] + occurrences[t + 1 :], V, order, discounts)
        np.testing.assert_allclose(row, expected.row(occurrences[t][:-1]), rtol=1e-11)
    np.testing.assert_allclose(rows.sum(1), 1, rtol=1e-12)
    losses = model.losses(nodes, ids, left_out=True)
    np.testing.assert_allclose(losses, -np.log(rows[np.arange(n), ids]), rtol=1e-11, atol=1e-12)


def test_what_is_left_out_changes_more_than_one_order():
    ids = text_of(4, 60)
    model = fit(ids, 4, 4)
    path = model._path(model.nodes(ids, from_the_start=True))
    _, gone = model._left_out(path, ids)
    assert set(gone.sum(0)) == {1, 2, 3, 4}


def test_only_what_was_counted_can_be_left_out():
    ids = np.array([0, 1, 0, 1], np.uint8)
    model = fit(ids, 3, 2)
    with pytest.raises(ValueError, match="only what was counted"):
        model.probabilities(model.nodes(ids, from_the_start=True), np.array([0, 1, 0, 2]))


def test_what_precedes_a_text_is_seen():
    ids = text_of(4, 200)
    model = fit(ids[:150], 4, 4)
    for n_before in (0, 1, 2, 3, 150):
        nodes = model.nodes(ids[150:], ids[150 - n_before : 150])
        assert nodes.tolist() == model.nodes(ids[150 - n_before :])[n_before:].tolist()


def test_neither_blocks_nor_runs_change_anything(monkeypatch):
    ids, new = text_of(5, 5000), text_of(5, 3000, seed=1)
    whole = fit(ids, 5, 4)
    expected = whole.nodes(new, ids), whole.losses(whole.nodes(new), new)
    for size in (1, 7, 1000):
        monkeypatch.setattr(ngrams, "BLOCK_SIZE", max(size, 7))
        monkeypatch.setattr("microgpt.arrays.BLOCK", size)
        model = fit(ids, 5, 4)
        for mine, other in zip(whole, model, strict=True):
            np.testing.assert_array_equal(mine, other)
            assert np.asarray(mine).dtype == np.asarray(other).dtype
        np.testing.assert_array_equal(model.nodes(new, ids), expected[0])
        np.testing.assert_array_equal(model.losses(model.nodes(new), new), expected[1])


def test_rows_are_those_of_their_parts(monkeypatch):
    ids = text_of(5, 500)
    model = fit(ids, 5, 3)
    nodes = model.nodes(ids, from_the_start=True)
    monkeypatch.setattr(ngrams, "ROWS_BYTES", 17 * 8 * 5)
    parts = list(model.parts(500))
    assert [part.stop - part.start for part in parts] == [17] * 29 + [7]
    rows = np.concatenate([model.probabilities(nodes[part], ids[part]) for part in parts])
    np.testing.assert_allclose(rows, model.probabilities(nodes, ids), rtol=1e-14)


def test_shorter_ngrams_are_counted_from_longer_ones():
    ids = text_of(5, 3000)
    grams = count(ids, 5, 4)
    for order in (3, 2, 1):
        grams, expected = shortened(grams, 5, order + 1), count(ids, 5, order)
        np.testing.assert_array_equal(grams.keys, expected.keys)
        np.testing.assert_array_equal(grams.counts, expected.counts)
    assert grams.counts.sum() == 3000


@pytest.mark.parametrize(
    ("V", "order"), [(65, 6), (1447, 6), (1448, 5), (6207, 5), (50_000, 4), (1 << 20, 3)]
)
def test_keys_hold_the_highest_order_that_fits(V, order):
    assert highest_order(V, 6) == order
    assert highest_order(V, 2) == 2
    ids = np.array([V - 1] * 9 + [0, V - 2, V - 1, V - 1, V - 1], np.uint32)
    assert count(ids, V, order).keys[-1] == (V + 1) ** order - 1
    model = fit(ids, V, order)
    expected = ByDefinition(occurrences_of(ids, order), V, order)
    nodes = model.nodes(ids, from_the_start=True)
    losses = model.losses(nodes, ids)
    for (*context, symbol), loss in zip(occurrences_of(ids, order), losses, strict=True):
        assert math.exp(-loss) == pytest.approx(expected.p(symbol, tuple(context)))


@numba.njit
def distribution(model, node):
    p = np.full(model.V, 1 / model.V)
    path = []
    while node >= 0:
        path.append(node)
        node = model.shorter[node]
    for m in range(len(path)):
        node = path[len(path) - 1 - m]
        p *= model.reserved[node] / model.total[node]
        for i in range(model.begin[node], model.begin[node + 1]):
            c = model.counts[i]
            p[model.symbols[i]] += (c - model.discounts[m, min(c, 3)]) / model.total[node]
    return p


def test_a_compiled_kernel_can_read_the_model():
    ids = text_of(5, 400)
    model = fit(ids, 5, 4)
    nodes = model.nodes(text_of(5, 20, seed=1))
    for node, row in zip(nodes, model.probabilities(nodes), strict=True):
        np.testing.assert_allclose(distribution(model, node), row, rtol=1e-13)


def test_the_budget_holds_what_the_model_takes():
    budget = Budget(1 << 20)
    model = fit(text_of(5, 2000), 5, 4, budget)
    assert budget.held == model.n_bytes == sum(a.nbytes for a in model if isinstance(a, np.ndarray))


def test_a_model_that_does_not_fit_is_refused_in_one_sentence(monkeypatch):
    ids = np.random.default_rng(0).integers(0, 200, 100_000, np.uint8)
    grams = count(ids, 200, 6)
    with pytest.raises(MicrogptError, match=r"^out of memory budget: .* for the 6-grams of the text do not"):
        kneser_ney(grams, 200, 6, Budget(2 << 20))
    monkeypatch.setattr(ngrams, "BLOCK_SIZE", 10_000)
    with pytest.raises(MicrogptError, match=r"for counting 6-grams do not fit.*; use n-grams of a lower"):
        count(ids, 200, 6, Budget(2 << 20))


@pytest.mark.parametrize("V", [60, 5000])
def test_no_more_memory_is_taken_than_the_budget_has(V):
    # for the longer text, all n-grams are different
    ids = np.random.default_rng(0).integers(0, V, 600_000, np.uint16)
    cap = 256 << 20
    tracemalloc.start()
    fit(ids, V, highest_order(V, 5), Budget(cap))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < cap
    with pytest.raises(MicrogptError, match="out of memory budget"):
        fit(ids, V, highest_order(V, 5), Budget(peak // 3))


# --- a single context, and what a file keeps


@pytest.mark.parametrize(("V", "n", "order"), TEXTS)
def test_the_next_character_is_predicted_as_those_of_a_whole_text(V, n, order):
    ids, new = text_of(V, n), text_of(V, 30, seed=1)
    model = fit(ids, V, order)
    rows = model.probabilities(model.nodes(new, before=ids[-3:]))
    for t, row in enumerate(rows):
        found = model.next([*ids[-3:].tolist(), *new[:t].tolist()])
        assert found == pytest.approx(row, rel=1e-14)
        assert found.sum() == pytest.approx(1, abs=1e-14)
    assert model.next([]) == pytest.approx(model.probabilities(np.zeros(1, int))[0], rel=1e-14)


@pytest.mark.parametrize(("V", "n", "order"), TEXTS)
def test_the_model_has_the_ngrams_that_it_was_made_of(V, n, order):
    ids = text_of(V, n)
    model, counted = fit(ids, V, order), count(ids, V, order)
    found = model.grams()
    assert model.n_grams == len(counted.keys)
    for array, expected in zip(found, counted, strict=True):
        assert array.dtype == expected.dtype
        assert np.array_equal(array, expected)
    for array, expected in zip(kneser_ney(found, V, order), model, strict=True):
        assert np.array_equal(array, expected)
