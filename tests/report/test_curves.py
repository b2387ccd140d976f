"""Curves: reports become columns, resumed runs go on where they resumed, long logs become short."""

import math

import numpy as np
import pytest
from made_up_runs import report

from microgpt.report.curves import Columns, Curves


def curves(steps):
    found = Curves()
    for step in steps:
        found.add(report(step))
    return found


def test_columns_say_what_the_reports_said():
    found = curves([10, 20, 30])
    assert found.training.thinned(3) == {
        "step": [10, 20, 30],
        "chars": [160, 320, 480],
        "elapsed_s": [0.08, 0.16, 0.24],
        "loss": [1.2, 1.1, 1.06667],
        "smoothed_loss": [1.7, 1.6, 1.56666667],
        "grad_norm": [0.6, 0.55, 0.533333],
        "lr": [0.01, 0.01, 0.01],
        "chars_per_s": [2000, 2000, 2000],
    }
    # no evaluation before step 20, and no n-grams at all
    assert found.validation.thinned(3) == {
        "step": [20], "chars": [320], "elapsed_s": [0.16], "val_loss": [1.2],
    }  # fmt: skip


def test_what_was_reported_again_after_a_resume_counts_once():
    found = curves([10, 20, 30, 40, 25, 35])
    assert found.training.thinned(9)["step"] == [10, 20, 25, 35]
    assert found.training.last_step == 35
    assert found.validation.thinned(9)["step"] == [20]


@pytest.mark.parametrize("value", ["text", None, True, math.nan, math.inf, 10**400, [1]])
def test_what_is_no_number_is_missing(value):
    found = Columns(("step", "loss"))
    found.add({"step": 1, "loss": value})
    found.add({"step": 2, "loss": 0.5})
    assert found.thinned(9) == {"step": [1, 2], "loss": [None, 0.5]}


def test_a_report_right_after_another_counts_with_the_next_one():
    found = Curves()
    for step, loss in ((50, 3.0), (51, 9.0), (100, 2.0), (150, 1.0), (152, 6.0)):
        found.add(report(step, loss=loss, val_loss=loss if step in (51, 152) else None))
    points = found.training.thinned(9)
    assert points["step"] == [50, 100, 152]
    assert points["loss"] == pytest.approx([3.0, (9 + 49 * 2) / 50, (50 * 1 + 2 * 6) / 52], rel=1e-5)
    assert "loss_low" not in points
    assert found.validation.thinned(9)["val_loss"] == [9, 6]


def test_a_thinned_curve_has_the_mean_over_the_steps_and_what_it_leaves_out():
    random = np.random.default_rng(0)
    steps = np.cumsum(random.integers(3, 6, 1000))
    losses = random.normal(size=1000)
    losses[700] = math.nan
    found = Columns(("step", "loss", "lr"))
    for step, loss in zip(steps.tolist(), losses.tolist(), strict=True):
        found.add({"step": step, "loss": loss, "lr": step / 10_000})
    points = found.thinned(10)
    for i, stretch in enumerate(np.split(np.arange(1000), 10)):
        n_steps = np.diff(steps, prepend=0)[stretch]
        known = ~np.isnan(losses[stretch])
        mean = np.average(losses[stretch][known], weights=n_steps[known])
        assert points["step"][i] == steps[stretch[-1]]
        assert points["lr"][i] == pytest.approx(steps[stretch[-1]] / 10_000)
        assert points["loss"][i] == pytest.approx(mean, rel=1e-4, abs=1e-6)
        assert points["loss_low"][i] == pytest.approx(np.nanmin(losses[stretch]), rel=1e-5)
        assert points["loss_high"][i] == pytest.approx(np.nanmax(losses[stretch]), rel=1e-5)
