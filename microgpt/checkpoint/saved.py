"""What the checkpoint files of a run hold, and reading them.

    model.safetensors      the weights by name; in its metadata the vocabulary, the sizes and some notes, so
                           that it needs no other file to generate. Of a model with n-grams, also those of
                           the highest order, `ngrams.keys` and `ngrams.counts`, and in its metadata their
                           weight at the last evaluation
    optimizer.safetensors  the same again, without the n-grams, and what a run needs to go on: Adam's moments
                           as `m.<name>` and `v.<name>`, the step, the configuration; with replicas, also the
                           velocity of their common step as `u.<name>`
    best.safetensors       like model.safetensors, of the step with the lowest validation loss; its n-grams
                           have the weight that they had at that step

A file is written under another name and renamed when it is whole. Its metadata are one JSON object under the
key `microgpt`, with a SHA-256 of all the rest: a damaged file is noticed, whatever byte it is that changed.
Equal runs write equal files: no time and no path is in them. Arrays are written without a copy, and read in
blocks to their place, so that neither takes memory.
"""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from microgpt.arrays import Array
from microgpt.checkpoint.file import PREFIXES, Header, StoredTensor, opened, read_header, read_tensors
from microgpt.checkpoint.old import ADDED_AS_A_TREE, left_open, model_today, progress_of_format_1
from microgpt.checkpoint.progress import Progress
from microgpt.checkpoint.stored_ngrams import COUNTS, DTYPES, KEYS, check_order, check_weight, restored
from microgpt.config import BEFORE, TrainConfig
from microgpt.errors import MicrogptError, shown, shown_path
from microgpt.fields import build
from microgpt.model.architecture import Architecture
from microgpt.model.parameters import count, table
from microgpt.text.ngrams import UNFITTED_WEIGHT, NGrams
from microgpt.text.vocabulary import Vocabulary

NGRAMS = "ngrams"  # of the metadata
WITH_WEIGHT = 5  # the first format whose n-grams have a weight
MODEL_FILE, STATE_FILE, BEST_FILE = "model.safetensors", "optimizer.safetensors", "best.safetensors"


@dataclass(frozen=True, eq=False, kw_only=True)
class SavedModel:
    """What a file says of its model; raises MicrogptError for contradictions.

    notes         JSON: the step, the losses, and of the text its name, `text_sha256` and `text_characters`
    ngrams        those that the network is interpolated with; None for none, and in a state that was read
    ngram_weight  of these, from 0 to 1; the network has the rest
    path          the file that it was read from, and the SHA-256 of what that holds
    """

    architecture: Architecture
    vocabulary: Vocabulary
    notes: dict[str, Any]
    ngrams: NGrams | None = None
    ngram_weight: float = UNFITTED_WEIGHT
    path: Path = Path()
    sha256: str = ""

    def __post_init__(self) -> None:
        if (n := len(self.vocabulary)) != (V := self.architecture.vocabulary_size):
            raise MicrogptError(f"its vocabulary has {n} characters, but its model {V}")
        check_step(self.notes.get("step", 0))

    @property
    def param(self) -> Array:
        """The weights (P,) on the host, in the order of `parameters.table`; read anew each time."""
        return self._read_one("")

    def read_into(self, k: ModuleType, buffers: Mapping[str, Array]) -> None:
        """Read the file's weights "", and of a state "m.", "v." and what else it has, into flat buffers (P,).

        Raises MicrogptError where the file is no longer what it was: then the buffers may hold anything.
        """
        with opened(self.path) as file:
            header = read_header(file, self.path)
            if header.sha256 != self.sha256:
                raise MicrogptError("another file has taken its place in the meantime")
            read_tensors(file, header, self.architecture, k, buffers)

    def _read_one(self, prefix: str) -> Array:
        from microgpt_kernels import reference

        buffer = np.zeros(count(table(self.architecture.sizes)), self.architecture.dtype)
        self.read_into(reference, {prefix: buffer})
        return buffer


@dataclass(frozen=True, eq=False, kw_only=True)
class SavedState(SavedModel):
    """What a file says of a run, all that is needed to go on exactly; raises MicrogptError like SavedModel.

    config           as the user gave it, without `out`: a run is wherever its directory is
    added_as_a_tree  whether the run added the gradients of a batch's shards as it would today
    """

    config: TrainConfig
    step: int
    progress: Progress
    added_as_a_tree: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.config.architecture(self.architecture.vocabulary_size) != self.architecture:
            raise MicrogptError("its model is not the one that its training options describe")
        check_step(self.step)

    @property
    def buffers(self) -> list[str]:
        """What a trainer calls the flat buffers (P,) that the file holds, in the order of `save_state`."""
        return _buffers(with_replicas=self.config.local_steps is not None)

    @property
    def m(self) -> Array:
        """Adam's first moments (P,), like `param`."""
        return self._read_one("m.")

    @property
    def v(self) -> Array:
        """Adam's second moments (P,), like `param`."""
        return self._read_one("v.")


def load_model(run: Path, *, last: bool = False) -> SavedModel:
    """The model of a checkpoint file, or of a run directory.

    Of a directory it is the model with the lowest validation loss, or without validation the last one.

    last  take the last model of a directory in any case

    What was taken is in `path` and `notes["step"]`. Raises MicrogptError, which names the file, for whatever
    is not a whole checkpoint of this program.
    """
    if os.path.isdir(run):
        run = run / (BEST_FILE if not last and (run / BEST_FILE).exists() else MODEL_FILE)
    return _load(run)


def load_state(run: Path) -> SavedState:
    """The state of a run directory, or of its optimizer.safetensors. Raises like `load_model`."""
    state = _load(run / STATE_FILE if os.path.isdir(run) else run)
    if not isinstance(state, SavedState):
        raise MicrogptError(
            f"{shown_path(run)} holds a model but no training state; resume from the run's directory"
        )
    return state


def check_step(step: object) -> None:
    if type(step) is not int or not 0 <= step < 1 << 63:
        raise MicrogptError(f"its step {shown(step)} is no number of steps")


def read_description(path: Path) -> SavedModel:
    """What a file says, without a look at its tensors: quick, and not checked. Raises MicrogptError."""
    with opened(path) as file:
        return _parse(read_header(file, path), path)


def _load(path: Path) -> SavedModel:
    """What a file says, once all of it has been read and found whole."""
    with opened(path) as file:
        header = read_header(file, path)
        saved = _parse(header, path)
        if NGRAMS not in header.description or isinstance(saved, SavedState):
            read_tensors(file, header, saved.architecture)
            return saved
        from microgpt_kernels import reference

        found = {name: np.empty(header.tensors[name].shape, dtype) for name, dtype in DTYPES.items()}
        read_tensors(file, header, saved.architecture, reference, found)
        order = header.description[NGRAMS]["order"]
        ngrams = restored(found[KEYS], found[COUNTS], len(saved.vocabulary), order)
    return dataclasses.replace(saved, ngrams=ngrams)


def _parse(header: Header, path: Path) -> SavedModel:
    """What the header says, checked; and that the tensors are those of its model."""
    description = header.description
    parts = {name: description.get(name) for name in ("model", "notes", "training")}
    for name, part in parts.items():
        if not isinstance(part, dict) and (name != "training" or part is not None):
            raise MicrogptError(f"its metadata have no valid entry {name!r}")
    vocabulary = description.get("vocabulary")
    if not isinstance(vocabulary, str):
        raise MicrogptError("its metadata have no valid entry 'vocabulary'")
    model = model_today(parts["model"] or {}, description["format"])
    architecture = build(Architecture, model, "its model")
    is_state = parts["training"] is not None
    weight = _weight_of_ngrams(description, architecture.vocabulary_size, is_state=is_state)
    prefixes = _prefixes(parts["training"]) if is_state else [""]
    with_ngrams = NGRAMS in description and not is_state
    _check_tensors(header.tensors, architecture, prefixes, with_ngrams=with_ngrams)
    fields: dict[str, Any] = {
        "architecture": architecture,
        "vocabulary": Vocabulary(vocabulary),
        "notes": parts["notes"],
        "ngram_weight": weight,
        "path": path,
        "sha256": header.sha256,
    }
    if (training := parts["training"]) is None:
        return SavedModel(**fields)
    options, step, progress = (training.get(name) for name in ("options", "step", "progress"))
    if not (isinstance(options, dict) and isinstance(progress, dict)):
        raise MicrogptError("its metadata have no valid entry 'training'")
    check_step(step)
    options.pop("out", None)
    config = build(TrainConfig, {**BEFORE, **options}, "its training options")
    if description["format"] >= WITH_WEIGHT and (NGRAMS in description) != bool(config.ngrams):
        raise MicrogptError(f"its metadata have no valid entry {NGRAMS!r}")
    if description["format"] == 1:
        made = progress_of_format_1(progress, step)
        config = left_open(config)
    else:
        made = build(Progress, progress, "its progress")
    as_a_tree = description["format"] >= ADDED_AS_A_TREE
    return SavedState(**fields, config=config, step=step, progress=made, added_as_a_tree=as_a_tree)


def _prefixes(training: dict[str, Any] | None) -> list[str]:
    """Of the tensors of a state."""
    options = (training or {}).get("options")
    with_replicas = isinstance(options, dict) and options.get("local_steps") is not None
    return [PREFIXES[name] for name in _buffers(with_replicas=with_replicas)]


def _buffers(*, with_replicas: bool) -> list[str]:
    """What a trainer calls the buffers of a state: only replicas have a velocity."""
    return [name for name in PREFIXES if name != "velocity" or with_replicas]


def _weight_of_ngrams(description: Mapping[str, Any], V: int, *, is_state: bool) -> float:
    """The weight of a file's n-grams. Raises MicrogptError for an entry of them that cannot be."""
    if NGRAMS not in description:
        return UNFITTED_WEIGHT
    version, entry = description["format"], description[NGRAMS]
    if not isinstance(entry, dict) or (is_state and version < WITH_WEIGHT):
        raise MicrogptError(f"its metadata have no valid entry {NGRAMS!r}")
    if not is_state:
        check_order(entry.get("order"), V)
    return check_weight(entry.get("weight")) if version >= WITH_WEIGHT else UNFITTED_WEIGHT


def _check_tensors(
    tensors: Mapping[str, StoredTensor], architecture: Architecture, prefixes: list[str], *, with_ngrams: bool
) -> None:
    """Nothing is allocated before the file is known to have just the tensors of its model."""
    dtype: np.dtype[Any] = np.dtype(architecture.dtype)
    expected: dict[str, tuple[tuple[int, ...], np.dtype[Any]]] = {
        prefix + row.name: (row.shape, dtype) for prefix in prefixes for row in table(architecture.sizes)
    }
    stored = {tensor.name: tensor for tensor in tensors.values()}
    if with_ngrams:
        n = math.prod(stored[KEYS].shape) if KEYS in stored else 0
        expected |= {name: ((n,), kind) for name, kind in DTYPES.items()}
    for name, (shape, dtype) in expected.items():
        if name not in stored:
            raise MicrogptError(f"the tensor {name!r} is missing")
        found = stored[name]
        if found.shape != shape or found.dtype != dtype:
            raise MicrogptError(
                f"the tensor {name!r} is {found.dtype} {shown(found.shape)}, not {dtype} {shape}"
            )
    if len(stored) < len(tensors):  # two names of one tensor
        raise MicrogptError("it has a tensor twice, by its old name and by its new one")
    if more := stored.keys() - expected.keys():
        raise MicrogptError(f"its model has no place for the tensor {shown(min(more))}")
