"""Composition: how much a head reads of what a head of an earlier layer has written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from microgpt.arrays import Array
from microgpt.model.parameters import Parameters
from microgpt.xray.circuits import circuits
from microgpt.xray.head import Head

KINDS = ("q", "k", "v")
ROTATIONS = 64


@dataclass(frozen=True, eq=False)
class Composition:
    """Of K pairs of heads of different layers, each by what reads: `kind` 0, 1, 2 for q, k, v.

    earlier, later  (K,)  the numbers of the two heads among all heads
    kind            (K,)
    score           (K,)  from 0 to 1
    baseline        (K,)  the mean score of such a pair at random
    deviation       (K,)  the standard deviation of the score at random
    """

    earlier: Array
    later: Array
    kind: Array
    score: Array
    baseline: Array
    deviation: Array

    @property
    def excess(self) -> Array:
        """How much the score is above what a random pair has."""
        return self.score - self.baseline


def composition(p: Parameters, heads: Sequence[Head]) -> Composition:
    """The composition scores of all pairs of heads of different layers (Elhage et al. 2021):

        |W_1 M_2|_F / (|W_1|_F |M_2|_F)

    W_1 = v_1 o_1 is the OV circuit of the earlier head, and M_2 what the later one does with a row that it
    reads: for q its QK circuit q_2 k_2^T, for k the transpose of that, for v its OV circuit v_2 o_2.

    At random the score is not 0. The baseline turns one of the two at random against the other, and keeps
    the singular values of both: over such rotations the mean of the score's square is exactly 1 / C for any
    widths. The mean of the score itself is near 1 / sqrt(C) for wide heads and lower for narrow ones (0.8 of
    it for two of width 1), and its deviation is the larger the narrower they are. So an excess counts
    beside the deviation. The baseline is estimated from ROTATIONS rotations, always the same.
    """
    C = p.tok.shape[1]
    matrices = [circuits(p, head) for head in heads]
    # |v_1 o_1 q_2 k_2^T| is that of three small matrices: R of v_1, o_1 q_2, and R of k_2
    writes = [_triangle(m.v) @ m.o for m in matrices]
    reads = [
        [inner @ _triangle(outer).T for inner, outer in ((m.q, m.k), (m.k, m.q), (m.v, m.o.T))]
        for m in matrices
    ]
    spectra = [np.linalg.svd(written, compute_uv=False) for written in writes]
    spectra_read = [[np.linalg.svd(read, compute_uv=False) for read in of_head] for of_head in reads]
    pairs = [
        (i, j, kind)
        for i, earlier in enumerate(heads)
        for j, later in enumerate(heads)
        if earlier.layer < later.layer
        for kind in range(len(KINDS))
    ]
    turned = _squared_rotations(C)
    found = np.zeros((len(pairs), 3))
    for row, (i, j, kind) in zip(found, pairs, strict=True):
        s, t = spectra[i], spectra_read[j][kind]
        size = np.linalg.norm(s) * np.linalg.norm(t)
        if size > 0:
            at_random = np.sqrt(s**2 @ turned[:, : len(s), : len(t)] @ t**2) / size
            row[:] = np.linalg.norm(writes[i] @ reads[j][kind]) / size, at_random.mean(), at_random.std()
    return Composition(*np.array(pairs, np.int64).reshape(-1, 3).T, *found.T)


def _triangle(matrix: Array) -> Array:
    """R of the matrix's QR decomposition: a product with it is as large as one with the matrix."""
    _, r = np.linalg.qr(matrix)
    return r


def _squared_rotations(C: int) -> Array:
    """The squares of the elements of ROTATIONS random orthogonal matrices (ROTATIONS, C, C)."""
    random = np.random.default_rng(0)
    return np.stack([np.linalg.qr(random.normal(size=(C, C)))[0] ** 2 for _ in range(ROTATIONS)])
