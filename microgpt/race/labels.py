"""Names beside the points of a figure, where they cover least."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from microgpt.arrays import Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.transforms import Bbox

# The places that are tried: this far from the point, in points of type, in these directions
DISTANCES = (4.0, 8.0, 14.0, 22.0, 32.0, 44.0, 60.0, 80.0)
DIRECTIONS = ((1, 0), (-1, 0), (0, 1), (0, -1), (0.7, 0.7), (0.7, -0.7), (-0.7, 0.7), (-0.7, -0.7))
NEAR = 8.0  # from farther away a thin line leads to the point
# What a place costs: for each 4 points of type along a line that it covers, for each that it is away from the
# point, and where it covers a name or leaves the axes
COVERED, AWAY, NEVER = 2.0, 0.2, 1000.0

BEHIND = {"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 0}


class Label(NamedTuple):
    text: str
    x: float
    y: float
    colour: str  # as #rrggbb


def write_beside(figure: Figure, axes: Axes, labels: Sequence[Label]) -> None:
    """Write each label near its point. All else must be in the figure, and in its final place."""
    unit = figure.dpi / 72  # pixels in a point of type; boxes are in pixels
    lines = [line.get_transform().transform(line.get_xydata()) for line in axes.lines]
    drawn = np.concatenate([_along(line, 4 * unit) for line in lines])
    inside = axes.get_window_extent()
    written: list[Bbox] = []

    def cost(box: Bbox) -> float:
        covered = np.all((drawn > box.min) & (drawn < box.max), axis=1).sum()
        leaves = not (inside.contains(*box.min) and inside.contains(*box.max))
        return float(COVERED * covered + NEVER * (box.count_overlaps(written) + leaves))

    for label in labels:
        point = label.x, label.y
        text = axes.annotate(label.text, point, (0, 0), textcoords="offset points", ha="center", va="center")
        text.set(color=_darker(label.colour), bbox=BEHIND)
        box = text.get_window_extent().padded(2 * unit)
        places = []
        for far, (across, up) in itertools.product(DISTANCES, DIRECTIONS):
            x, y = across * (box.width / unit / 2 + far), up * (box.height / unit / 2 + far)
            places.append((cost(box.translated(x * unit, y * unit)) + AWAY * far, far, x, y))
        _, far, x, y = min(places)
        text.set_position((x, y))
        written.append(box.translated(x * unit, y * unit))
        if far > NEAR:
            nearest = np.clip(axes.transData.transform(point), written[-1].min, written[-1].max)
            line = {"arrowstyle": "-", "color": "#666666", "linewidth": 0.5, "shrinkA": 0, "shrinkB": 5}
            axes.annotate("", point, nearest / unit, textcoords="figure points", arrowprops=line)


def _along(line: Floats, spacing: float) -> Floats:
    """Points along a line of one or two points (n, 2); many also of a short one, as a marker is there."""
    begin, end = line[0], line[-1]
    points: Floats = np.linspace(begin, end, max(10, int(math.dist(begin, end) / spacing)))
    return points


def _darker(colour: str) -> str:
    """For text, which is thinner than what else has the colour."""
    parts = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return "#" + "".join(f"{round(0.7 * part):02x}" for part in parts)
