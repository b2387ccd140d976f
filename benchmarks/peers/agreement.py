"""Do all programs compute the same? A benchmark of different models is worth nothing."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from microgpt.arrays import Array
from microgpt.errors import MicrogptError

CHECKED = 50
# Relative. The first steps show a model or an optimizer that is another one: measured 6e-7 at the most, and
# 1.5e-5 to 1e-2 with another epsilon, clipping or learning rate. Later, where gradients are all but zero,
# Adam makes whole steps out of rounding, and nanoGPT's size drifts: 1.2e-3, as much between two of our own.
FIRST, FIRST_TOLERANCE = 5, 1e-5
TOLERANCE = 3e-3
# of products whose factors keep 10 bits
TF32_TOLERANCE = 2e-2


class DisagreementError(MicrogptError):
    """Two programs that should train the same model do not."""


def check(losses: Mapping[str, Array], *, tf32: bool = False) -> None:
    """Compares each program's first losses with those of the first one. Raises DisagreementError."""
    (name, expected), *others = losses.items()
    first, later = (TF32_TOLERANCE, TF32_TOLERANCE) if tf32 else (FIRST_TOLERANCE, TOLERANCE)
    tolerance = np.where(np.arange(len(expected)) < FIRST, first, later)
    for other, found in others:
        if found.shape != expected.shape:
            raise DisagreementError(f"{other} has {len(found)} losses, {name} has {len(expected)}")
        # asked so that NaN is wrong too
        wrong = ~(np.abs(found - expected) <= tolerance * np.abs(expected))
        if wrong.any():
            step = int(np.argmax(wrong))
            raise DisagreementError(
                f"{name} and {other} do not train the same model: at step {step + 1} their losses are "
                f"{expected[step]:.7f} and {found[step]:.7f}, which may differ by {tolerance[step]:g} of that"
            )
