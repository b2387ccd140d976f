"""A new run that begins with the weights of another one, instead of initial values."""

from __future__ import annotations

import dataclasses
from typing import Any

from microgpt.arrays import Array
from microgpt.checkpoint.saved import SavedModel
from microgpt.errors import MicrogptError
from microgpt.model.architecture import Architecture
from microgpt.model.heads import format_layout
from microgpt.model.parameters import initial, initially, table, views
from microgpt.text.vocabulary import Vocabulary
from microgpt.training.differences import said


def options_of(saved: SavedModel) -> dict[str, Any]:
    """The options of `train` that make a model of these sizes."""
    options = dataclasses.asdict(saved.architecture)
    del options["vocabulary_size"]
    return {**options, "heads": format_layout(saved.architecture.heads)}


def starting_weights(
    saved: SavedModel, architecture: Architecture, vocabulary: Vocabulary, seed: int, init: str = "large"
) -> Array:
    """The saved weights (P,) as the parameters of a model that may know more characters.

    What belongs to a new character has initial values: its embedding, and its column of the output layer.
    Without learned positions the model may also see more or fewer characters than before. Raises
    MicrogptError where the models differ otherwise.
    """
    check_alike(saved.architecture, architecture)
    if saved.architecture.sizes == architecture.sizes and saved.vocabulary == vocabulary:
        return saved.param
    param = initial(initially(table(architecture.sizes), init), seed, architecture.dtype)
    new = views(param, table(architecture.sizes))
    old = views(saved.param, table(saved.architecture.sizes))
    places = vocabulary.encode(saved.vocabulary.characters)  # of the old characters among the new
    for name, values in old._asdict().items():
        target = getattr(new, name)
        if name == "tok":
            target[places] = values
        elif name in ("unembed_w", "unembed_b"):
            target[..., places] = values
        else:
            target[...] = values
    return param


def check_alike(old: Architecture, new: Architecture) -> None:
    """Raises MicrogptError where a model of the sizes `new` cannot begin with weights of the sizes `old`."""
    free = {"vocabulary_size"} if old.positions == "learned" else {"vocabulary_size", "seq_len"}
    different = []
    for name in (field.name for field in dataclasses.fields(Architecture) if field.name not in free):
        before, after = getattr(old, name), getattr(new, name)
        if before != after:
            different.append(said(name, before, after))
    if different:
        raise MicrogptError(
            f"a run keeps the sizes of the weights that it begins with: {'; '.join(different)}"
        )
