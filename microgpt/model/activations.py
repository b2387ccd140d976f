"""The arrays that a forward pass fills and a backward pass needs."""

from __future__ import annotations

import math
from typing import Annotated, NamedTuple, get_args, get_type_hints

import numpy as np
from microgpt_kernels.contract import PANEL, shape_of

from microgpt.arrays import Array
from microgpt.model.architecture import Architecture
from microgpt.model.placed import PlacedModel


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
    scratch: Annotated[Array, "S Z"]
    dx: Annotated[Array, "G C"]  # G is N for training, else 0
    dbranch: Annotated[Array, "G C"]
    dheads: Annotated[Array, "G C"]
    dqkv: Annotated[Array, "G 3C"]
    dhidden: Annotated[Array, "G F"]


def shapes(
    architecture: Architecture, *, n_sequences: int, n_shards: int = 1, training: bool = False
) -> dict[str, tuple[int, ...]]:
    """The shape of each activation, for a batch of n_sequences sequences that is cut into n_shards shards.

    Only with `training` is there room for gradients.
    """
    T, C, F, V = (architecture.sizes[letter] for letter in "TCFV")
    N = n_sequences * T
    scratch = max(3 * C * C, C * F, C * V, (6 * C + PANEL) * T, 2 * V)
    sizes = {"B": n_sequences, "N": N, "S": n_shards, "G": N if training else 0, "Z": scratch}
    letters = {**architecture.sizes, **sizes}
    hints = get_type_hints(Activations, include_extras=True)
    return {name: shape_of(get_args(hint)[1], letters) for name, hint in hints.items()}


def activation_bytes(architecture: Architecture, *, n_sequences: int) -> int:
    """The memory that the activations take without gradients, in one shard."""
    numbers = sum(map(math.prod, shapes(architecture, n_sequences=n_sequences).values()))
    return numbers * np.dtype(architecture.dtype).itemsize


def activations(
    placed: PlacedModel, *, n_sequences: int, n_shards: int = 1, training: bool = False
) -> Activations:
    """Zeroed arrays of these `shapes`. Raises MicrogptError where they exceed the budget."""
    k, architecture = placed.k, placed.architecture
    remedy = "use a shorter --seq-len or a smaller --batch-size"
    arrays = {}
    for name, shape in shapes(
        architecture, n_sequences=n_sequences, n_shards=n_shards, training=training
    ).items():
        what = f"the activation '{name}' {shape}"
        arrays[name] = placed.budget.zeros(k, shape, architecture.dtype, what, remedy)
    return Activations(**arrays)
