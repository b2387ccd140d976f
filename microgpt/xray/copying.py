"""The copying score: whether a head makes the characters likelier that it looks at."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from microgpt_kernels.contract import LAYERNORM_EPS

from microgpt.arrays import Array
from microgpt.model.parameters import Parameters
from microgpt.xray.circuits import circuits
from microgpt.xray.head import Head


def copying(p: Parameters, heads: Sequence[Head]) -> Array:
    """The score (H,) of each head, from -1 to 1 (Elhage et al. 2021, "Copying / primitive eigenvalues"):

        sum_i lambda_i / sum_i |lambda_i|

    over the eigenvalues of E v o U (V, V): how a character that is looked at changes each logit. E is the
    embeddings as the layer norm leaves them, U the unembedding with the final layer norm's weights, less the
    mean over the characters, which no probability depends on. Of rank D at the most, it has the same
    eigenvalues but zeros as the small product o U E v (D, D).

    1 is a head that makes likelier what it sees, -1 one that makes it less likely. A head of width 1 has one
    eigenvalue, and so a score of 1 or -1: the narrower a head, the less a large score says. With token_shift
    the row that is looked at holds halves of two characters: this is the score where they are the same. What
    earlier layers have written to the row is left out. NaN for a head that writes nothing.
    """
    tok = p.tok.astype(np.float64)
    E = tok - tok.mean(axis=1, keepdims=True)
    E /= np.sqrt((E**2).mean(axis=1, keepdims=True) + LAYERNORM_EPS)
    U = p.lnf_w.astype(np.float64)[:, None] * p.unembed_w
    loop = (U - U.mean(axis=1, keepdims=True)) @ E  # (C, C)
    scores = np.full(len(heads), np.nan)
    for i, head in enumerate(heads):
        of_head = circuits(p, head)
        values = np.linalg.eigvals(of_head.o @ loop @ of_head.v)
        total = np.abs(values).sum()
        if total > 0:
            scores[i] = values.sum().real / total
    return scores
