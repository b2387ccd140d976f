"""The arrays that a forward pass fills and a backward pass needs."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from typing import Annotated, NamedTuple, get_args, get_type_hints

import numpy as np
from microgpt_kernels.contract import scratch_size, shape_of

from microgpt.arrays import Array
from microgpt.model.architecture import Architecture
from microgpt.model.parameters import table
from microgpt.model.placed import PlacedModel

# Marks an array whose values from `forward` are overwritten by the end of a training step.
REUSED = "reused"


class Activations(NamedTuple):
    """The arrays of the forward pass, in the order in which it computes them; `d...` are gradients.

    All layers share the arrays of gradients. Beside each array is its shape, in the letters of the contract.
    """

    x: Annotated[Array, "L+1 N C"]  # the residual stream before each layer, and after the last
    ln1: Annotated[Array, "L N C"]
    mean1: Annotated[Array, "L N"]
    rstd1: Annotated[Array, "L N"]
    shift1: Annotated[Array, "L U C"]  # U is N with the shift in time, else 0
    qkv: Annotated[Array, "L N 3C"]
    att: Annotated[Array, "L B H T*T", REUSED]  # the attention weights, in the backend's own layout
    heads: Annotated[Array, "L N C"]  # the heads' outputs side by side
    mid: Annotated[Array, "L N C"]  # the residual stream between attention and MLP
    ln2: Annotated[Array, "L N C"]
    mean2: Annotated[Array, "L N"]
    rstd2: Annotated[Array, "L N"]
    shift2: Annotated[Array, "L U C"]
    hidden: Annotated[Array, "L N F"]
    branch: Annotated[Array, "N C", REUSED]  # the output of attention or the MLP, to be added to the stream
    lnf: Annotated[Array, "N C"]
    meanf: Annotated[Array, "N"]
    rstdf: Annotated[Array, "N"]
    logits: Annotated[Array, "N V"]
    probs: Annotated[Array, "N V", REUSED]  # of the next character; then the gradient of the logits
    losses: Annotated[Array, "N"]
    scratch: Annotated[Array, "S Z", REUSED]
    dx: Annotated[Array, "G C", REUSED]  # G is N in training, else 0
    dbranch: Annotated[Array, "G C", REUSED]
    dheads: Annotated[Array, "G C", REUSED]
    dqkv: Annotated[Array, "G 3C", REUSED]
    dhidden: Annotated[Array, "G F", REUSED]


@functools.cache
def _table() -> dict[str, tuple[str, ...]]:
    """The shape of each activation in letters, and its mark if it has one."""
    hints = get_type_hints(Activations, include_extras=True)
    return {name: get_args(hint)[1:] for name, hint in hints.items()}


def shapes(
    architecture: Architecture, *, n_sequences: int, n_slots: int = 1, training: bool = False
) -> dict[str, tuple[int, ...]]:
    """The shape of each activation, for a batch of n_sequences sequences, with n_slots slots for gradients.

    The gradients have rows only with `training`.
    """
    sizes = architecture.sizes
    N = n_sequences * sizes["T"]
    linear_maps = [(K, M) for *_, K, M in (tensor.shape for tensor in table(sizes) if tensor.is_matrix)]
    letters = {
        **sizes,
        "B": n_sequences,
        "N": N,
        "S": n_slots,
        "U": N if architecture.token_shift else 0,
        "G": N if training else 0,
        "Z": scratch_size(sizes, linear_maps),
    }
    return {name: shape_of(shape, letters) for name, (shape, *_) in _table().items()}


def activation_bytes(architecture: Architecture, *, n_sequences: int) -> int:
    """The memory that the activations take without gradients, with one slot."""
    numbers = sum(map(math.prod, shapes(architecture, n_sequences=n_sequences).values()))
    return numbers * np.dtype(architecture.dtype).itemsize


def activations(
    placed: PlacedModel, *, n_sequences: int, n_slots: int = 1, training: bool = False
) -> Activations:
    """Zeroed arrays of these `shapes`. Raises MicrogptError where they exceed the budget."""
    needed = shapes(placed.architecture, n_sequences=n_sequences, n_slots=n_slots, training=training)
    remedy = "use a shorter --seq-len or a smaller --batch-size"
    arrays = {}
    for name, shape in needed.items():
        what = f"the activation '{name}' {shape}"
        arrays[name] = placed.budget.zeros(placed.k, shape, placed.architecture.dtype, what, remedy)
    return Activations(**arrays)


def in_order(a: Activations) -> Iterator[tuple[str, Array]]:
    """The arrays of the forward pass, in the order of its computation, each with words that name it.

    Arrays that are REUSED are left out.
    """
    kept = {name: shape for name, (shape, *mark) in _table().items() if REUSED not in mark}
    of_layers = [name for name, shape in kept.items() if shape.startswith("L")]
    for l in range(len(a.ln1)):
        for name in of_layers:
            yield f"the activation {name!r} of layer {l + 1}", getattr(a, name)[l]
    yield "the activation 'x' after the last layer", a.x[-1]
    for name in kept:
        if name not in of_layers:
            yield "the loss" if name == "losses" else f"the activation {name!r}", getattr(a, name)
