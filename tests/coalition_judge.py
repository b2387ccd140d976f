"""The loss of a coalition of heads, the slow way: the outputs of the others are overwritten as they come."""

import math
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
from microgpt_kernels import reference
from support import placed

from microgpt.config import TrainConfig
from microgpt.machine.budget import Budget
from microgpt.model import transformer
from microgpt.model.activations import activations
from microgpt.model.parameters import count, table
from microgpt.recipes import RECIPES

V = 7


def architecture_of(heads="1+3+2 | 4+2", **options):
    """A small model of float64, with d_model 6."""
    given = {"seq_len": 5, "dtype": "float64", "d_model": 6, "d_ff": 8, "heads": heads, **options}
    given.setdefault("n_layers", len(heads.split("|")))
    return TrainConfig(file="", **RECIPES["plain"] | given).architecture(V)


def parameters(architecture):
    """Large enough for heads that matter."""
    return np.random.default_rng(1).normal(0, 0.8, count(table(architecture.sizes)))


def text_of(n):
    return np.random.default_rng(n).integers(0, V, n).astype(np.uint8)


def made(architecture, k=reference, budget=None):
    return placed(
        k, architecture, budget or Budget(None), parameters(architecture).astype(architecture.dtype)
    )


class Judge:
    """Each chunk of a text in a forward pass of its own, by the reference backend."""

    def __init__(self, architecture, ids):
        self.architecture, self.ids, self.model = architecture, ids, made(architecture)
        n_heads = sum(map(len, architecture.heads))
        self.seen = []
        self.bits([True] * n_heads, np.zeros((architecture.n_layers, architecture.d_model)))
        outputs = [
            np.concatenate(self.seen[l :: architecture.n_layers]) for l in range(architecture.n_layers)
        ]
        self.means = np.array(outputs).mean(axis=1)

    def bits(self, on, off_outputs):
        """The loss (n-1,) of each character but the first, where off_outputs (L, C) replace what is off."""
        layers = iter(range(0))

        def attention_forward(out, att, scratch, qkv, offsets, scales):
            reference.attention_forward(out, att, scratch, qkv, offsets, scales)
            l = next(layers)
            first = sum(map(len, self.architecture.heads[:l]))
            for h, (low, high) in enumerate(pairwise(offsets)):
                if low < high and not on[first + h]:
                    out[:, low:high] = off_outputs[l, low:high]
            self.seen.append(out.copy())

        kernels = SimpleNamespace(**{**vars(reference), "attention_forward": attention_forward})
        forward, _ = transformer.build(kernels)
        a, T, losses = activations(self.model, n_sequences=1), self.architecture.seq_len, []
        self.seen.clear()
        for start in range(0, len(self.ids) - 1, T):
            targets = self.ids[start + 1 : start + T + 1]
            inputs, rows = self.ids[start : start + len(targets)], slice(0, len(targets))
            layers = iter(range(self.architecture.n_layers))
            forward(self.model.p, a, self.model.c, inputs, 0, rows, rows, slice(0, 1))
            logits = a.logits[rows]
            log_total = np.log(np.exp(logits).sum(axis=1))
            losses.extend(log_total - logits[np.arange(len(targets)), targets])
        return np.array(losses) / math.log(2)
