"""Where a training loop is, besides its arrays: what a checkpoint keeps of it."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

from microgpt.errors import MicrogptError, shown

# of a new loss in the smoothed one
SMOOTHING = 0.01


@dataclass(frozen=True)
class Progress:
    """Where a training loop is, besides its arrays; raises MicrogptError for what no loop comes to.

    average         of the losses, exponential and begun at 0, which `smoothed_loss` corrects
    loss_sum, norm_sum, count       over the steps since the last report
    evaluation_due  whether the last step has still to be evaluated
    """

    average: float
    val_loss: float | None
    best_val_loss: float | None
    best_step: int | None
    loss_sum: float
    norm_sum: float
    count: int
    evaluation_due: bool

    def smoothed_loss(self, step: int) -> float | None:
        """The average after so many steps, without the weight that it still gives to its beginning at 0."""
        weight = 1 - (1 - SMOOTHING) ** step
        return self.average / weight if weight else None

    def __post_init__(self) -> None:
        for name, value in dataclasses.asdict(self).items():
            possible = math.isfinite(value) if isinstance(value, float) else 0 <= (value or 0) < 1 << 63
            if not possible:
                raise MicrogptError(f"its progress cannot be: {name} is {shown(value)}")


BEGINNING = Progress(0.0, None, None, None, 0.0, 0.0, 0, evaluation_due=False)
