"""The arrays that a forward pass fills and a backward pass needs, and what a model knows without learning."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Annotated, NamedTuple, get_args, get_type_hints

import numpy as np
import numpy.typing as npt
from microgpt_kernels.contract import scratch_size, shape_of

from microgpt.arrays import BLOCK, Array
from microgpt.machine.budget import Budget
from microgpt.model.architecture import Architecture


class Activations(NamedTuple):
    """What the forward pass saves and the backward pass needs; `d...` are gradients, reused by each layer."""

    x: Annotated[Array, "L+1 N C"]  # the residual stream before each layer, and after the last
    ln1: Annotated[Array, "L N C"]
    mean1: Annotated[Array, "L N"]
    rstd1: Annotated[Array, "L N"]
    qkv: Annotated[Array, "L N 3C"]
    att: Annotated[Array, "L B H T*T"]
    heads: Annotated[Array, "L N C"]  # the heads' outputs side by side
    mid: Annotated[Array, "L N C"]  # the residual stream between attention and MLP
    ln2: Annotated[Array, "L N C"]
    mean2: Annotated[Array, "L N"]
    rstd2: Annotated[Array, "L N"]
    hidden: Annotated[Array, "L N F"]
    branch: Annotated[Array, "N C"]
    lnf: Annotated[Array, "N C"]
    meanf: Annotated[Array, "N"]
    rstdf: Annotated[Array, "N"]
    logits: Annotated[Array, "N V"]
    probs: Annotated[Array, "N V"]  # then their gradient, in place
    losses: Annotated[Array, "N"]
    scratch: Annotated[Array, "S X"]
    dx: Annotated[Array, "G C"]  # G is N for training, else 0
    dbranch: Annotated[Array, "G C"]
    dheads: Annotated[Array, "G C"]
    dqkv: Annotated[Array, "G 3C"]
    dhidden: Annotated[Array, "G F"]


class Constants(NamedTuple):
    """What a model knows without learning it. A layer with fewer heads than H ends in heads of width 0."""

    offsets: Annotated[Array, "L H+1"]  # int32
    cos: Annotated[Array, "L R C"]  # R is T for rotary positions, else 0
    sin: Annotated[Array, "L R C"]


ROPE_BASE = 10000.0


def activations(
    k: ModuleType,
    budget: Budget,
    sizes: Mapping[str, int],
    dtype: npt.DTypeLike,
    *,
    n_sequences: int,
    n_shards: int = 1,
    training: bool = False,
) -> Activations:
    """The arena for so many sequences of T positions; without `training` it has no room for gradients."""
    T, C, F, V = (sizes[letter] for letter in "TCFV")
    N = n_sequences * T
    scratch = scratch_size(sizes, [(C, 3 * C), (C, C), (C, F), (F, C), (C, V)])
    letters = {**sizes, "B": n_sequences, "N": N, "S": n_shards, "G": N if training else 0, "X": scratch}
    arrays = []
    for name, hint in get_type_hints(Activations, include_extras=True).items():
        shape = shape_of(get_args(hint)[1], letters)
        remedy = "use a shorter --seq-len or a smaller --batch-size"
        arrays.append(budget.zeros(k, shape, dtype, f"the activation '{name}' {shape}", remedy))
    return Activations(*arrays)


def constants(k: ModuleType, budget: Budget, architecture: Architecture) -> Constants:
    """Head offsets, and for rotary positions the cosine and sine of each column's angle (equation 34)."""
    L, H, T, C, R = (architecture.sizes[letter] for letter in "LHTCR")
    remedy = "use fewer --n-layers or a smaller --d-model"
    budget.book(L * (H + 1) * 4, "the borders of the heads", remedy)
    offsets = np.full((L, H + 1), C, np.int32)
    for l, widths in enumerate(architecture.heads):
        offsets[l, 0] = 0
        offsets[l, 1 : len(widths) + 1] = np.cumsum(widths)
    what, remedy = "the angles of rotary positions", "use a shorter --seq-len, or --positions learned"
    cos, sin = (budget.zeros(k, (L, R, C), architecture.dtype, what, remedy) for _ in range(2))
    if R:
        for l, widths in enumerate(architecture.heads):
            frequencies = np.array([ROPE_BASE ** (-(c - c % 2) / D) for D in widths for c in range(D)])
            # a block of positions at a time: in float64 the angles of a layer would be twice its tables
            step = max(1, BLOCK // C)
            for t in range(0, T, step):
                angles = np.arange(t, min(t + step, T))[:, None] * frequencies
                k.from_host(cos[l, t : t + step], np.cos(angles))
                k.from_host(sin[l, t : t + step], np.sin(angles))
    return Constants(k.to_device(offsets), cos, sin)
