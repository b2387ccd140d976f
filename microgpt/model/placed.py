"""A model on a backend: what training, evaluation and generation have in common."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType

from microgpt.arrays import Array
from microgpt.machine.budget import Budget
from microgpt.model.architecture import Architecture
from microgpt.model.constants import Constants, constants
from microgpt.model.parameters import Parameters, count, table, views
from microgpt.text.ngrams import UNFITTED_WEIGHT, NGrams


@dataclass(frozen=True, eq=False)
class PlacedModel:
    """A model on a backend, and the memory budget of all code that works with the model."""

    k: ModuleType  # the backend
    architecture: Architecture
    budget: Budget
    param: Array  # (P,), all parameters
    p: Parameters  # the same by name: views of `param`
    c: Constants
    ngrams: NGrams | None = None  # those that it is interpolated with where it is used; None for none
    ngram_weight: float = UNFITTED_WEIGHT  # from 0 to 1; the network has the rest


def place(k: ModuleType, architecture: Architecture, budget: Budget) -> PlacedModel:
    """A model whose parameters are all 0, until the caller writes values to `param`.

    Raises MicrogptError where its arrays exceed the budget.
    """
    budget.book(k.overhead(), "the backend's own use", "use another --backend")
    tensors = table(architecture.sizes)
    param = budget.zeros(
        k,
        (count(tensors),),
        architecture.dtype,
        "the model's parameters",
        "use a smaller --d-model, --d-ff or --n-layers",
    )
    return PlacedModel(
        k, architecture, budget, param, views(param, tensors), constants(k, architecture, budget)
    )
