"""Checkpoints: files that a crash, a full disk or a foreign hand cannot turn into a wrong result.

    model.safetensors      the weights by name; in its metadata the vocabulary, the sizes and some notes, so
                           that it needs no other file to generate
    optimizer.safetensors  the same again, and what a run needs to go on: Adam's moments as `m.<name>` and
                           `v.<name>`, the step, the configuration
    best.safetensors       like model.safetensors, of the step with the lowest validation loss

A file is written under another name and renamed when it is whole. Its metadata hold a SHA-256 of all the
rest: a damaged file is noticed, whatever byte it is that changed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from microgpt.config import ModelConfig, TrainConfig, from_mapping
from microgpt.errors import MicrogptError
from microgpt.files import write_atomically
from microgpt.parameters import Array, count, table
from microgpt.text import Vocabulary

MODEL_FILE, STATE_FILE, BEST_FILE = "model.safetensors", "optimizer.safetensors", "best.safetensors"
FORMAT = 1
DTYPES = ("F32", "F64")  # what safetensors calls float32 and float64; a model has no others

# What may change when a run is resumed: no step depends on it. The text is known by its hash, not its name.
FREE = frozenset({"file", "out", "backend", "threads", "memory_cap", "eval_every", "sample_every"})


@dataclass(frozen=True, eq=False)
class SavedModel:
    """All that is needed to generate; raises MicrogptError if it does not fit together.

    param  (P,) on the host, flat, in the order of `parameters.table`; finite
    notes  JSON: the step, the losses, the text's name and `text_sha256`
    """

    config: ModelConfig
    vocabulary: Vocabulary
    param: Array
    notes: dict[str, Any]

    def __post_init__(self) -> None:
        if (n := len(self.vocabulary)) != (V := self.config.vocabulary_size):
            raise MicrogptError(f"its vocabulary has {n} characters, but its model {V}")
        _check_buffer(self.param, self.config, "weights")


@dataclass(frozen=True, eq=False)
class SavedState:
    """All that is needed to go on exactly; raises MicrogptError if it does not fit together.

    train     resolved
    m, v      (P,) on the host: Adam's moments, flat like model.param
    progress  JSON, for the training loop alone; floats come back exactly
    """

    model: SavedModel
    train: TrainConfig
    m: Array
    v: Array
    step: int
    progress: dict[str, Any]

    def __post_init__(self) -> None:
        if self.train.model(self.model.config.vocabulary_size) != self.model.config:
            raise MicrogptError("its model is not the one that its training options describe")
        if not 0 <= self.step < 1 << 63:
            raise MicrogptError(f"its step {self.step} is no number of steps")
        _check_buffer(self.m, self.model.config, "first moments")
        _check_buffer(self.v, self.model.config, "second moments")


def save_model(path: Path, model: SavedModel) -> None:
    """Write a model in place of what was there. Raises MicrogptError, and then leaves what was there."""
    _save(path, model, {"": model.param}, {})


def save_state(directory: Path, state: SavedState) -> None:
    """Write optimizer.safetensors and model.safetensors. Raises MicrogptError like `save_model`."""
    options = {name: value for name, value in dataclasses.asdict(state.train).items() if value is not None}
    training = {"options": options, "step": state.step, "progress": state.progress}
    # The state holds the weights too, so it never depends on model.safetensors: a crash between the two
    # renames leaves a model that is older than the state, and the run resumes exactly all the same.
    buffers = {"": state.model.param, "m.": state.m, "v.": state.v}
    _save(directory / STATE_FILE, state.model, buffers, {"training": json.dumps(training)})
    save_model(directory / MODEL_FILE, state.model)


def load_model(run: Path) -> SavedModel:
    """The model of a run directory or of a checkpoint file, whichever of the three it is.

    Raises MicrogptError, which names the file, for whatever is not a whole checkpoint of this program.
    """
    return _load(run, MODEL_FILE)[0]


def load_state(run: Path) -> SavedState:
    """The state of a run directory, or of its optimizer.safetensors. Raises like `load_model`."""
    _, state = _load(run, STATE_FILE)
    if state is None:
        raise MicrogptError(f"{run} holds a model but no training state; resume from the run's directory")
    return state


def check_resumable(state: SavedState, model: ModelConfig, train: TrainConfig, text_sha256: str) -> None:
    """Raise MicrogptError, with every difference, unless a run with these options goes on exactly."""
    old, new = state.train.resolved(), train.resolved()
    constant = old.schedule == new.schedule == "constant"
    free = FREE | {"steps", "min_lr"} if constant else FREE
    different = []
    for field in dataclasses.fields(TrainConfig):
        before, after = getattr(old, field.name), getattr(new, field.name)
        if field.name not in free and before != after:
            why = ", which the cosine schedule depends on" if field.name == "steps" else ""
            different.append(f"--{field.name.replace('_', '-')} was {before} and is now {after}{why}")
    if state.model.notes.get("text_sha256") != text_sha256:
        different.append(f"the text {new.file} is not the one that it was trained on, {old.file}")
    elif state.model.config != model and not different:
        different.append("the model's sizes have changed")
    if constant and new.steps < state.step:
        different.append(f"--steps {new.steps} is less than the {state.step} that are done")
    if different:
        raise MicrogptError(
            f"this run cannot be resumed exactly: {'; '.join(different)}; "
            "resume it as it was, or start a new run with another --out"
        )


def _save(path: Path, model: SavedModel, buffers: Mapping[str, Array], more: Mapping[str, str]) -> None:
    """Write flat buffers as tensors, their names after the buffer's prefix, and `more` metadata."""
    from safetensors.numpy import save

    rows = table(model.config.sizes)
    tensors = {
        prefix + row.name: buffer[row.low : row.high].reshape(row.shape)
        for prefix, buffer in buffers.items()
        for row in rows
    }
    metadata = {
        "microgpt": str(FORMAT),
        "vocabulary": model.vocabulary.characters,
        "model": json.dumps(dataclasses.asdict(model.config)),
        "notes": json.dumps(model.notes),
        **more,
    }
    write_atomically(path, save(tensors, {**metadata, "sha256": _checksum(tensors, metadata)}))


def _checksum(tensors: Mapping[str, Array], metadata: Mapping[str, str]) -> str:
    """SHA-256 of everything that a file holds, besides the checksum itself."""
    entries = sorted((key, value) for key, value in metadata.items() if key != "sha256")
    digest = hashlib.sha256(json.dumps(entries).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(json.dumps([name, str(tensor.dtype), tensor.shape]).encode())
        digest.update(np.ascontiguousarray(tensor).data)
    return digest.hexdigest()


def _load(run: Path, name: str) -> tuple[SavedModel, SavedState | None]:
    """What a file holds, or if `run` is a directory, the file of this name in it.

    Everything that can be wrong with a file becomes one sentence that names it.
    """
    from safetensors import SafetensorError

    path = run / name if os.path.isdir(run) else run
    try:
        if not path.is_file():
            raise MicrogptError("there is no such file; name a directory that `microgpt train` has made")
        metadata, tensors = _read(path)
        model = _parse_model(metadata, tensors)
        state = _parse_state(metadata, tensors, model) if "training" in metadata else None
        if tensors:
            raise MicrogptError(f"its model has no place for the tensor {next(iter(tensors))!r}")
    except MicrogptError as error:
        raise MicrogptError(f"{path} is not a usable checkpoint: {error}") from None
    except SafetensorError as error:
        raise MicrogptError(f"{path} is damaged, or no safetensors file: {error}") from None
    except OSError as error:
        raise MicrogptError(f"{path} cannot be read: {error.strerror or error}") from None
    return model, state


def _read(path: Path) -> tuple[dict[str, str], dict[str, Array]]:
    """The metadata and tensors of a file that this program has written, unchanged since then."""
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        metadata: dict[str, str] = file.metadata() or {}
        version = metadata.get("microgpt", "")
        if not (version.isascii() and version.isdigit()):
            raise MicrogptError("it was not written by microgpt")
        if version != str(FORMAT):
            raise MicrogptError(f"it has format {version[:20]}; this version of microgpt reads {FORMAT}")
        tensors: dict[str, Array] = {}
        for name in file.keys():  # noqa: SIM118  (it is no dict)
            dtype = file.get_slice(name).get_dtype()
            if dtype not in DTYPES:  # NumPy does not know all of them
                raise MicrogptError(f"the tensor {name!r} is of type {dtype}, not {' or '.join(DTYPES)}")
            tensors[name] = file.get_tensor(name)
    if metadata.get("sha256") != _checksum(tensors, metadata):
        raise MicrogptError("it is damaged, its contents do not match its checksum")
    return metadata, tensors


def _parse_model(metadata: Mapping[str, str], tensors: dict[str, Array]) -> SavedModel:
    """The model; takes its tensors out of `tensors`."""
    values = _parse_json(metadata, "model")
    kinds = {field.name: field.type for field in dataclasses.fields(ModelConfig)} | {"heads": "list"}
    found = {name: type(value).__name__ for name, value in values.items()}
    if found != kinds or any(type(w) is not list or {*map(type, w)} != {int} for w in values["heads"]):
        raise MicrogptError("its metadata do not describe a model")
    config = ModelConfig(**{**values, "heads": tuple(map(tuple, values["heads"]))})
    vocabulary = Vocabulary(metadata.get("vocabulary", ""))
    return SavedModel(config, vocabulary, _take(tensors, config, ""), _parse_json(metadata, "notes"))


def _parse_state(metadata: Mapping[str, str], tensors: dict[str, Array], model: SavedModel) -> SavedState:
    """The state beside a model; takes its tensors out of `tensors`."""
    values = _parse_json(metadata, "training")
    options, step, progress = (values.get(name) for name in ("options", "step", "progress"))
    if not (isinstance(options, dict) and isinstance(progress, dict) and type(step) is int):
        raise MicrogptError("its metadata do not describe a training state")
    options = from_mapping(options, "its training options")
    if "file" not in options:
        raise MicrogptError("its training options name no text")
    m, v = _take(tensors, model.config, "m."), _take(tensors, model.config, "v.")
    return SavedState(model, TrainConfig(**options), m, v, step, progress)


def _parse_json(metadata: Mapping[str, str], key: str) -> dict[str, Any]:
    with contextlib.suppress(ValueError, RecursionError):
        values = json.loads(metadata.get(key, ""))
        if isinstance(values, dict):
            return values
    raise MicrogptError(f"its metadata have no valid entry {key!r}")


def _take(tensors: dict[str, Array], config: ModelConfig, prefix: str) -> Array:
    """A flat buffer of the tensors with this prefix, which are taken out of `tensors`."""
    parts = []
    for row in table(config.sizes):
        name = prefix + row.name
        tensor = tensors.pop(name, None)
        if tensor is None:
            raise MicrogptError(f"the tensor {name!r} is missing")
        if tensor.shape != row.shape or tensor.dtype != config.dtype:
            raise MicrogptError(
                f"the tensor {name!r} is {tensor.dtype} {tensor.shape}, not {config.dtype} {row.shape}"
            )
        parts.append(tensor.ravel())
    return np.concatenate(parts)


def _check_buffer(buffer: Array, config: ModelConfig, what: str) -> None:
    if buffer.shape != (count(table(config.sizes)),) or buffer.dtype != config.dtype:
        raise MicrogptError(f"its {what} are {buffer.dtype} {buffer.shape}, which does not fit its model")
    if not np.isfinite(buffer).all():
        raise MicrogptError(f"its {what} are not all finite numbers")
