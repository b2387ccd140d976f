"""A model on a backend: its parameters and its constants."""

from __future__ import annotations

from types import ModuleType

from microgpt.arrays import Array
from microgpt.machine.budget import Budget
from microgpt.model.activations import Constants, constants
from microgpt.model.architecture import Architecture
from microgpt.model.parameters import Parameters, count, table, views


def place(k: ModuleType, budget: Budget, architecture: Architecture) -> tuple[Array, Parameters, Constants]:
    """A model's flat buffer of parameters on a backend, all zeros, views of its tensors, its constants."""
    tensors = table(architecture.sizes)
    buffer = budget.zeros(
        k, (count(tensors),), architecture.dtype, "the model's parameters", "use a smaller model"
    )
    return buffer, views(buffer, tensors), constants(k, budget, architecture)
