"""Writing checkpoints: straight from the arrays, and under another name until a file is whole."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from microgpt.arrays import Array, all_finite
from microgpt.checkpoint.file import BUFFERS, FORMAT, tensor_title, to_json
from microgpt.checkpoint.saved import MODEL_FILE, NGRAMS, STATE_FILE, SavedModel, SavedState
from microgpt.checkpoint.stored_ngrams import stored
from microgpt.errors import MicrogptError
from microgpt.files import replacing
from microgpt.model.architecture import Architecture
from microgpt.model.parameters import count, table


def save_model(path: Path, model: SavedModel, param: Array, *, durable: bool = True) -> None:
    """Write a model with its weights (P,), on the host, in place of what was there; `durable` as `replacing`.

    Raises MicrogptError, also for weights that are not finite, and then leaves what was there.
    """
    _save(path, model, {"": param}, durable=durable)


def save_state(
    directory: Path, state: SavedState, param: Array, m: Array, v: Array, velocity: Array | None = None
) -> None:
    """Write optimizer.safetensors and model.safetensors. Raises MicrogptError like `save_model`.

    param, m, v, velocity  (P,), on the host; only a run with replicas has a velocity
    """
    # The state holds the weights too, so it never depends on model.safetensors. A crash between the two
    # renames leaves a model that is newer than the state; the run resumes from the state,
    # and computes that model again.
    buffers = {"": param, "m.": m, "v.": v} | ({} if velocity is None else {"u.": velocity})
    check_buffers(state.architecture, buffers)
    model = SavedModel(
        architecture=state.architecture,
        vocabulary=state.vocabulary,
        notes=state.notes,
        ngrams=state.ngrams,
        ngram_weight=state.ngram_weight,
    )
    save_model(directory / MODEL_FILE, model, param)
    _save(directory / STATE_FILE, state, buffers)


def _save(path: Path, saved: SavedModel, buffers: Mapping[str, Array], *, durable: bool = True) -> None:
    """Write flat buffers as tensors, their names after the buffer's prefix, and what `saved` says of them."""
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    check_buffers(saved.architecture, buffers)
    tensors = {
        prefix + row.name: buffer[row.low : row.high].reshape(row.shape)
        for prefix, buffer in buffers.items()
        for row in table(saved.architecture.sizes)
    }
    description: dict[str, Any] = {
        "format": FORMAT,
        "vocabulary": saved.vocabulary.characters,
        "model": dataclasses.asdict(saved.architecture),
        "notes": saved.notes,
    }
    if isinstance(saved, SavedState):
        options = dataclasses.asdict(dataclasses.replace(saved.config, out=None))
        description["training"] = {
            "options": {name: value for name, value in options.items() if value is not None},
            "step": saved.step,
            "progress": dataclasses.asdict(saved.progress),
        }
        if saved.config.ngrams:
            description[NGRAMS] = {"weight": saved.ngram_weight}
    elif saved.ngrams is not None:
        description[NGRAMS] = {"order": saved.ngrams.order, "weight": saved.ngram_weight}
        tensors |= stored(saved.ngrams)
    digest = hashlib.sha256(to_json(description).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(tensor_title(name, tensor.dtype, tensor.shape))
        digest.update(tensor.data)
    # one key only: the library writes several in an order that changes from process to process
    metadata = {"microgpt": to_json(description | {"sha256": digest.hexdigest()})}
    with replacing(path, durable=durable) as temporary:
        try:
            save_file(tensors, temporary, metadata)
        except SafetensorError as error:
            number = re.search(r"os error (\d+)", str(error))
            raise (
                OSError(int(number[1]), os.strerror(int(number[1]))) if number else OSError(str(error))
            ) from None


def check_buffers(architecture: Architecture, buffers: Mapping[str, Array]) -> None:
    """Raises MicrogptError for values that could not be loaded again."""
    for prefix, buffer in buffers.items():
        if buffer.shape != (count(table(architecture.sizes)),) or buffer.dtype != architecture.dtype:
            what = f"{buffer.dtype} {buffer.shape}"
            raise MicrogptError(f"its {BUFFERS[prefix]} are {what}, which does not fit its model")
        if not all_finite(buffer):
            raise MicrogptError(f"its {BUFFERS[prefix]} are not all finite numbers")
