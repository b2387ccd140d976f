"""What heads are worth for their width: by hand, and Gini's number by its other formula."""

import numpy as np
import pytest
from heads_by_hand import architecture_of

from microgpt.xray.fairness import fairness
from microgpt.xray.head import heads_of


def test_bits_for_columns_and_parameters_and_the_curve():
    heads = heads_of(architecture_of(n_layers=1, heads="1+2+3"))
    found = fairness(np.array([3.0, 2.0, 0.0]), heads, 6)
    assert found.per_column.tolist() == [3, 1, 0]
    assert found.per_parameter.tolist() == pytest.approx([3 / 24, 1 / 24, 0])
    assert found.lorenz.tolist() == pytest.approx(np.array([(0, 0), (3 / 6, 0), (5 / 6, 2 / 5), (1, 1)]))
    assert found.gini == pytest.approx(1 - 2 * (2 / 6 * 2 / 5 / 2 + 1 / 6 * (2 / 5 + 1) / 2))


def test_equal_columns_are_a_straight_line():
    heads = heads_of(architecture_of(heads="1+2+3 | 6"))
    found = fairness(np.array([1.0, 2, 3, 6]), heads, 6)
    assert found.lorenz[:, 0] == pytest.approx(found.lorenz[:, 1])
    assert found.gini == pytest.approx(0)


def test_the_gini_number_is_the_mean_difference_of_two_columns():
    heads = heads_of(architecture_of(heads="1+2+3 | 6"))
    bits = np.array([0.3, 0.1, 0.7, 0.2])
    columns = np.repeat(bits / [1, 2, 3, 6], [1, 2, 3, 6])
    differences = np.abs(columns[:, None] - columns).mean()
    assert fairness(bits, heads, 6).gini == pytest.approx(differences / (2 * columns.mean()))


def test_a_head_that_hinders_has_no_share_and_nothing_cannot_be_shared():
    heads = heads_of(architecture_of(n_layers=1, heads="3+3"))
    found = fairness(np.array([1.0, -5.0]), heads, 6)
    assert found.lorenz.tolist() == [[0, 0], [0.5, 0], [1, 1]]
    assert found.per_column.tolist() == pytest.approx([1 / 3, -5 / 3])
    assert np.isnan(fairness(np.array([0.0, -1.0]), heads, 6).gini)
