"""Effective rank: how many directions a head really uses, of as many as it is wide."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from microgpt.arrays import Array
from microgpt.model.parameters import Parameters
from microgpt.xray.circuits import circuits, singular_values
from microgpt.xray.head import Head
from microgpt.xray.reading import Reading


def effective_rank(values: Array) -> float:
    """The effective rank of a matrix with these singular values (Roy and Vetterli 2007):

        exp(- sum_i p_i ln p_i),  p_i = s_i / sum_j s_j

    It is r for r equal values, and any number from 1 to r otherwise; 0 for a matrix of zeros.
    """
    if not values.any():
        return 0.0
    p = values[values > 0] / values.sum()
    return float(np.exp(-(p * np.log(p)).sum()))


def ranks(reading: Reading, heads: Sequence[Head], p: Parameters) -> Array:
    """Of each head the effective ranks (H, 3) of the QK circuit, of the OV circuit and of its outputs.

    The outputs are what the head writes to the stream, o_h W_O^h, over the text, less their mean: how many
    directions it moves in. (The rank of o_h itself would depend on how W_V and W_O share their product.)
    Divided by the width D this is the utilisation. A head of width 1 has rank 1 and utilisation 1 whatever
    it does, unless it does nothing.
    """
    found = np.empty((len(heads), 3))
    for i, head in enumerate(heads):
        q, k, v, o = circuits(p, head)
        outputs = reading.heads[head.layer][:, head.columns].astype(np.float64)
        moving = outputs - outputs.mean(axis=0)
        pairs = (q, k.T), (v, o), (moving, o)
        found[i] = [effective_rank(singular_values(left, right)) for left, right in pairs]
    return found
