"""The memory of a run: every array it owns, allocated before the first step and booked against a budget."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import ModuleType
from typing import Annotated, NamedTuple, get_args, get_type_hints

import numpy as np
import numpy.typing as npt
from microgpt_kernels.contract import PANEL, shape_of

from microgpt.config import ModelConfig
from microgpt.errors import MicrogptError
from microgpt.parameters import Array, Parameters, table, views


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


class Budget:
    """Counts every array of a run; an array that does not fit raises before it is allocated.

    cap  bytes; None for no limit
    """

    def __init__(self, cap: int | None) -> None:
        self.cap = cap
        self.held = 0

    def book(self, n_bytes: int, what: str, remedy: str) -> None:
        """Count bytes that something is about to allocate, or raise MicrogptError."""
        if self.cap is not None and self.held + n_bytes > self.cap:
            raise MicrogptError(
                f"out of memory budget: {readable(n_bytes)} for {what} do not fit, {readable(self.held)} of "
                f"the {readable(self.cap)} cap are held; {remedy}, or raise --memory-cap"
            )
        self.held += n_bytes

    def zeros(
        self, k: ModuleType, shape: tuple[int, ...], dtype: npt.DTypeLike, what: str, remedy: str
    ) -> Array:
        """A zeroed array of the backend."""
        self.book(math.prod(shape) * np.dtype(dtype).itemsize, what, remedy)
        array: Array = k.zeros(shape, dtype)
        return array


def readable(n_bytes: int) -> str:
    """1536 -> '1.5 KiB'."""
    size = float(n_bytes)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024 or unit == "GiB":
            break
        size /= 1024
    return f"{size:.0f} {unit}" if size >= 100 or unit == "B" else f"{size:.1f} {unit}"


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
    scratch = max(3 * C * C, C * F, C * V, (6 * C + PANEL) * T, 2 * V)
    letters = {**sizes, "B": n_sequences, "N": N, "S": n_shards, "G": N if training else 0, "X": scratch}
    arrays = []
    for name, hint in get_type_hints(Activations, include_extras=True).items():
        shape = shape_of(get_args(hint)[1], letters)
        remedy = "use a shorter --seq-len or a smaller --batch-size"
        arrays.append(budget.zeros(k, shape, dtype, f"the activation '{name}' {shape}", remedy))
    return Activations(*arrays)


def constants(
    k: ModuleType,
    sizes: Mapping[str, int],
    heads: tuple[tuple[int, ...], ...],
    rope: bool,
    dtype: npt.DTypeLike,
) -> Constants:
    """Head offsets, and for rotary positions the cosine and sine of each column's angle (equation 34)."""
    L, H, T, C = (sizes[letter] for letter in "LHTC")
    offsets = np.full((L, H + 1), C, np.int32)
    angles = np.zeros((L, T if rope else 0, C))
    for l, widths in enumerate(heads):
        offsets[l, : len(widths) + 1] = np.concatenate([[0], np.cumsum(widths)])
        if rope:
            frequencies = [ROPE_BASE ** (-(c - c % 2) / D) for D in widths for c in range(D)]
            angles[l] = np.arange(T)[:, None] * np.array(frequencies)
    values = (offsets, np.cos(angles).astype(dtype), np.sin(angles).astype(dtype))
    return Constants(*(k.to_device(value) for value in values))


def place(
    k: ModuleType, budget: Budget, config: ModelConfig, param: Array
) -> tuple[Array, Parameters, Constants]:
    """A model's flat buffer of parameters on a backend, the views of its tensors, and its constants."""
    budget.book(param.nbytes, "the model's parameters", "use a smaller model")
    buffer = k.zeros(param.shape, param.dtype)
    k.from_host(buffer, param)
    p = views(buffer, table(config.sizes))
    rope = config.positions == "rope"
    return buffer, p, constants(k, config.sizes, config.heads, rope, config.dtype)
