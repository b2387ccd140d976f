"""Names beside points: readable, and each near its own."""

import itertools

import numpy as np
import pytest

pytest.importorskip("matplotlib")
from matplotlib.figure import Figure

from microgpt.race.labels import Label, write_beside


@pytest.fixture
def crowd():
    """Twelve labelled points close together, as (figure, axes, labels)."""
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    places = np.random.default_rng(0).normal(0, 0.1, (12, 2))
    for x, y in places:
        axes.plot(x, y, "o")
    axes.set(xlim=(-1, 1), ylim=(-1, 1))
    figure.draw_without_rendering()
    return figure, axes, [Label(f"entrant {i}", x, y, "#0072B2") for i, (x, y) in enumerate(places)]


def test_names_cover_neither_points_nor_each_other(crowd):
    figure, axes, labels = crowd
    write_beside(figure, axes, labels)
    boxes = [text.get_window_extent() for text in axes.texts if text.get_text()]
    assert len(boxes) == len(labels)
    assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))
    points = axes.transData.transform([(label.x, label.y) for label in labels])
    assert not any(box.contains(*point) for box, point in itertools.product(boxes, points))
    assert all(axes.get_window_extent().contains(*box.min) for box in boxes)


def test_a_name_far_from_its_point_is_led_there(crowd):
    figure, axes, labels = crowd
    write_beside(figure, axes, labels)
    leads = [text for text in axes.texts if text.arrow_patch is not None]
    assert 0 < len(leads) < len(labels)
    assert {text.xy for text in leads} <= {(label.x, label.y) for label in labels}
