"""PyTorch as the judge of the whole model: logits, every gradient and a run of losses, on every backend.

It computes in float64, from parameters rounded to float32: what a float32 backend should come close to.
"""

import functools
import math

import numpy as np
import pytest
from support import CPU_BACKENDS, OneShard, make_trainer, relative_error

from microgpt.config import TrainConfig
from microgpt.model import shards
from microgpt.model.heads import HEAD_LAYOUTS
from microgpt.model.parameters import table, views
from microgpt.recipes import RECIPES

pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'microgpt-numba[oracle]'")
import oracle
import torch

N_STEPS = 20
VOCABULARY = 33
# five batches an epoch, of which the last has only one row, and that a short one
TEXT = np.random.default_rng(5).zipf(1.4, 141).astype(np.uint64).astype(np.uint8) % VOCABULARY
# measured: 1.4e-6 and 4e-15
TOLERANCE = {"float32": 1e-5, "float64": 1e-12}

CASES = {
    f"{heads}-{positions}": {"heads": heads, "positions": positions}
    for positions in ("learned", "rope")
    for heads in HEAD_LAYOUTS
} | {
    "per-layer": {"heads": "ones | 5+16+43", "positions": "rope"},
    "no-positions": {"heads": "prime", "positions": "none"},
    "squared": {"heads": "prime", "positions": "rope", "activation": "relu2"},
    "shifted": {"heads": "prime", "positions": "rope", "token_shift": True},
    "shifted-odd": {"heads": "6+31", "d_model": 37, "positions": "none", "token_shift": True},
    "linear-scale": {"heads": "prime", "positions": "rope", "attention_scale": "linear"},
    "linear-scale-per-layer": {"heads": "ones | 5+16+43", "attention_scale": "linear"},
    "clipped": {"heads": "uniform", "clip": 1.0},
    "overlapping": {"heads": "uniform", "stride": 5},
    "64-shards": {"heads": "prime", "batch_size": 64, "seq_len": 2},
}


def config_of(case, dtype="float64"):
    options = {"clip": 0.0, "seq_len": 16, "batch_size": 2, "d_ff": 48, "lr": 1e-3, "dtype": dtype}
    kind = TrainConfig if case == "64-shards" else OneShard
    return kind(file="no file", **RECIPES["plain"] | options | CASES[case])


def parameters(config):
    """Far from their usual beginning: no bias is 0, and attention has something to look at."""
    model = config.architecture(VOCABULARY)
    tensors = table(model.sizes)
    values = np.random.default_rng(7).normal(0, 0.15, tensors[-1].high)
    p = views(values, tensors)
    for norm in (p.ln1_w, p.ln2_w, p.lnf_w):
        norm += 1
    return values.astype(np.float32)


def batches(config):
    """What each step reads and predicts, (B, T) both: the walk through the text, written once more."""
    B, T, stride = config.batch_size, config.seq_len, config.stride or config.seq_len
    n_chunks = 1 + math.ceil((len(TEXT) - 1 - T) / stride)
    inputs, targets = np.zeros((n_chunks + 1, T), np.int32), np.full((n_chunks + 1, T), -1, np.int32)
    for chunk in range(n_chunks):
        start = chunk * stride
        predicted = TEXT[start + 1 : start + T + 1]
        inputs[chunk, : len(predicted)] = TEXT[start : start + len(predicted)]
        new = T - stride if chunk else 0  # what comes before is the last chunk's
        targets[chunk, new : len(predicted)] = predicted[new:]
    for step in range(N_STEPS):
        step %= math.ceil(n_chunks / B)
        places = [b * n_chunks // B + step for b in range(B)]
        # a row at the end of its walk waits for the others: the last chunk of the table is empty
        chunks = [p if p < (b + 1) * n_chunks // B else -1 for b, p in enumerate(places)]
        yield inputs[chunks], targets[chunks]


@functools.cache
def judgement(case):
    """The oracle's losses, gradient norms, first logits and first gradients."""
    torch.set_num_threads(1)
    config = config_of(case)
    model = config.architecture(VOCABULARY)
    judge = oracle.Oracle(model)
    judge.load(views(parameters(config), table(model.sizes)))
    return oracle.train(judge, batches(config), config.lr, config.clip)


def differences(trainer, case):
    """The relative errors of everything that can be compared, by name."""
    losses, norms, logits, gradients = judgement(case)
    k, state = trainer.k, trainer.state
    found = trainer.advance(1)
    errors = {"logits": relative_error(k.to_host(state.a.logits), logits)}
    grads = views(k.to_host(state.adam.grad), trainer.tensors)
    for (name, layer), expected in gradients.items():
        actual = getattr(grads, name) if layer is None else getattr(grads, name)[layer]
        if name == "qkv_w":  # the gradients of q and k can be much smaller than that of v
            thirds = zip("qkv", np.split(actual, 3, 1), np.split(expected, 3, 1), strict=True)
            errors |= {f"d{part}_w[{layer}]": relative_error(x, y) for part, x, y in thirds}
        else:
            errors[f"d{name}[{layer}]"] = relative_error(actual, expected)
    assert not trainer.config.clip or min(norms) > trainer.config.clip, "nothing would be clipped"
    rest = trainer.advance(N_STEPS - 1)
    errors["losses"] = relative_error([*found.loss, *rest.loss], losses)
    errors["norms"] = relative_error([*found.grad_norm, *rest.grad_norm], norms)
    return errors


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("backend", ["reference", *CPU_BACKENDS])
def test_the_model_agrees_with_pytorch(backend, dtype, case, monkeypatch):
    monkeypatch.setattr(shards, "LEAST_ROWS", 1)
    config = config_of(case, dtype)
    trainer = make_trainer(backend, config, TEXT, VOCABULARY, parameters(config))
    assert trainer.state.sharing.n_shards == (64 if case == "64-shards" else 1)
    errors = differences(trainer, case)
    assert {name: e for name, e in errors.items() if e > TOLERANCE[dtype]} == {}
