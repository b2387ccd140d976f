"""The weights of one head as maps between rows of the residual stream (Elhage et al. 2021).

Two products of them are all that a head is, apart from its biases: the QK circuit q k^T says which rows it
compares with which, the OV circuit v o what it carries from the row that it looks at. Nothing else of the
single matrices can be seen from outside: q M and k M^-T are the same head.

What stands between the stream and these weights is folded into them, as far as it is linear: the weights of
the layer norm before attention into q, k and v; and from o the mean of what it writes is taken away, as every
layer norm that reads the stream does. A layer norm's factor rstd, which differs from row to row, is left out.

With token_shift the projections read a row whose first half of columns comes from the character before. The
circuits are maps of that row, whichever characters it comes from. Rotary positions turn q and k by an angle
for each distance; the circuits are those of distance 0. Biases are left out.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from microgpt.arrays import Array
from microgpt.model.parameters import Parameters
from microgpt.xray.head import Head


class Circuits(NamedTuple):
    """The four matrices of a head in float64; D is its width."""

    q: Array  # (C, D)
    k: Array  # (C, D)
    v: Array  # (C, D)
    o: Array  # (D, C)


def circuits(p: Parameters, head: Head) -> Circuits:
    """Those of one head, from the parameters on the host."""
    layer, C = head.layer, p.tok.shape[1]
    read = p.ln1_w[layer].astype(np.float64)[:, None] * p.qkv_w[layer]
    q, k, v = (read[:, i * C :][:, head.columns] for i in range(3))
    o = p.proj_w[layer, head.columns].astype(np.float64)
    return Circuits(q, k, v, o - o.mean(axis=1, keepdims=True))


def singular_values(left: Array, right: Array) -> Array:
    """Those of left @ right, (C, D) times (D, C): at most D, without the C x C product."""
    _, r_left = np.linalg.qr(left)
    _, r_right = np.linalg.qr(right.T)
    values: Array = np.linalg.svd(r_left @ r_right.T, compute_uv=False)
    return values
