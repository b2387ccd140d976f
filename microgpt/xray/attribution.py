"""Direct logit attribution: what each part of the model has written to the logit of the next character."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from microgpt.arrays import Array, IdArray
from microgpt.model.parameters import Parameters
from microgpt.xray.head import Head, sum_by_head
from microgpt.xray.reading import Reading


def part_names(heads: Sequence[Head], p: Parameters) -> list[str]:
    """The parts in the order of the stream; positions are one of them where they are learned."""
    names = ["embedding", *(["positions"] if len(p.pos) else [])]
    for layer in range(len(p.ln1_w)):
        names += [*(head.name for head in heads if head.layer == layer), f"mlp {layer + 1}"]
    return [*names, "bias"]


def attribution(reading: Reading, heads: Sequence[Head], p: Parameters, ids: IdArray) -> Array:
    """What each part adds to the logit of each character but the first, less the mean of all logits.

    The stream is a sum of parts, and the final layer norm is linear once its factor rstd is held (Elhage et
    al. 2021, "A Mathematical Framework for Transformer Circuits"; nostalgebraist 2020 for the lens). With
    u = U[:, y] - mean_v U[:, v] for the character y that comes, a part x adds at position t

        x . d[t],  d[t] = rstd[t] * (g - mean_C(g)),  g = lnf_w * u

    The embedding adds its x, a head o_h W_O^h, an MLP hidden W_down; all biases together are the last part.
    The parts sum to the logit of y less the mean logit.

    Returns an array (n, parts) in float64, in the order of `part_names`.

    p    the parameters on the host
    ids  (n + 1,), the text
    """
    n, T = len(ids) - 1, reading.ids.shape[1]
    p = Parameters(*(tensor.astype(np.float64) for tensor in p))
    U = p.unembed_w - p.unembed_w.mean(axis=1, keepdims=True)
    bias = p.unembed_b - p.unembed_b.mean()
    following = np.asarray(ids[1:], np.int64)
    u = U.T[following]  # (n, C)
    g = p.lnf_w * u
    d = reading.rstd[:, None] * (g - g.mean(axis=1, keepdims=True))
    parts = [(p.tok[ids[:-1]] * d).sum(axis=1)]
    if len(p.pos):
        parts.append((p.pos[np.arange(n) % T] * d).sum(axis=1))
    constant = u @ p.lnf_b + bias[following]
    for layer in range(len(p.ln1_w)):
        own = [head._replace(layer=0) for head in heads if head.layer == layer]
        by_column = reading.heads[layer] * (d @ p.proj_w[layer].T)
        parts += [*sum_by_head(by_column[:, None], own).T]
        parts.append((reading.hidden[layer] * (d @ p.down_w[layer].T)).sum(axis=1))
        constant += d @ (p.proj_b[layer] + p.down_b[layer])
    return np.stack([*parts, constant], axis=1)
