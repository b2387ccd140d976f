"""The contract that every backend fulfils: each kernel's arguments, their shapes and their write modes.

A shape is a text of dimensions: 'N 3C' is N rows of 3C numbers, 'H+1' one dimension of H + 1, '1' a single
number, 'B H T*T' three dimensions. LETTERS says what each letter means; it means the same everywhere in this
project, and no other letter means it. Learned matrices are `(in, out)`; arrays are row-major.

An argument's mode says what a kernel does with it:

    written      every element is overwritten; what was there before does not matter
    accumulated  added to
    updated      read and overwritten
    scratch      working memory: its contents mean nothing before the call, and nothing after it
    saved        written by a forward kernel, and read only by the backward kernel of the same backend. Each
                 backend chooses the layout, and the backward kernel may overwrite it. The tests check the two
                 kernels together, by the gradients that they compute
    consumed     read, and perhaps overwritten: its contents mean nothing after the call
    read         not touched

Arguments are in this order: those written, those that a forward kernel saves, those accumulated or updated,
scratch, those consumed, those that a backward kernel finds saved, those read (`dout` first), then scalars. A
kernel takes all sizes from the shapes of its arrays, and B as the scalar `n_sequences` where none of them has
it. Gradients are written, not added to: the model uses each parameter once, and each shard of the batch has
separate gradients. Two arguments may share memory only where `may_share` says so.

A shape may begin with the type of its numbers. Without one the numbers are real: float32 or float64, the same
in all arguments of a call. `int32` is for ids of characters and for indices, `int64` for counters, and
`float64` for totals of many batches. `text` is for the characters of a whole text: unsigned integers of 8, 16
or 32 bits, whichever is the smallest type that can hold every id.

The contract also gives the least work that each kernel has to do. `products` gives the multiplications in its
matrix products. Every array is assumed to be moved to or from memory once or, if it is read and overwritten,
twice (PASSES); `needs` gives the fraction of an array that has to be moved, where that is not all of it.
"""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

LETTERS = {
    "B": "sequences in a batch",
    "T": "positions of a sequence (time)",
    "C": "channels, also called d_model",
    "H": "heads",
    "D": "width of one head",
    "F": "width of the MLP",
    "V": "characters in the vocabulary",
    "L": "layers",
    "N": "rows, B * T",
    "K": "what goes into a linear map",
    "M": "what comes out of a linear map",
    "P": "numbers in all parameters",
    "S": "slots for the gradients of shards",
    "J": "tensors of parameters",
    "Q": "chunks of the text",
    "R": "slots of a log",
    "X": "characters of the text",
    "E": "rows of learned positions: T, or 0 without them",
    "A": "rows of rotary angles: T, or 0 without them",
    "U": "rows that are shifted in time: N, or 0 without the shift",
    "G": "rows of gradients: N in training, else 0",
    "Z": "numbers of scratch",
    "W": "lanes of a vector register",
}

# How often an array of each mode is moved to or from memory.
PASSES = {"written": 1, "accumulated": 2, "updated": 2, "scratch": 0, "saved": 1, "consumed": 1, "read": 1}

# Added to the variance in layer normalisation, so that a row of equal numbers is not divided by 0.
LAYERNORM_EPS = 1e-5


@dataclass(frozen=True)
class Argument:
    """One argument: its name, write mode, shape as letters ('N 3C') and type of number.

    needed  the fraction of the array that a call has to read or write
    """

    name: str
    mode: str
    shape: str
    kind: str = "real"
    needed: float = 1.0


@dataclass(frozen=True)
class Products:
    """The matrix products of a kernel: their sizes as letters, and a formula for their multiplications."""

    sizes: str
    multiplications: str


@dataclass(frozen=True)
class Kernel:
    """A kernel: its name, its arguments in order, which pairs may share memory, and its matrix products."""

    name: str
    arguments: tuple[Argument, ...]
    may_share: tuple[tuple[str, str], ...] = ()
    products: Products | None = None


def _arguments(mode: str):  # type: ignore[no-untyped-def]
    def of(**shapes: str) -> tuple[Argument, ...]:
        arguments = []
        for name, text in shapes.items():
            kind = next((k for k in ("int32", "int64", "float64", "text") if text.startswith(k)), "real")
            arguments.append(Argument(name, mode, text.removeprefix(kind).strip(), kind))
        return tuple(arguments)

    return of


written = _arguments("written")
accumulated = _arguments("accumulated")
updated = _arguments("updated")
scratch = _arguments("scratch")
saved = _arguments("saved")
consumed = _arguments("consumed")
read = _arguments("read")


def scalars(*names: str) -> tuple[Argument, ...]:
    """Arguments that are single numbers, passed by value."""
    return tuple(Argument(name, "scalar", "") for name in names)


def kernel(
    name: str,
    *groups: tuple[Argument, ...],
    may_share: tuple[tuple[str, str], ...] = (),
    products: Products | None = None,
    needs: Mapping[str, float] | None = None,
) -> Kernel:
    """An entry of the contract. `needs` has the names of arguments as its keys."""
    parts = dict(needs or {})
    arguments = tuple(
        replace(argument, needed=parts.pop(argument.name, 1.0)) for group in groups for argument in group
    )
    if parts:
        raise ValueError(f"{name} has no argument {', '.join(parts)}")
    return Kernel(name, arguments, may_share, products)


KERNELS = (
    # --- the data ---------------------------------------------------------------------------------
    # the batch of step clock[0]; the target is -1 where there is nothing to predict
    kernel(
        "batch_fill",
        written(inputs="int32 B T", targets="int32 B T", n_targets="int64 1"),
        read(ids="text X", order="int64 Q", clock="int64 2"),
        scalars("stride"),
        needs={"ids": 0, "order": 0},  # only one batch of them is read
    ),
    # --- the model, in the order of its forward pass --------------------------------------------------
    # row n is the embedding of character ids[n]
    kernel(
        "embedding_forward",
        written(out="N C"),
        read(ids="int32 N", table="V C"),
        needs={"table": 0},  # a small table, looked up row by row
    ),
    kernel(
        "embedding_backward",
        written(dtable="V C"),
        read(dout="N C", ids="int32 N"),
        needs={"dtable": 0},
    ),
    # row n is at position (start + n) mod T
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
    # The first C // 2 columns of a row are those of the row before in the same sequence, and 0 in its first
    # row; the others stay. If out has fewer rows than inp, there is one sequence, and they are its last rows.
    kernel("shift_forward", written(out="N C"), read(inp="N C"), scalars("n_sequences")),
    kernel("shift_backward", written(dinp="N C"), read(dout="N C"), scalars("n_sequences")),
    kernel(
        "linear_forward",
        written(out="N M"),
        read(inp="N K", weight="K M", bias="M"),
        products=Products("N K M", "N*K*M"),
    ),
    kernel(
        "linear_backward",
        written(dinp="N K", dweight="K M", dbias="M"),
        scratch(scratch="K*M"),
        read(dout="N M", inp="N K", weight="K M"),
        products=Products("N K M", "2*N*K*M"),
    ),
    # rotates pairs of columns of each head in q and k by an angle that depends on the row's position; v is
    # not changed
    kernel(
        "rope_forward",
        updated(qkv="N 3C"),
        read(cos="T C", sin="T C", offsets="int32 H+1"),
        scalars("start"),
        needs={"qkv": 2 / 3},
    ),
    kernel(
        "rope_backward",
        updated(dqkv="N 3C"),
        read(cos="T C", sin="T C", offsets="int32 H+1"),
        needs={"dqkv": 2 / 3},
    ),
    # If out has fewer rows than qkv, there is one sequence, its last rows are the queries, and att is not
    # touched. The query at position t attends to t + 1 keys, which is (T+1)/2 keys on average. `scales` are
    # above 0: the scores of head h are multiplied by scales[h].
    kernel(
        "attention_forward",
        written(out="N C"),
        saved(att="B H T*T"),
        scratch(scratch="2*T*C"),
        read(qkv="N 3C", offsets="int32 H+1", scales="H"),
        products=Products("B H N C", "N*C*T+N*C"),  # two products of N * C * (T+1)/2
        needs={"att": 1 / 2},
    ),
    kernel(
        "attention_backward",
        written(dqkv="N 3C"),
        scratch(scratch="6*T*C+32*T"),
        saved(att="B H T*T"),
        read(dout="N C", out="N C", qkv="N 3C", offsets="int32 H+1", scales="H"),
        products=Products("B H N C", "2*N*C*T+2*N*C"),  # four products of that size
        needs={"att": 1 / 2},
    ),
    kernel("residual_forward", written(out="N C"), read(inp="N C", branch="N C")),
    kernel("residual_backward", accumulated(dinp="N C"), read(dbranch="N C")),
    kernel("relu_forward", written(out="N F"), read(inp="N F"), may_share=(("out", "inp"),)),
    kernel("relu_backward", written(dinp="N F"), read(dout="N F", out="N F"), may_share=(("dinp", "dout"),)),
    kernel("relu_squared_forward", written(out="N F"), read(inp="N F"), may_share=(("out", "inp"),)),
    kernel(
        "relu_squared_backward",
        written(dinp="N F"),
        read(dout="N F", out="N F"),
        may_share=(("dinp", "dout"),),
    ),
    # the loss is 0 where the target is -1
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
    # The gradients of shards are stored tensor by tensor, with the S copies of a tensor one after the other.
    # Tensor j is bounds[j]:bounds[j+1] of P numbers.
    # Copy number `into` of each tensor += copy number `other`.
    kernel("shard_add", updated(shards="S*P"), read(bounds="int64 J+1"), scalars("into", "other")),
    # Every `every`-th copy, from the first on, is added up as a binary tree: of n copies, the left branch
    # adds the first m, where m is the largest power of two below n. Each tensor is cut into n parts, of
    # which a call writes one, so that threads can share the work.
    kernel(
        "shard_sum",
        written(out="P"),
        consumed(shards="S*P"),
        read(bounds="int64 J+1"),
        scalars("every", "part"),
    ),
    kernel("gradient_norm", written(norm="1"), read(grad="P")),
    # slot clock[0] mod R of the log receives loss and norm; if one is not finite, clock[1] becomes 1
    kernel(
        "step_record",
        updated(log="R 2", clock="int64 2"),
        read(losses="N", n_targets="int64 1", norm="1"),
        needs={"log": 0},  # only one slot of it is written
    ),
    # Once clock[1] is 1, a call does nothing. An empty decay means no weight decay. An element of m or v
    # below 2^10 times the smallest normal number may be set to 0, so that it never becomes a denormal number.
    kernel(
        "adam_step",
        updated(param="P", m="P", v="P"),
        read(grad="P", norm="1", lr="R", decay="P", clock="int64 2"),
        scalars("beta1", "beta2", "eps", "clip"),
        needs={"lr": 0},  # only one slot of it is read
    ),
    kernel("clock_advance", updated(clock="int64 2")),
    # --- evaluation and generation ----------------------------------------------------------------
    # total[0] += the sum of the losses, counted[0] += n_targets[0]
    kernel(
        "loss_sum",
        accumulated(total="float64 1", counted="int64 1"),
        read(losses="N", n_targets="int64 1"),
    ),
    # logits = log((1 - weight) * softmax(logits) + weight * expected), where `expected` holds distributions
    kernel("interpolate", updated(logits="N V"), read(expected="N V"), scalars("weight")),
    # draws a character from the last row of logits by the random number in slot clock[2] of uniform, and
    # writes it into window and output
    kernel(
        "sample",
        updated(window="int32 T", output="int32 R", clock="int64 3"),
        scratch(scratch="2*V"),
        read(logits="N V", uniform="R"),
        scalars("temperature", "top_k", "top_p"),
    ),
)

# The functions that a backend has besides its kernels, called verbs, with their arguments. They are grouped
# by the file in which every backend defines them.
VERBS: Mapping[str, tuple[str, ...]] = {
    # --- memory.py --------------------------------------------------------------------------------
    # makes an array of zeros for this backend's kernels
    "zeros": ("shape", "dtype"),
    # a NumPy array as an array of this backend; on a CPU that is the same array
    "to_device": ("values",),
    # the values of an array as a NumPy array; on a CPU that is the same array
    "to_host": ("array",),
    # overwrites an array with the values of a NumPy array
    "from_host": ("array", "values"),
    # the bytes that the backend allocates in addition to the arrays it is asked for
    "overhead": (),
    # --- compiling.py -----------------------------------------------------------------------------
    # turns step(state) into steps(n, state), which runs n steps in one call. A step consists of kernel calls
    # and of views of arrays. With counters it is step(state, *counters), and these are the first n_counters
    # numbers of state.clock, in descending order: borders of slices and arguments of kernels may be counters.
    "compile": ("step", "n_counters"),
    # --- threads.py -------------------------------------------------------------------------------
    # a `range` over the parts of a batch; each part may run in a separate thread
    "shards": (),
    # the largest number of shards in a batch: if it depended on the machine, so would the results
    "max_shards": (),
    # sets how many threads a compiled step may use
    "set_threads": ("n_threads",),
    # --- describe.py ------------------------------------------------------------------------------
    # describes what the backend runs with: versions, threads, device
    "describe": (),
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


def scratch_size(sizes: Mapping[str, int], linear_maps: Iterable[tuple[int, int]]) -> int:
    """How many numbers of scratch a model needs (Z): the largest size that any of its kernels asks for.

    sizes        the model's T, C and V, by these letters
    linear_maps  (K, M) of every linear map in it
    """
    return max(
        math.prod(shape_of(argument.shape, {**sizes, "K": K, "M": M}))
        for K, M in linear_maps
        for kernel in KERNELS
        for argument in kernel.arguments
        if argument.mode == "scratch"
    )


def forward_of(backward: Kernel) -> Kernel | None:
    """The forward kernel that belongs to a backward kernel; None if the kernel is not a backward one."""
    name = re.sub("_backward$", "_forward", backward.name)
    return next((kernel for kernel in KERNELS if kernel.name == name != backward.name), None)


def borrowed(backend: ModuleType, own: Iterable[str]) -> dict[str, Any]:
    """The kernels and verbs of a backend, by name, for another backend that defines only some itself.

    own  the names that the other backend defines; they are left out
    """
    names = {kernel.name for kernel in KERNELS} | VERBS.keys()
    return {name: getattr(backend, name) for name in names - set(own)}


def differences(backend: ModuleType) -> list[str]:
    """What a backend module lacks, or has with other arguments than the contract's; empty if all is right."""
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
