"""Checks that all programs train the same model, since a comparison of different models would mean nothing.

Losses can be compared closely at the first step only. If the input of a ReLU is within a rounding error of 0,
it may be positive in one program and negative in another. And Adam divides each gradient by its size, so that
a gradient of almost zero becomes a full step in the direction of a rounding error. With 8 sequences of 128
characters and 256 columns, crystal and openblas differ in the sign of one of 524,288 such inputs in the first
step, and by 8e-5 of the loss within the next four. So each part of a step is compared where rounding stays
small:

    the model        the first loss, and of the first gradient, tensor by tensor, the norm and the direction
    clipping         that gradient is what Adam was given, after clipping
    the optimizer    every program's own first two steps of Adam, against the formulas in float64
    the batches      the losses that follow, roughly
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from microgpt.arrays import Array
from microgpt.errors import MicrogptError
from microgpt.training.trainer import BETA1, EPS

from .problem import Problem
from .systems import AdamState, Advance

CHECKED = 50


@dataclass(frozen=True)
class Tolerance:
    """How far two programs may be apart, relative to what is compared.

    loss       of the first loss
    norm       of each tensor's norm in the first gradient
    direction  between two such tensors, each divided by its norm
    later      of the losses after the first
    """

    loss: float
    norm: float
    direction: float
    later: float


# crystal beside openblas, PyTorch and JAX, at the sizes `headline` (30 steps) and `nanogpt` and at the
# size above (50 steps each): at most 1.1e-7, 1.1e-4, 8.7e-4 and 1.5e-3 were measured.
FLOAT32 = Tolerance(loss=5e-6, norm=1e-3, direction=5e-3, later=2e-2)
# for products whose factors are rounded to 10 bits of mantissa
TF32 = Tolerance(loss=2e-2, norm=5e-2, direction=1e-1, later=5e-2)
# A tensor's norm below this fraction of the whole gradient's norm consists of rounding errors.
SMALL = 1e-4
# Adam in float32 against its formulas in float64: of the second moments, and of the largest step, beside the
# rounding of the parameter itself.
ADAM = 1e-3


class DisagreementError(MicrogptError):
    """Two programs that should train the same model train different ones."""


@dataclass(frozen=True)
class Beginning:
    """The first steps of a program: all losses, and Adam's state after each of the first two."""

    losses: Array
    first: AdamState
    second: AdamState

    @property
    def gradient(self) -> Array:
        """The first gradient after clipping, (P,) in float64, computed from Adam's first moments."""
        return self.first.m.astype(np.float64) / (1 - BETA1)


def begin(advance: Advance, state: Callable[[], AdamState], n: int = CHECKED) -> Beginning:
    """Run the first n steps of a program that has not made any yet."""
    losses, states = [], []
    for _ in range(2):
        losses.append(advance(1))
        states.append(state())
    return Beginning(np.concatenate([*losses, advance(n - 2)]), *states)


def check(problem: Problem, beginnings: Mapping[str, Beginning], *, tf32: bool = False) -> None:
    """Compare each program with the first one, and its optimizer with Adam. Raises DisagreementError."""
    tolerance = TF32 if tf32 else FLOAT32
    (name, expected), *others = beginnings.items()
    for other, found in others:
        both = f"{name} and {other} do not train the same model"
        _check_losses(both, expected.losses, found.losses, tolerance)
        _check_gradients(both, problem, expected.gradient, found.gradient, tolerance)
    for each, beginning in beginnings.items():
        _check_adam(each, problem, beginning)


def _check_losses(both: str, expected: Array, found: Array, tolerance: Tolerance) -> None:
    if found.shape != expected.shape:
        raise DisagreementError(f"{both}: they have {len(expected)} and {len(found)} losses")
    allowed = np.where(np.arange(len(expected)) == 0, tolerance.loss, tolerance.later)
    # the comparison is written so that NaN counts as wrong, too
    wrong = ~(np.abs(found - expected) <= allowed * np.abs(expected))
    if wrong.any():
        step = int(np.argmax(wrong))
        raise DisagreementError(
            f"{both}: at step {step + 1} their losses are {expected[step]:.7f} and {found[step]:.7f}, which "
            f"may differ by {allowed[step]:g} of that"
        )


def _check_gradients(
    both: str, problem: Problem, expected: Array, found: Array, tolerance: Tolerance
) -> None:
    least = SMALL * np.linalg.norm(expected)
    for tensor in problem.tensors:
        one, other = (gradient[tensor.low : tensor.high] for gradient in (expected, found))
        norms = np.linalg.norm(one), np.linalg.norm(other)
        where = f"{both}: in their first gradients the tensor {tensor.name!r} has"
        if not abs(norms[1] - norms[0]) <= tolerance.norm * max(norms[0], least):
            raise DisagreementError(
                f"{where} the norms {norms[0]:.7g} and {norms[1]:.7g}, which may differ by "
                f"{tolerance.norm:g} of that"
            )
        if norms[0] < least:
            continue
        distance = np.linalg.norm(one / norms[0] - other / norms[1])
        if not distance <= tolerance.direction:
            raise DisagreementError(
                f"{where} directions that are {distance:.2g} apart, and {tolerance.direction:g} is allowed"
            )


def _check_adam(name: str, problem: Problem, beginning: Beginning) -> None:
    """Check that both steps follow from their gradients, which are computed from Adam's first moments."""
    config, zeros = problem.config, np.zeros(len(beginning.first.m))
    before = AdamState(problem.parameters(), zeros, zeros)
    for step, after in enumerate((beginning.first, beginning.second), 1):
        param, m, v = (values.astype(np.float64) for values in before)
        gradient = (after.m - BETA1 * m) / (1 - BETA1)
        v = config.beta2 * v + (1 - config.beta2) * gradient**2
        mean, square = (after.m / (1 - BETA1**step)), v / (1 - config.beta2**step)
        moved = config.lr * mean / (np.sqrt(square) + EPS)
        # the difference of two moments has a rounding error, too
        lost = (
            4 * np.finfo(np.float32).eps * (np.abs(m) / (1 - BETA1)) * np.abs(gradient) * (1 - config.beta2)
        )
        where = f"{name} does not take the steps of Adam: after step {step}"
        if not (np.abs(after.v - v) <= ADAM * v + lost + np.finfo(np.float32).tiny).all():
            raise DisagreementError(f"{where} its second moments are others than those of its gradient")
        rounding = 2 * np.finfo(np.float32).eps * np.abs(param)
        if not (np.abs(after.param - (param - moved)) <= ADAM * config.lr + rounding).all():
            raise DisagreementError(f"{where} its parameters are others than its moments and --lr say")
        before = after
