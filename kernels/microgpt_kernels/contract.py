"""The contract that every backend fulfils: each kernel's arguments, their shapes and their write modes.

Letters, used everywhere in this project:

    B  sequences in a batch      H  heads                   V  characters in the vocabulary
    T  positions (time)          D  width of one head       L  layers
    C  channels, d_model         F  width of the MLP        N  rows, B * T

    K, M  what goes into a linear map and what comes out    P  parameters      S  shards of the batch
    J  tensors of parameters     Q  chunks of the text      R  slots of a log      X  anything

Learned matrices are `(in, out)`; arrays are row-major. Arguments stand in this order: what is written,
what is accumulated or updated, scratch, what is consumed, what is read (`dout` first), then scalars. Sizes
come from the arrays. Gradients are written: each parameter is used once in the model, and each shard has its
own.

    written      every element is overwritten; what was there does not matter
    causal       overwritten for the keys up to each query's own position; 0 beyond, before and after
    accumulated  added to
    updated      read and overwritten
    scratch      holds nothing before and nothing of use after
    consumed     read; holds nothing of use after, but what was 0 still is
    read         not touched

Two arguments may share memory only where `may_share` says so. Kernels work on real arrays of one dtype,
float32 or float64, and on int32 ids, int64 counters and float64 totals, marked so below.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any


@dataclass(frozen=True)
class Argument:
    """One argument: its name, write mode, shape as letters ('N 3C') and kind of number."""

    name: str
    mode: str
    shape: str
    kind: str = "real"


@dataclass(frozen=True)
class Kernel:
    """A kernel: its name, its arguments in order, and the pairs that may share memory."""

    name: str
    arguments: tuple[Argument, ...]
    may_share: tuple[tuple[str, str], ...] = ()


def _arguments(mode: str):  # type: ignore[no-untyped-def]
    def of(**shapes: str) -> tuple[Argument, ...]:
        arguments = []
        for name, text in shapes.items():
            kind = next((k for k in ("int32", "int64", "float64", "text") if text.startswith(k)), "real")
            arguments.append(Argument(name, mode, text.removeprefix(kind).strip(), kind))
        return tuple(arguments)

    return of


written = _arguments("written")
causal = _arguments("causal")
accumulated = _arguments("accumulated")
updated = _arguments("updated")
scratch = _arguments("scratch")
consumed = _arguments("consumed")
read = _arguments("read")


def scalars(*names: str) -> tuple[Argument, ...]:
    """Numbers handed over by value."""
    return tuple(Argument(name, "scalar", "") for name in names)


def kernel(name: str, *groups: tuple[Argument, ...], may_share: tuple[tuple[str, str], ...] = ()) -> Kernel:
    return Kernel(name, tuple(argument for group in groups for argument in group), may_share)


# How many queries of attention are computed and saved together: a panel of so many columns is contiguous
# memory that stays in a first-level cache, and the keys that come after it are skipped.
PANEL = 32

KERNELS = (
    # --- the data ---------------------------------------------------------------------------------
    # the batch of step clock[0]; target -1 where there is nothing to predict
    kernel(
        "batch_fill",
        written(inputs="int32 B T", targets="int32 B T", n_targets="int64 1"),
        read(ids="text X", order="int64 Q", clock="int64 2"),
        scalars("stride"),
    ),
    # --- the model, in the order of its forward pass --------------------------------------------------
    # row n is the embedding of character ids[n]
    kernel("embedding_forward", written(out="N C"), read(ids="int32 N", table="V C")),
    kernel("embedding_backward", written(dtable="V C"), read(dout="N C", ids="int32 N")),
    # row n stands at position (start + n) mod T
    kernel("position_forward", accumulated(out="N C"), read(table="T C"), scalars("start")),
    kernel("position_backward", written(dtable="T C"), read(dout="N C")),
    kernel(
        "layernorm_forward",
        written(out="N C", mean="N", rstd="N"),
        read(inp="N C", weight="C", bias="C"),
    ),
    kernel(
        "layernorm_backward",
        written(dinp="N C", dweight="C", dbias="C"),
        read(dout="N C", inp="N C", weight="C", mean="N", rstd="N"),
        may_share=(("dinp", "dout"),),
    ),
    kernel("linear_forward", written(out="N M"), read(inp="N K", weight="K M", bias="M")),
    kernel(
        "linear_backward",
        written(dinp="N K", dweight="K M", dbias="M"),
        scratch(scratch="K*M"),
        read(dout="N M", inp="N K", weight="K M"),
    ),
    # turns each head's pairs of columns in q and k by the angle of their row's position
    kernel(
        "rope_forward",
        updated(qkv="N 3C"),
        read(cos="T C", sin="T C", offsets="int32 H+1"),
        scalars("start"),
    ),
    kernel(
        "rope_backward",
        updated(dqkv="N 3C"),
        read(cos="T C", sin="T C", offsets="int32 H+1"),
    ),
    # att is cut into panels of PANEL queries (the last may have fewer), one after the other, each keys by
    # queries; with fewer rows in out than in qkv, the queries are the last rows of the one
    # sequence there is, and att is not touched
    kernel(
        "attention_forward",
        written(out="N C"),
        causal(att="B H T*T"),
        scratch(scratch="2*T*C"),
        read(qkv="N 3C", offsets="int32 H+1"),
    ),
    kernel(
        "attention_backward",
        written(dqkv="N 3C"),
        scratch(scratch="6*T*C+32*T"),
        consumed(att="B H T*T"),
        read(dout="N C", out="N C", qkv="N 3C", offsets="int32 H+1"),
    ),
    kernel("residual_forward", written(out="N C"), read(inp="N C", branch="N C")),
    kernel("residual_backward", accumulated(dinp="N C"), read(dbranch="N C")),
    kernel("relu_forward", written(out="N F"), read(inp="N F"), may_share=(("out", "inp"),)),
    kernel("relu_backward", written(dinp="N F"), read(dout="N F", out="N F"), may_share=(("dinp", "dout"),)),
    # loss 0 where the target is -1
    kernel(
        "cross_entropy_forward",
        written(losses="N", probs="N V"),
        read(logits="N V", targets="int32 N"),
    ),
    # the gradient of the mean over n_targets characters
    kernel(
        "cross_entropy_backward",
        written(dlogits="N V"),
        read(probs="N V", targets="int32 N", n_targets="int64 1"),
        may_share=(("dlogits", "probs"),),
    ),
    # --- the optimizer ----------------------------------------------------------------------------
    # the shards' gradients lie tensor by tensor, the S copies of a tensor side by side; tensor j owns
    # bounds[j]:bounds[j+1] of out; the copies are added in the order of the shards. Of S parts of each tensor
    # only one is written, so that as many threads as there are shards can do it
    kernel("shard_sum", written(out="P"), read(shards="S*P", bounds="int64 J+1"), scalars("part")),
    kernel("gradient_norm", written(norm="1"), read(grad="P")),
    # slot clock[0] mod R of the log receives loss and norm; not finite: clock[1] becomes 1
    kernel(
        "step_record",
        updated(log="R 2", clock="int64 2"),
        read(losses="N", n_targets="int64 1", norm="1"),
    ),
    # nothing happens once clock[1] is 1; an empty decay means none; an m or v below 2^10 times the smallest
    # normal number may become 0, so that it need not be denormal
    kernel(
        "adam_step",
        updated(param="P", m="P", v="P"),
        read(grad="P", norm="1", lr="R", decay="P", clock="int64 2"),
        scalars("beta1", "beta2", "eps", "clip"),
    ),
    kernel("clock_advance", updated(clock="int64 2")),
    # --- evaluation and generation ----------------------------------------------------------------
    # total[0] += the sum of the losses, counted[0] += n_targets[0]
    kernel(
        "loss_sum",
        accumulated(total="float64 1", counted="int64 1"),
        read(losses="N", n_targets="int64 1"),
    ),
    # draws a character from the last row of logits by the slot clock[2] of uniform, into ids and output
    kernel(
        "sample",
        updated(window="int32 T", output="int32 R", clock="int64 3"),
        scratch(scratch="2*V"),
        read(logits="N V", uniform="R"),
        scalars("temperature", "top_k", "top_p"),
    ),
)

# What a backend has besides its kernels: how its arrays are made and moved, and how a step is compiled.
VERBS: Mapping[str, tuple[str, ...]] = {
    # a zeroed array that this backend's kernels can work on
    "zeros": ("shape", "dtype"),
    # a NumPy array as one of this backend's; on a CPU that is the array itself
    "to_device": ("values",),
    # the values of an array as a NumPy array; on a CPU that is the array itself
    "to_host": ("array",),
    # overwrite an array with the values of a NumPy array
    "from_host": ("array", "values"),
    # a function used inside a step
    "inline": ("function",),
    # the same for one with a loop over `shards`, whose turns may run at the same time
    "parallel": ("function",),
    # step(state) -> steps(n, state), which runs it n times as one unit
    "compile": ("step",),
    # with what it runs: versions, threads, device
    "describe": (),
    # bytes that the backend holds for itself, besides the arrays it is asked for
    "overhead": (),
    # into how many shards a batch is cut at the most: the same on every machine, or its results would not be
    "max_shards": (),
    # how many threads a compiled step may use
    "set_threads": ("n_threads",),
    # range over the shards of a batch, each of which may run in a thread of its own
    "shards": (),
}


def shape_of(text: str, sizes: Mapping[str, int]) -> tuple[int, ...]:
    """The shape that a text like 'N 3C' or 'L+1 C' or '2*T*T+V' means, with each letter's size."""

    def evaluate(dimension: str) -> int:
        total = 0
        for term in dimension.split("+"):
            product = 1
            for number, letter in re.findall(r"(\d+)|([A-Z])", term):
                product *= int(number) if number else sizes[letter]
            total += product
        return total

    return tuple(evaluate(dimension) for dimension in text.split())


def differences(backend: ModuleType) -> list[str]:
    """What a backend module lacks of the contract, or has with other arguments; empty if it keeps it."""
    expected = {k.name: tuple(a.name for a in k.arguments) for k in KERNELS}
    wrong = []
    for name, arguments in expected.items() | VERBS.items():
        function: Any = getattr(backend, name, None)
        if function is None:
            wrong.append(f"{name} is missing")
        elif name != "shards":
            found = tuple(inspect.signature(getattr(function, "py_func", function)).parameters)
            if found != arguments:
                wrong.append(f"{name}({', '.join(found)}) should be {name}({', '.join(arguments)})")
    return sorted(wrong)
