"""Where heads begin, what their scores are multiplied by, and the angles of rotary positions."""

import numpy as np
import pytest
from microgpt_kernels import reference

from microgpt.arrays import BLOCK
from microgpt.config import TrainConfig
from microgpt.errors import MicrogptError
from microgpt.machine.budget import Budget
from microgpt.model.constants import constants
from microgpt.recipes import RECIPES


def made(budget=None, **options):
    architecture = TrainConfig(file="x", **RECIPES["plain"] | options).architecture(5)
    return constants(reference, architecture, budget or Budget(None))


def test_heads_begin_where_the_one_before_ends():
    """A layer with fewer heads than another ends in heads of width 0."""
    offsets = made(d_model=6, n_layers=3, heads="1+2+3|6|3+3").offsets
    assert offsets.tolist() == [[0, 1, 3, 6], [0, 6, 6, 6], [0, 3, 6, 6]]
    assert offsets.dtype == np.int32


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("kind", "rows"),
    [("sqrt", [[1, 1 / 2, 1 / 4], [21**-0.5, 0, 0]]), ("linear", [[4, 1, 1 / 4], [4 / 21, 0, 0]])],
)
def test_scores_are_multiplied_by_a_number_that_follows_from_the_width(kind, rows, dtype):
    """The same one at a width of 16."""
    found = made(d_model=21, n_layers=2, heads="1+4+16|21", attention_scale=kind, dtype=dtype).scales
    assert found.dtype == dtype
    assert found.tolist() == np.array(rows, dtype).tolist()


@pytest.mark.parametrize(("dtype", "difference"), [("float32", 1e-7), ("float64", 1e-15)])
def test_each_pair_of_columns_turns_at_its_own_speed(dtype, difference):
    """By 10000**(-2j/D) a position, for the pair j of a head of D columns: Su et al. 2021."""
    T, widths = 50, ((1, 5), (6,))
    found = made(seq_len=T, d_model=6, n_layers=2, heads="1+5|6", positions="rope", dtype=dtype)
    assert found.cos.dtype == found.sin.dtype == dtype
    for l, layer in enumerate(widths):
        pairs = [(D, column // 2) for D in layer for column in range(D)]
        angles = np.array([[t * 10000.0 ** (-2 * j / D) for D, j in pairs] for t in range(T)])
        np.testing.assert_allclose(found.cos[l], np.cos(angles), rtol=0, atol=difference * T)
        np.testing.assert_allclose(found.sin[l], np.sin(angles), rtol=0, atol=difference * T)


def test_tables_of_several_blocks_have_every_position():
    T = 3 * BLOCK // 64 + 1
    found = made(seq_len=T, heads="64", n_layers=1, positions="rope", dtype="float64")
    # the first pair of a head turns by one radian a position
    np.testing.assert_allclose(found.cos[0, :, 0], np.cos(np.arange(T)), rtol=0, atol=1e-12)
    np.testing.assert_allclose(found.sin[0, :, 1], np.sin(np.arange(T)), rtol=0, atol=1e-12)


@pytest.mark.parametrize("positions", ["learned", "none"])
def test_other_positions_have_no_angles(positions):
    found = made(positions=positions)
    assert found.cos.shape == found.sin.shape == (2, 0, 64)


def test_angles_are_booked():
    options = {"seq_len": 16, "d_model": 8, "heads": "8", "n_layers": 1, "positions": "rope"}
    budget = Budget(None)
    found = made(budget, **options)
    assert budget.held == found.offsets.nbytes + found.scales.nbytes + found.cos.nbytes + found.sin.nbytes
    with pytest.raises(
        MicrogptError, match=r"for the angles of rotary positions do not fit.*--positions learned"
    ):
        made(Budget(budget.held - 1), **options)
