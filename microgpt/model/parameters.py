"""The parameters that the model learns: one table of names, shapes and initial values, over flat buffers."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Iterator, Mapping
from types import ModuleType
from typing import Annotated, NamedTuple, get_args, get_type_hints

import numpy as np
import numpy.typing as npt
from microgpt_kernels.contract import shape_of

from microgpt.arrays import Array, blocks


class Normal(NamedTuple):
    """Drawn from a normal distribution of this standard deviation."""

    std: float


class FanIn(NamedTuple):
    """Drawn so that the output is `gain` times as large as the input: std = gain / sqrt(rows)."""

    gain: float


class Constant(NamedTuple):
    value: float


Init = Normal | FanIn | Constant


# Initial values are chosen by measurement, see docs/learning.md: what attention adds to the stream is small
# until it has learned something.
class Parameters(NamedTuple):
    """Views of a flat buffer, one tensor of all layers each: `p.qkv_w[l]` is the layer's (C, 3C) matrix."""

    tok: Annotated[Array, "V C", Normal(0.5)]
    pos: Annotated[Array, "E C", Normal(0.5)]  # E is T for learned positions, else 0
    ln1_w: Annotated[Array, "L C", Constant(1)]
    ln1_b: Annotated[Array, "L C", Constant(0)]
    qkv_w: Annotated[Array, "L C 3C", FanIn(1.0)]
    qkv_b: Annotated[Array, "L 3C", Constant(0)]
    proj_w: Annotated[Array, "L C C", FanIn(0.05)]
    proj_b: Annotated[Array, "L C", Constant(0)]
    ln2_w: Annotated[Array, "L C", Constant(1)]
    ln2_b: Annotated[Array, "L C", Constant(0)]
    up_w: Annotated[Array, "L C F", FanIn(1.0)]
    up_b: Annotated[Array, "L F", Constant(0)]
    down_w: Annotated[Array, "L F C", FanIn(1.0)]
    down_b: Annotated[Array, "L C", Constant(0)]
    lnf_w: Annotated[Array, "C", Constant(1)]
    lnf_b: Annotated[Array, "C", Constant(0)]
    unembed_w: Annotated[Array, "C V", FanIn(1.0)]
    unembed_b: Annotated[Array, "V", Constant(0)]


# What embeddings are at first where they are not to be large.
SMALL: dict[str, Init] = {"tok": Normal(0.0075), "pos": Normal(0.004)}


class Tensor(NamedTuple):
    """One row of the table for a model of known sizes; `low:high` is its place in a flat buffer."""

    name: str
    shape: tuple[int, ...]
    init: Init
    low: int
    high: int

    @property
    def is_matrix(self) -> bool:
        """Whether these are weights of linear maps, (in, out) in the last two dimensions."""
        return self.name.endswith("_w") and not self.name.startswith("ln")


def table(sizes: Mapping[str, int]) -> list[Tensor]:
    """Every tensor of a model with these sizes, named by the letters of the contract."""
    tensors, low = [], 0
    for name, (shape_text, init) in _rows().items():
        shape = shape_of(shape_text, sizes)
        high = low + math.prod(shape)
        tensors.append(Tensor(name, shape, init, low, high))
        low = high
    return tensors


@functools.cache
def _rows() -> dict[str, tuple[str, Init]]:
    """The shape of each tensor in letters, and its initial values."""
    hints = get_type_hints(Parameters, include_extras=True)
    return {name: get_args(hint)[1:] for name, hint in hints.items()}


def count(tensors: list[Tensor]) -> int:
    """How many numbers the model learns."""
    return tensors[-1].high


def views(buffer: Array, tensors: list[Tensor]) -> Parameters:
    """The tensors inside a flat buffer of `count` numbers."""
    return Parameters(*(buffer[t.low : t.high].reshape(t.shape) for t in tensors))


def slot_views(buffer: Array, tensors: list[Tensor], n_slots: int) -> Parameters:
    """The tensors inside a buffer of n_slots * `count` numbers, (n_slots, *shape) each, side by side."""
    return Parameters(
        *(buffer[n_slots * t.low : n_slots * t.high].reshape(n_slots, *t.shape) for t in tensors)
    )


def initially(tensors: list[Tensor], embeddings: str) -> list[Tensor]:
    """The same table, with embeddings that are "large" or "small" at first."""
    others = SMALL if embeddings == "small" else {}
    return [tensor._replace(init=others.get(tensor.name, tensor.init)) for tensor in tensors]


def initial(tensors: list[Tensor], seed: int, dtype: npt.DTypeLike) -> Array:
    """A flat buffer of initial values, on the host."""
    return np.concatenate([block for _, block in initial_blocks(tensors, seed, dtype)])


def initial_blocks(tensors: list[Tensor], seed: int, dtype: npt.DTypeLike) -> Iterator[tuple[int, Array]]:
    """The initial values of a flat buffer, block after block, each with the place where it begins.

    Each tensor is drawn from a random stream of its own, by its place in the table. So float32 and float64,
    and models that differ in one size, begin as alike as they can be.
    """
    for number, tensor in enumerate(tensors):
        random = np.random.default_rng((seed, number))
        for low, high in blocks(tensor.low, tensor.high):
            if isinstance(tensor.init, Constant):
                values = np.full(high - low, tensor.init.value)
            else:
                init, rows = tensor.init, tensor.shape[-2]
                std = init.gain / math.sqrt(rows) if isinstance(init, FanIn) else init.std
                values = random.normal(0.0, std, high - low)
            yield low, values.astype(dtype)


def decay_blocks(
    tensors: list[Tensor], weight_decay: float, dtype: npt.DTypeLike
) -> Iterator[tuple[int, Array]]:
    """The weight decay of each parameter of the matrices, likewise in blocks; nothing else decays."""
    for tensor in tensors:
        if tensor.is_matrix:
            for low, high in blocks(tensor.low, tensor.high):
                yield low, np.full(high - low, weight_decay, dtype)


def fill(k: ModuleType, buffer: Array, values: Iterable[tuple[int, Array]]) -> Array:
    """Write blocks into a backend's flat buffer, each from its place on; returns the buffer."""
    for low, block in values:
        k.from_host(buffer[low : low + len(block)], block)
    return buffer
