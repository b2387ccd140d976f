"""Finite differences check the gradients of every pair of kernels in the contract, and of the whole model."""

import numpy as np
import pytest
from microgpt_kernels import reference
from microgpt_kernels.contract import KERNELS, forward_of
from support import WRITTEN, Case, arguments, call, make_trainer, relative_error

from microgpt.config import TrainConfig
from microgpt.model.parameters import count, table
from microgpt.model.transformer import build
from microgpt.recipes import RECIPES

# Central differences with steps this large err by about 1e-16 / STEP + STEP^2.
STEP, TOLERANCE = 1e-5, 1e-7
# `start` 0: a backward kernel works on whole sequences.
CASE = Case(B=2, T=4, widths=(1, 3, 2, 0), V=5, F=7, M=4, scalars={"start": 0})

# What a forward reads but nobody learns.
CONSTANTS = {"cos", "sin", "scales"}
# Gradients that a backward does not read, because it can only begin with this one: of the mean loss.
BEGINNINGS = {"losses": lambda values: np.full(len(values["losses"]), 1 / values["n_targets"][0])}


def derivative(function, array):
    """d function() / d array, one element after the other; function reads the array anew each time."""
    gradient = np.zeros(array.shape)
    for place in np.ndindex(array.shape):
        kept = array[place]
        array[place] = kept + STEP
        above = function()
        array[place] = kept - STEP
        below = function()
        array[place] = kept
        gradient[place] = (above - below) / (2 * STEP)
    return gradient


def reals(kernel, *modes):
    return [a.name for a in kernel.arguments if a.mode in modes and a.kind == "real"]


def check(backward):
    """With random gradients `dout` of the outputs, each input's is the derivative of sum(dout * out)."""
    forward = forward_of(backward)
    before = arguments(forward, CASE, "float64") | arguments(backward, CASE, "float64")

    def after(kernel, values):
        values = {name: np.copy(value) for name, value in values.items()}
        call(kernel, getattr(reference, kernel.name), values)
        return values

    given = reals(backward, "read", "updated")
    upstream = {}
    for name in reals(forward, *WRITTEN, "accumulated", "updated"):
        if "d" + name in given:
            upstream[name] = before["d" + name]
        elif name in BEGINNINGS:
            upstream[name] = BEGINNINGS[name](before)
    assert upstream, f"{backward.name} reads no gradient: give an output a beginning in BEGINNINGS"

    def total():
        values = after(forward, before)
        return sum((gradient * values[name]).sum() for name, gradient in upstream.items())

    forwarded = after(forward, before)
    saved = {name: forwarded[name] for name in reals(forward, *WRITTEN)}
    found = after(backward, before | saved)
    for name in reals(forward, "read", "updated"):
        if name in CONSTANTS:
            continue
        assert "d" + name in found, f"{backward.name} has no gradient of {name}"
        gradient = found["d" + name]
        if "d" + name in reals(backward, "accumulated"):
            gradient = gradient - before["d" + name]
        assert relative_error(gradient, derivative(total, before[name])) < TOLERANCE, f"d{name} is wrong"


def given_by_others(backward):
    """Gradients of what its forward reads that a backward reads itself.

    Such a backward is only a part of its forward's derivative: a branch comes between the two.
    """
    return {"d" + name for name in reals(forward_of(backward), "read", "updated")} & set(
        reals(backward, "read")
    )


BACKWARD = [kernel for kernel in KERNELS if forward_of(kernel)]
WHOLE = [kernel for kernel in BACKWARD if not given_by_others(kernel)]


def test_every_backward_is_checked():
    """residual_backward below, by a test of its own."""
    assert {kernel.name for kernel in BACKWARD} - {kernel.name for kernel in WHOLE} == {"residual_backward"}


@pytest.mark.parametrize("backward", WHOLE, ids=lambda kernel: kernel.name)
def test_a_backward_kernel_is_the_derivative_of_its_forward(backward):
    check(backward)


@pytest.mark.parametrize("backward", WHOLE, ids=lambda kernel: kernel.name)
def test_a_gradient_off_by_a_millionth_is_found(backward, monkeypatch):
    right = getattr(reference, backward.name)
    for argument in backward.arguments:
        if argument.mode not in ("written", "accumulated", "updated"):
            continue

        def wrong(*values, place=backward.arguments.index(argument)):  # noqa: B008
            right(*values)
            values[place][...] *= 1 + 1e-6

        monkeypatch.setattr(reference, backward.name, wrong)
        with pytest.raises(AssertionError, match=f"{argument.name} is wrong"):
            check(backward)


def test_residual_backward_is_the_derivative_of_a_stream_and_its_branch():
    """Of its two gradients dinp has come past the branch, and dbranch through it."""
    rng = np.random.default_rng(0)
    inp, dout = rng.normal(size=(2, 3, 5))

    def total():
        out = np.zeros_like(inp)
        reference.residual_forward(out, inp, np.sin(inp))
        return (dout * out).sum()

    dinp = dout.copy()
    reference.residual_backward(dinp, dout * np.cos(inp))
    assert relative_error(dinp, derivative(total, inp)) < TOLERANCE


# --- the model ------------------------------------------------------------------------------------

VOCABULARY = 7
MODELS = {
    "uniform-learned": {"heads": "2x3", "positions": "learned"},
    "odd-learned": {"heads": "1+2+3", "positions": "learned"},
    "odd-rope": {"heads": "1+5", "positions": "rope"},
    "ones-rope": {"heads": "ones", "positions": "rope"},
    "per-layer-rope": {"heads": "2+4 | 3+1+2", "positions": "rope"},
    "per-layer-none": {"heads": "6 | ones", "positions": "none"},
    "squared": {"heads": "2x3", "positions": "rope", "activation": "relu2"},
    "shifted": {"heads": "2x3", "positions": "rope", "token_shift": True},
    "squared-shifted": {"heads": "1+5 | 6", "activation": "relu2", "token_shift": True},
    "shifted-odd": {"heads": "2+3", "d_model": 5, "positions": "none", "token_shift": True},
    "linear-scale": {"heads": "1+2+3 | 6", "positions": "rope", "attention_scale": "linear"},
}


@pytest.mark.parametrize("options", MODELS.values(), ids=MODELS)
def test_the_models_backward_is_the_derivative_of_its_forward(options):
    sizes = {"d_model": 6, "d_ff": 5, "seq_len": 4, "batch_size": 2}
    config = TrainConfig(file="no file", dtype="float64", **RECIPES["plain"] | sizes | options)
    rng = np.random.default_rng(3)
    text = np.arange(40, dtype=np.uint8) % VOCABULARY
    # all parameters far from 0, so that no mistake hides behind a small gradient
    n_parameters = count(table(config.architecture(VOCABULARY).sizes))
    trainer = make_trainer("reference", config, text, VOCABULARY, rng.normal(0, 0.5, n_parameters))
    state = trainer.state
    ids, targets = rng.integers(0, VOCABULARY, (2, 8))
    targets[3] = -1
    n_targets = np.array([9])  # these rows may be a shard of the batch
    forward, backward = build(reference)
    p, g, a, c = state.p, state.g, state.a, state.c
    rows, seqs = slice(0, 8), slice(0, 2)

    def loss():
        forward(p, a, c, ids, 0, rows, rows, seqs)
        reference.cross_entropy_forward(a.losses, a.probs, a.logits, targets)
        return a.losses.sum() / n_targets[0]

    loss()
    backward(p, g, a, c, ids, targets, n_targets, 0, rows, seqs)
    for name, values in p._asdict().items():
        expected = derivative(loss, values)
        assert values.size == 0 or np.abs(expected).max() > 1e-3, f"there is nothing to see of {name}"
        assert relative_error(getattr(g, name)[0], expected) < TOLERANCE, name
