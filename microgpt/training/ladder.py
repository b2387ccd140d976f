"""The models that a choice is made from, from the smallest to the largest, and what each costs."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from microgpt_kernels import load

from microgpt.config import TrainConfig
from microgpt.errors import MicrogptError
from microgpt.model.activations import activation_bytes, shapes
from microgpt.model.architecture import Architecture
from microgpt.model.parameters import count, table
from microgpt.text.walk import Walk, minimum_characters
from microgpt.training.trainer import LOG_SLOTS, shared_out
from microgpt.use.evaluate import NGRAM_BYTES, sequences_that_fit
from microgpt.use.generate import DRAWS


class NoSizeError(MicrogptError):
    """No model goes with the options that are given."""


class Rung(NamedTuple):
    """Some models: d_ff grows from LEAST_D_FF * d_model until they are as large as the next rung begins."""

    d_model: int
    n_layers: int
    seq_len: int
    batch_size: int


RUNGS = (
    Rung(16, 1, 32, 4), Rung(32, 1, 48, 4), Rung(32, 2, 64, 4), Rung(48, 2, 64, 4), Rung(48, 3, 80, 4),
    Rung(48, 4, 96, 4), Rung(64, 4, 112, 8), Rung(80, 4, 128, 8), Rung(96, 4, 128, 8), Rung(112, 4, 128, 8),
    Rung(128, 4, 128, 8), Rung(128, 5, 128, 8), Rung(144, 5, 128, 8), Rung(160, 5, 144, 8),
    Rung(160, 6, 144, 8), Rung(192, 6, 160, 8), Rung(224, 6, 176, 8), Rung(256, 6, 192, 8),
    Rung(288, 6, 208, 8), Rung(320, 6, 224, 8), Rung(384, 6, 240, 8), Rung(384, 8, 256, 16),
    Rung(448, 8, 256, 16), Rung(512, 8, 256, 16),
)  # fmt: skip
LEAST_D_FF = 3
# What is tried in turn where a memory cap leaves no room for any of them.
SMALLER: tuple[dict[str, int], ...] = (
    {}, {"batch_size": 1}, {"batch_size": 1, "seq_len": 16}, {"batch_size": 1, "seq_len": 4},
)  # fmt: skip
# What Adam does to a weight takes as long as this many operations in matrix products.
ADAM = 60


class Size(NamedTuple):
    """A model, and its costs in operations."""

    config: TrainConfig
    architecture: Architecture
    weights: int  # of its layers
    step: float
    evaluation: float  # of each character

    @property
    def characters(self) -> int:
        """The characters of a step."""
        return self.config.batch_size * self.config.seq_len


@functools.lru_cache(maxsize=16)
def ladder(
    options: frozenset[tuple[str, Any]], n_train: int, n_val: int, vocabulary_size: int, ngram_bytes: int = 0
) -> tuple[Size, ...]:
    """The models that go with these options of TrainConfig, at least one; each has more weights than the one
    before, and costs more for each character. Those that exceed the memory cap are left out.

    n_train, n_val  the characters to train on, and those that are held out
    ngram_bytes     what the n-grams take, if the options say that there are any

    Raises NoSizeError where none goes with the options.
    """
    given = dict(options)
    sizes: list[Size] = []
    for smaller in SMALLER:
        sizes = list(_sizes({**smaller, **given}, n_train, vocabulary_size))
        fitting = [size for size in sizes if fits(size, n_train, n_val, ngram_bytes)]
        if fitting:
            return tuple(fitting)
    return (sizes[0],)  # the run says which of its arrays does not fit


def _sizes(given: dict[str, Any], n_train: int, vocabulary_size: int) -> Iterator[Size]:
    """The models that go with what is given, whatever memory they take; at least one."""
    last = wrong = before = None
    for rung in _rungs(given, n_train):
        options = {**rung, **given}
        if options == before:
            continue
        before = options
        try:
            size = sized(TrainConfig(**options), vocabulary_size)
        except MicrogptError as error:
            wrong = wrong or error
            continue
        if last is None or _is_larger(size, last):
            yield size
            last = size
    if last is None:
        raise NoSizeError(wrong)


def sized(config: TrainConfig, vocabulary_size: int) -> Size:
    """The model of these options, with its costs."""
    architecture = config.architecture(vocabulary_size)
    C, L, F, T = (architecture.sizes[letter] for letter in "CLFT")
    return Size(
        config=config,
        architecture=architecture,
        weights=L * (4 * C * C + 2 * C * F),
        step=architecture.flop_per_step(config.batch_size) + ADAM * count(table(architecture.sizes)),
        evaluation=architecture.flop_per_step(1) / 3 / T,
    )


def fits(size: Size, n_train: int, n_val: int, ngram_bytes: int = 0) -> bool:
    """Whether a run with this model keeps to its memory cap."""
    cap = size.config.memory_cap_bytes
    return cap is None or memory(size, n_train, n_val, ngram_bytes) <= cap


def memory(size: Size, n_train: int, n_val: int, ngram_bytes: int = 0) -> int:
    """The bytes of all arrays that a run holds on a CPU.

    ngram_bytes  those of the n-grams, if it has any
    """
    config, architecture = size.config, size.architecture
    T, B, L, C = architecture.seq_len, config.batch_size, architecture.n_layers, architecture.d_model
    P, item = count(table(architecture.sizes)), np.dtype(architecture.dtype).itemsize
    S = shared_out(load(config.backend), architecture, config).n_slots
    numbers = P * (3 + S + (S > 1) + (config.weight_decay > 0)) + 3 * LOG_SLOTS + 2 * L * T * C
    trained = shapes(architecture, n_sequences=B, n_slots=S, training=True)
    numbers += sum(int(np.prod(shape)) for shape in trained.values())
    numbers += activation_bytes(architecture, n_sequences=1) // item + DRAWS  # to generate
    integers = 2 * B * T + DRAWS + T + L * (C + 1)
    if n_val:
        rows = sequences_that_fit(architecture)
        numbers += activation_bytes(architecture, n_sequences=rows) // item
        integers += 2 * rows * T
    chunks = Walk(max(2, n_train), T, config.stride or T, B).n_chunks if config.order == "shuffled" else 0
    id_bytes = np.min_scalar_type(architecture.vocabulary_size - 1).itemsize
    with_ngrams = 0
    if config.ngrams:  # with what they predict of the held-out text, and of the next character
        with_ngrams = ngram_bytes + NGRAM_BYTES * n_val + item * architecture.vocabulary_size
    return numbers * item + 4 * integers + 8 * chunks + id_bytes * (n_train + n_val) + with_ngrams


def _rungs(given: dict[str, Any], n_train: int) -> Iterator[dict[str, Any]]:
    """The options of every model, with what is given."""
    kept = {name: value for name, value in given.items() if name in Rung._fields}
    wholes = [{**rung._asdict(), **kept} for rung in RUNGS]
    for rung, following in zip(wholes, [*wholes[1:], wholes[-1]], strict=True):
        C, L = rung["d_model"], rung["n_layers"]
        next_begins = (4 + 2 * LEAST_D_FF) * following["n_layers"] * following["d_model"] ** 2
        as_large = int((next_begins / L - 4 * C * C) / (2 * C))
        least, step = LEAST_D_FF * C, 8 * max(1, C // 64)
        for d_ff in range(least, max(least + 1, as_large), step):
            yield {**_short_enough(rung, given, n_train), "d_ff": d_ff}


def _short_enough(options: dict[str, Any], given: dict[str, Any], n_train: int) -> dict[str, Any]:
    """The same with a smaller batch, then with shorter sequences, where the text is too short for them."""

    def too_short() -> bool:
        T = options["seq_len"]
        return n_train < minimum_characters(T, min(given.get("stride") or T, T), options["batch_size"])

    while "batch_size" not in given and options["batch_size"] > 1 and too_short():
        options = {**options, "batch_size": options["batch_size"] // 2}
    while "seq_len" not in given and options["seq_len"] > 1 and too_short():
        options = {**options, "seq_len": options["seq_len"] - 1}
    return options


def _is_larger(size: Size, other: Size) -> bool:
    return size.weights > other.weights and size.step / size.characters > other.step / other.characters
