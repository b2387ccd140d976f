"""What every program is given: sizes, initial values and batches; and the work in a step."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from microgpt_kernels import reference

from microgpt.arrays import Array, IdArray
from microgpt.config import TrainConfig
from microgpt.model.architecture import Architecture
from microgpt.model.parameters import Tensor, initial, initially, table
from microgpt.recipes import RECIPES
from microgpt.text.reading import Text, read_text
from microgpt.text.walk import Walk

SIZES: dict[str, dict[str, Any]] = {
    "headline": {"seq_len": 32},
    "long": {"seq_len": 128},
    "batch": {"seq_len": 32, "batch_size": 32},
    # nanoGPT's example for a CPU
    "nanogpt": {
        "seq_len": 64, "batch_size": 12, "d_model": 128, "n_layers": 4, "d_ff": 512, "heads": "4x32",
    },
}  # fmt: skip
GPU_SIZES: dict[str, dict[str, Any]] = {
    "headline": {"seq_len": 32},
    "batch64": {"seq_len": 32, "batch_size": 64},
    # nanoGPT's character model, of 10.7 million parameters
    "nanogpt": {
        "seq_len": 256, "batch_size": 64, "d_model": 384, "n_layers": 6, "d_ff": 1536, "heads": "6x64",
    },
}  # fmt: skip


@dataclass(frozen=True)
class Problem:
    """Training on a text with these options of `microgpt train --recipe plain`."""

    file: Path
    options: dict[str, Any]

    @cached_property
    def text(self) -> Text:
        return read_text(self.file)

    @property
    def ids(self) -> IdArray:
        return self.text.ids

    @cached_property
    def config(self) -> TrainConfig:
        config = TrainConfig(file=str(self.file), **RECIPES["plain"] | self.options)
        # features that this recipe does not use and that the other programs do not have
        assert config.weight_decay == config.rates.warmup == 0
        assert (config.positions, config.activation, config.token_shift) == ("learned", "relu", False)
        assert config.attention_scale == "sqrt"
        assert (config.schedule, config.order) == ("constant", "sequential")
        return config

    @cached_property
    def architecture(self) -> Architecture:
        architecture = self.config.architecture(len(self.text.vocabulary))
        # attention in other libraries supports only heads of equal width
        assert len({width for widths in architecture.heads for width in widths}) == 1
        return architecture

    @property
    def n_heads(self) -> int:
        return len(self.architecture.heads[0])

    @property
    def tensors(self) -> list[Tensor]:
        return initially(table(self.architecture.sizes), self.config.init)

    def parameters(self) -> Array:
        """The initial values of all parameters, (P,)."""
        return initial(self.tensors, self.config.seed, self.architecture.dtype)

    def batches(self, dtype: type) -> tuple[Array, Array]:
        """Inputs and targets of every step of an epoch, (steps, B, T) each; a target of -1 means none."""
        B, T = self.config.batch_size, self.config.seq_len
        steps = Walk(len(self.ids), T, T, B).steps_per_epoch
        inputs, targets = np.empty((2, steps, B, T), dtype)
        for step in range(steps):
            reference.batch_fill(
                inputs[step], targets[step], np.zeros(1), self.ids, np.empty(0), np.array([step, 0]), T
            )
        return inputs, targets

    @property
    def flops(self) -> int:
        """Floating-point operations of a step's matrix products."""
        return self.architecture.flop_per_step(self.config.batch_size)
