"""The heads of a model one by one, whatever their widths."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from microgpt.arrays import Array
from microgpt.model.architecture import Architecture
from microgpt.model.constants import attention_scale


class Head(NamedTuple):
    """One head: where it is, and its columns in q, in k, in v and in what the layer's heads put out."""

    layer: int  # from 0
    number: int  # in its layer, from 0
    low: int  # its columns are low:high
    high: int
    scale: float  # what its scores are multiplied by

    @property
    def width(self) -> int:
        return self.high - self.low

    @property
    def columns(self) -> slice:
        return slice(self.low, self.high)

    @property
    def name(self) -> str:
        """As people count: "1.2" is the second head of the first layer."""
        return f"{self.layer + 1}.{self.number + 1}"


def heads_of(architecture: Architecture) -> tuple[Head, ...]:
    """All heads of a model, those of the first layer first."""
    found = []
    for layer, widths in enumerate(architecture.heads):
        borders = itertools.pairwise(itertools.accumulate(widths, initial=0))
        for number, (low, high) in enumerate(borders):
            scale = attention_scale(architecture.attention_scale, high - low)
            found.append(Head(layer, number, low, high, scale))
    return tuple(found)


def sum_by_head(columns: Array, heads: Sequence[Head]) -> Array:
    """The sums (..., H) over the columns of each head of all layers, of an array (..., L, C)."""
    flat = columns.reshape(*columns.shape[:-2], -1)
    begins = [head.layer * columns.shape[-1] + head.low for head in heads]
    return np.add.reduceat(flat, begins, axis=-1)
