"""A new run that begins with the weights of another one, instead of initial values."""

from __future__ import annotations

import dataclasses
from typing import Any

from microgpt.checkpoint import SavedModel
from microgpt.config import ModelConfig
from microgpt.errors import MicrogptError
from microgpt.heads import format_layout
from microgpt.parameters import Array, initial, table, views
from microgpt.text import Vocabulary


def options_of(saved: SavedModel) -> dict[str, Any]:
    """The options of `train` that make a model of these sizes."""
    config = dataclasses.asdict(saved.config)
    del config["vocabulary_size"]
    return {**config, "heads": format_layout(saved.config.heads)}


def starting_weights(saved: SavedModel, model: ModelConfig, vocabulary: Vocabulary, seed: int) -> Array:
    """The saved weights (P,) as the parameters of a model that may know more characters.

    What belongs to a new character has initial values: its embedding, and its column of the output layer.
    Without learned positions the model may also see more or fewer characters than before. Raises
    MicrogptError where the models differ otherwise.
    """
    _check_alike(saved.config, model)
    if saved.config.sizes == model.sizes and saved.vocabulary == vocabulary:
        return saved.param
    param = initial(table(model.sizes), seed, model.dtype)
    new = views(param, table(model.sizes))
    old = views(saved.param, table(saved.config.sizes))
    places = vocabulary.encode(saved.vocabulary.characters)  # of the old characters among the new
    for name, values in old._asdict().items():
        target = getattr(new, name)
        if name == "tok":
            target[places] = values
        elif name in ("head_w", "head_b"):
            target[..., places] = values
        else:
            target[...] = values
    return param


def _check_alike(old: ModelConfig, new: ModelConfig) -> None:
    free = {"vocabulary_size"} if old.positions == "learned" else {"vocabulary_size", "seq_len"}
    different = []
    for name in (field.name for field in dataclasses.fields(ModelConfig) if field.name not in free):
        before, after = getattr(old, name), getattr(new, name)
        if before != after:
            different.append(f"--{name.replace('_', '-')} was {before} and is now {after}")
    if different:
        raise MicrogptError(
            f"a run keeps the sizes of the weights that it begins with: {'; '.join(different)}"
        )
