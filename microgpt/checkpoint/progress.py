"""Where a training loop is, besides its arrays: what a checkpoint keeps of it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

from microgpt.errors import MicrogptError, shown

# the share of a new loss in the smoothed one
SMOOTHING = 0.01


@dataclass(frozen=True)
class Progress:
    """The running averages of a training loop and its validation losses, in nats per character.

    average         the exponential average of the losses; it begins at 0, which `smoothed_loss` corrects
    val_loss        of the last evaluation; None before the first, and where it was not finite
    best_val_loss, best_step        the lowest validation loss so far, and the step that had it
    loss_sum, norm_sum, count       over the steps since the last report: the losses, the gradient norms, and
                                    how many steps these are
    evaluation_due  whether the last step has yet to be evaluated
    network_val_loss                of the network alone, where val_loss is that of a model with n-grams

    Raises MicrogptError for values that no training loop can reach.
    """

    average: float
    val_loss: float | None
    best_val_loss: float | None
    best_step: int | None
    loss_sum: float
    norm_sum: float
    count: int
    evaluation_due: bool
    network_val_loss: float | None = None

    def __post_init__(self) -> None:
        for name, value in dataclasses.asdict(self).items():
            possible = math.isfinite(value) if isinstance(value, float) else 0 <= (value or 0) < 1 << 63
            if not possible:
                raise MicrogptError(f"its progress cannot be: {name} is {shown(value)}")

    def smoothed_loss(self, step: int) -> float | None:
        """The average after this many steps, corrected for having begun at 0; None before the first step."""
        weight = 1 - (1 - SMOOTHING) ** step
        return self.average / weight if weight else None

    @property
    def mean_loss(self) -> float:
        """The mean loss of the steps since the last report."""
        return self.loss_sum / max(self.count, 1)

    @property
    def mean_norm(self) -> float:
        """The mean norm of the gradient in the steps since the last report."""
        return self.norm_sum / max(self.count, 1)

    def after(self, losses: Sequence[float], norms: Sequence[float]) -> Progress:
        """After more steps, with the loss and the gradient norm of each."""
        average = self.average
        for loss in losses:
            average = (1 - SMOOTHING) * average + SMOOTHING * loss
        return dataclasses.replace(
            self,
            average=average,
            loss_sum=self.loss_sum + math.fsum(losses),
            norm_sum=self.norm_sum + math.fsum(norms),
            count=self.count + len(losses),
        )

    def with_evaluation(self, *, due: bool) -> Progress:
        """With the last step yet to be evaluated, or not."""
        return dataclasses.replace(self, evaluation_due=due)

    def reported(self) -> Progress:
        """After a report: the means begin anew."""
        return dataclasses.replace(self, loss_sum=0.0, norm_sum=0.0, count=0)

    def scored(self, val_loss: float, network_val_loss: float | None = None) -> Progress:
        """With the validation loss of the last step, and with n-grams also that of the network alone."""
        return dataclasses.replace(
            self, val_loss=_if_finite(val_loss), network_val_loss=_if_finite(network_val_loss)
        )

    def is_best(self, val_loss: float) -> bool:
        """Whether no validation loss so far is below this one: of equal ones, the last has learned most."""
        return val_loss <= (math.inf if self.best_val_loss is None else self.best_val_loss)

    def with_best(self, val_loss: float, step: int) -> Progress:
        """With this validation loss, at this step, as the lowest so far."""
        return dataclasses.replace(self, best_val_loss=val_loss, best_step=step)


def _if_finite(loss: float | None) -> float | None:
    return loss if loss is not None and math.isfinite(loss) else None


BEGINNING = Progress(0.0, None, None, None, 0.0, 0.0, 0, evaluation_due=False)
