"""The attention weights of a model, as an array to look at.

Each backend chooses the layout in which its attention saves the weights for the backward pass, which may
overwrite them. So this module computes them again, with the reference backend.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from microgpt_kernels import reference


def attention_weights(
    qkv: npt.NDArray[Any], offsets: npt.NDArray[Any], scales: npt.NDArray[Any], n_sequences: int = 1
) -> npt.NDArray[np.float64]:
    """The weight of each key's value for each query, in every sequence and head.

    Returns an array (B, H, T, T): [b, h, query, key] is between 0 and 1, and 0 for the keys after the query;
    the weights of a query sum to 1. A head of width 0 has only zeros.

    qkv          (N, 3C)       q, k and v as `attention_forward` reads them: after `rope_forward`, if there is
                               one; on the host, in any real type
    offsets      (H+1,) int32  head h has columns offsets[h]:offsets[h+1] of q, of k and of v
    scales       (H,)          what the scores of each head are multiplied by
    n_sequences                B, the number of sequences: each has T = N / B rows

    Raises ValueError if N is not a multiple of B.
    """
    N, C = len(qkv), qkv.shape[1] // 3
    B, H = n_sequences, len(offsets) - 1
    if B < 1 or N % B != 0:
        raise ValueError(f"{N} rows cannot be cut into {B} sequences of the same length")
    T = N // B
    weights = np.zeros((B, H, T * T))
    reference.attention_forward(np.zeros((N, C)), weights, None, qkv.astype(np.float64), offsets, scales)
    return weights.reshape(B, H, T, T)
