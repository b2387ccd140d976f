"""The curves of a run: its reports in columns of numbers, and as few points of them as a page can hold."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from microgpt.arrays import Array

# Where a point is
PLACES = ("step", "chars", "elapsed_s")
TRAINING = (*PLACES, "loss", "smoothed_loss", "grad_norm", "lr", "chars_per_s")
VALIDATION = (*PLACES, "val_loss", "network_val_loss", "ngram_weight")
# Of these a thinned curve has the mean over all steps of a stretch, and also the lowest and the highest value
AVERAGED = ("loss", "grad_norm")
# A report of fewer steps than this part of what is usual, as an evaluation writes one right after another,
# says little by itself, and is drawn with the next one
SHORT = 0.5
DIGITS = 6
# Of these the report shows four digits after the point, which are those that the terminal has shown
FIGURES, DIGITS_OF_FIGURES = ("smoothed_loss", "val_loss", "network_val_loss"), 9


class Columns:
    """Rows of numbers with increasing steps, NaN where one is missing, 8 bytes for each number."""

    def __init__(self, names: Sequence[str]) -> None:
        self._columns = {name: array("d") for name in names}

    def __len__(self) -> int:
        return len(self._columns["step"])

    def add(self, row: Mapping[str, Any]) -> None:
        """Add a row. One whose step is not after the last one is from a run that was resumed earlier: it
        takes the place of all rows from its step on."""
        step = _number(row.get("step"))
        self.forget(step)
        for name, column in self._columns.items():
            column.append(_number(row.get(name)))

    @property
    def last_step(self) -> int:
        steps = self._columns["step"]
        return int(steps[-1]) if steps else 0

    def forget(self, step: float) -> None:
        """Remove the rows from this step on."""
        steps = self._columns["step"]
        while steps and steps[-1] >= step:
            for column in self._columns.values():
                column.pop()

    def thinned(self, most: int) -> dict[str, list[float | None]]:
        """The columns, of at most this many points; None where a number is missing.

        Rows with AVERAGED numbers that are SHORT count with the next one. Where there are more rows, a point
        stands for a stretch of them: it is where the last of them is, with the mean of the AVERAGED numbers,
        weighted by the steps of each row, and with `NAME_low` and `NAME_high`; of all other numbers it has
        the last.
        """
        columns = {name: np.array(column) for name, column in self._columns.items()}
        if not columns.keys().isdisjoint(AVERAGED) and len(self):
            columns = _averaged(columns, _without_short(columns["step"]))
        if (n := len(columns["step"])) > most:
            edges = np.linspace(0, n, most + 1).astype(int)
            columns = _averaged(columns, edges) | _extremes(columns, edges)
        return {
            name: _plain(column, DIGITS_OF_FIGURES if name in FIGURES else DIGITS)
            for name, column in columns.items()
            if not np.isnan(column).all()
        }


class Curves:
    """The reports of a run, one by one.

    training    what every report says
    validation  what those after an evaluation say besides
    """

    def __init__(self) -> None:
        self.training, self.validation = Columns(TRAINING), Columns(VALIDATION)

    def add(self, report: Mapping[str, Any]) -> None:
        """Add a report, as `Columns.add` does it."""
        self.training.add(report)
        self.validation.forget(report["step"])
        if report.get("val_loss") is not None:
            self.validation.add(report)


def _averaged(columns: dict[str, Array], edges: Array) -> dict[str, Array]:
    """The stretches of rows between these edges, as points."""
    begins, last = edges[:-1], edges[1:] - 1
    points = {name: column[last] for name, column in columns.items()}
    n_steps = np.diff(columns["step"], prepend=0.0)
    for name in AVERAGED:
        if name not in columns:
            continue
        known = ~np.isnan(columns[name])
        weights = np.where(known, n_steps, 0.0)
        sums = np.add.reduceat(np.where(known, columns[name], 0.0) * weights, begins)
        of = np.add.reduceat(weights, begins)
        points[name] = np.divide(sums, of, out=np.full(len(begins), np.nan), where=of > 0)
    return points


def _extremes(columns: dict[str, Array], edges: Array) -> dict[str, Array]:
    """The lowest and the highest of the AVERAGED numbers in each of these stretches."""
    found = {}
    for name in columns.keys() & set(AVERAGED):
        found[f"{name}_low"] = np.fmin.reduceat(columns[name], edges[:-1])
        found[f"{name}_high"] = np.fmax.reduceat(columns[name], edges[:-1])
    return found


def _without_short(steps: Array) -> Array:
    """The edges of stretches of rows, none of which is SHORT."""
    n_steps = np.diff(steps, prepend=0.0)
    last = np.flatnonzero(n_steps >= SHORT * np.median(n_steps))
    last[-1] = len(steps) - 1  # a short row at the end counts with the one before
    return np.append(0, last + 1)


def _plain(column: Array, digits: int) -> list[float | None]:
    """Numbers for JSON: whole ones as they are, others with this many digits."""
    return [
        None if math.isnan(x) else int(x) if x == int(x) else float(f"{x:.{digits}g}")
        for x in column.tolist()
    ]


def _number(value: Any) -> float:
    """The number, or NaN for all that is no finite number."""
    if type(value) not in (int, float):
        return math.nan
    try:
        number = float(value)
    except OverflowError:
        return math.nan
    return number if math.isfinite(number) else math.nan
