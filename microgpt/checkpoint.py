"""Checkpoints: files that a crash, a full disk or a foreign hand cannot turn into a wrong result.

    model.safetensors      the weights by name; in its metadata the vocabulary, the sizes and some notes, so
                           that it needs no other file to generate
    optimizer.safetensors  the same again, and what a run needs to go on: Adam's moments as `m.<name>` and
                           `v.<name>`, the step, the configuration
    best.safetensors       like model.safetensors, of the step with the lowest validation loss

A file is written under another name and renamed when it is whole. Its metadata are one JSON object under the
key `microgpt`, with a SHA-256 of all the rest: a damaged file is noticed, whatever byte it is that changed.
Equal runs write equal files: nothing in them tells the time or the place. Arrays are written from where they
lie, and read in blocks to where they shall lie, so that neither takes memory.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from microgpt.config import ModelConfig, TrainConfig
from microgpt.errors import MicrogptError, shown, shown_path
from microgpt.fields import build
from microgpt.files import replacing
from microgpt.invocation import pasteable
from microgpt.parameters import BLOCK, Array, all_finite, blocks, count, table
from microgpt.text import Text, Vocabulary

MODEL_FILE, STATE_FILE, BEST_FILE = "model.safetensors", "optimizer.safetensors", "best.safetensors"
FORMAT = 2
BUFFERS = {
    "": "weights",
    "m.": "first moments",
    "v.": "second moments",
}  # by the beginnings of tensors' names
DTYPES = {"F32": "float32", "F64": "float64"}  # by their names in safetensors; a model has no others
# The longest header of ours has a vocabulary of all of Unicode, 5 MB. A foreign one of that length can take
# half a gigabyte to parse, but not if it has few brackets and quotes.
HEADER_BYTES = 8 << 20
HEADER_MARKS = 100_000

# What may change when a run is resumed: no step depends on it. The text is known by its hash, not its name.
FREE = frozenset({"file", "out", "weights", "backend", "threads", "memory_cap", "eval_every", "sample_every"})
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


@dataclass(frozen=True, eq=False, kw_only=True)
class SavedModel:
    """What a file says of its model; raises MicrogptError if it does not fit together.

    notes   JSON: the step, the losses, and of the text its name, `text_sha256` and `text_characters`
    path    the file that it was read from, and the SHA-256 of what that holds
    """

    config: ModelConfig
    vocabulary: Vocabulary
    notes: dict[str, Any]
    path: Path = Path()
    sha256: str = ""

    def __post_init__(self) -> None:
        if (n := len(self.vocabulary)) != (V := self.config.vocabulary_size):
            raise MicrogptError(f"its vocabulary has {n} characters, but its model {V}")
        _check_step(self.notes.get("step", 0))

    @property
    def param(self) -> Array:
        """The weights (P,) on the host, in the order of `parameters.table`; read anew each time."""
        return self._read_one("")

    def read_into(self, k: ModuleType, buffers: Mapping[str, Array]) -> None:
        """Read the file's weights "", and of a state Adam's moments "m." and "v.", into flat buffers (P,).

        Raises MicrogptError where the file is no longer what it was: then the buffers may hold anything.
        """
        with _opened(self.path) as file:
            header = _read_header(file, self.path)
            if header.sha256 != self.sha256:
                raise MicrogptError("another file has taken its place in the meantime")
            _read_tensors(file, header, self.config, k, buffers)

    def _read_one(self, prefix: str) -> Array:
        from microgpt_kernels import reference

        buffer = np.zeros(count(table(self.config.sizes)), self.config.dtype)
        self.read_into(reference, {prefix: buffer})
        return buffer


@dataclass(frozen=True, eq=False, kw_only=True)
class SavedState(SavedModel):
    """What a file says of a run, all that is needed to go on exactly; raises MicrogptError like SavedModel.

    train  as the user gave it, without `out`: a run is wherever its directory is
    """

    train: TrainConfig
    step: int
    progress: Progress

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.train.model(self.config.vocabulary_size) != self.config:
            raise MicrogptError("its model is not the one that its training options describe")
        _check_step(self.step)

    @property
    def m(self) -> Array:
        """Adam's first moments (P,), like `param`."""
        return self._read_one("m.")

    @property
    def v(self) -> Array:
        """Adam's second moments (P,), like `param`."""
        return self._read_one("v.")


def save_model(path: Path, model: SavedModel, param: Array) -> None:
    """Write a model with its weights (P,), on the host, in place of what was there.

    Raises MicrogptError, also for weights that are not finite, and then leaves what was there.
    """
    _save(path, model, {"": param})


def save_state(directory: Path, state: SavedState, param: Array, m: Array, v: Array) -> None:
    """Write optimizer.safetensors and model.safetensors. Raises MicrogptError like `save_model`."""
    # The state holds the weights too, so it never depends on model.safetensors. A crash between the two
    # renames leaves a model that is newer than the state; the run goes on from that, and comes to it again.
    buffers = {"": param, "m.": m, "v.": v}
    _check_buffers(state.config, buffers)
    model = SavedModel(config=state.config, vocabulary=state.vocabulary, notes=state.notes)
    save_model(directory / MODEL_FILE, model, param)
    _save(directory / STATE_FILE, state, buffers)


def load_model(run: Path, *, last: bool = False) -> SavedModel:
    """The model of a checkpoint file; or of a run directory, the best of its validation if there is one.

    last  whether to take the last one of a directory all the same

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


def check_resumable(state: SavedState, model: ModelConfig, train: TrainConfig, text: Text) -> None:
    """Raise MicrogptError, with every difference, unless a run with these options goes on exactly, and there
    is something left to do."""
    old, new = state.train.resolved(), train.resolved()
    run = state.path.parent
    from_weights = pasteable("train", Path(new.file), "--from", run / MODEL_FILE)
    constant = old.schedule == new.schedule == "constant"
    free = FREE | {"steps", "min_lr"} if constant else FREE
    different = []
    for field in dataclasses.fields(TrainConfig):
        before, after = getattr(old, field.name), getattr(new, field.name)
        # what is left open, or a name of a layout, means something else only if another option does
        same_words = getattr(state.train, field.name) == getattr(train, field.name)
        if field.name not in free and before != after and not same_words:
            why = ", which the cosine schedule depends on" if field.name == "steps" else ""
            option = field.name.replace("_", "-")
            different.append(f"--{option} was {shown(before)} and is now {shown(after)}{why}")
    if state.notes.get("text_sha256") != text.sha256:
        known, sha256 = state.notes.get("text_characters"), str(state.notes.get("text_sha256"))
        length = f"{known:,} characters, " if type(known) is int else ""
        different.append(
            f"the text {new.file} ({len(text.ids) + text.n_skipped:,} characters, "
            f"SHA-256 {text.sha256[:8]}) is not the one "
            f"that it was trained on, {old.file} ({length}SHA-256 {sha256[:8]}): if that lies elsewhere now, "
            + pasteable("train", "NEW_PATH", "--resume", run)
        )
    elif state.config != model and not different:
        different.append("the model's sizes have changed")
    if constant and new.steps < state.step:
        different.append(f"--steps {new.steps} is less than the {state.step} that are done")
    if different:
        raise MicrogptError(
            f"this run cannot be resumed exactly: {'; '.join(different)}; "
            f"resume it as it was, or begin a new run with its weights: {from_weights}"
        )
    if state.step >= new.steps and not state.progress.evaluation_due:
        further = (
            "to go on, add --steps with a larger number"
            if constant
            else f"its cosine schedule has come to its end; to go on with a new one: {from_weights}"
        )
        raise MicrogptError(f"all {new.steps} steps of this run are done; {further}")


def _check_step(step: object) -> None:
    if type(step) is not int or not 0 <= step < 1 << 63:
        raise MicrogptError(f"its step {shown(step)} is no number of steps")


# --- writing ----------------------------------------------------------------------------------------


def _save(path: Path, saved: SavedModel, buffers: Mapping[str, Array]) -> None:
    """Write flat buffers as tensors, their names after the buffer's prefix, and what `saved` says of them."""
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    _check_buffers(saved.config, buffers)
    tensors = {
        prefix + row.name: buffer[row.low : row.high].reshape(row.shape)
        for prefix, buffer in buffers.items()
        for row in table(saved.config.sizes)
    }
    description: dict[str, Any] = {
        "format": FORMAT,
        "vocabulary": saved.vocabulary.characters,
        "model": dataclasses.asdict(saved.config),
        "notes": saved.notes,
    }
    if isinstance(saved, SavedState):
        options = dataclasses.asdict(dataclasses.replace(saved.train, out=None))
        description["training"] = {
            "options": {name: value for name, value in options.items() if value is not None},
            "step": saved.step,
            "progress": dataclasses.asdict(saved.progress),
        }
    digest = hashlib.sha256(_json(description).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(_title(name, tensor.dtype, tensor.shape))
        digest.update(tensor.data)
    # one key only: the library writes several in an order that changes from process to process
    metadata = {"microgpt": _json(description | {"sha256": digest.hexdigest()})}
    with replacing(path) as temporary:
        try:
            save_file(tensors, temporary, metadata)
        except SafetensorError as error:
            number = re.search(r"os error (\d+)", str(error))
            raise (
                OSError(int(number[1]), os.strerror(int(number[1]))) if number else OSError(str(error))
            ) from None


def _check_buffers(config: ModelConfig, buffers: Mapping[str, Array]) -> None:
    """What could not be loaded is not saved: raises MicrogptError."""
    for prefix, buffer in buffers.items():
        if buffer.shape != (count(table(config.sizes)),) or buffer.dtype != config.dtype:
            what = f"{buffer.dtype} {buffer.shape}"
            raise MicrogptError(f"its {BUFFERS[prefix]} are {what}, which does not fit its model")
        if not all_finite(buffer):
            raise MicrogptError(f"its {BUFFERS[prefix]} are not all finite numbers")


def _json(values: Mapping[str, Any]) -> str:
    return json.dumps(values, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def _title(name: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> bytes:
    """What the SHA-256 takes of a tensor before its values."""
    return json.dumps([name, str(dtype), shape]).encode()


# --- reading ----------------------------------------------------------------------------------------


class _Tensor(NamedTuple):
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    begin: int  # in the file, in bytes


class _Header(NamedTuple):
    """What stands before the tensors, parsed but not believed."""

    description: dict[str, Any]  # as in a file of format 2
    hashed: bytes  # what of it the SHA-256 takes
    sha256: str
    tensors: dict[str, _Tensor]


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """The file; everything that can be wrong with it becomes one sentence that names it."""
    from safetensors import SafetensorError

    try:
        if not path.is_file():
            raise MicrogptError("there is no such file; name a directory that `microgpt train` has made")
        with path.open("rb") as file:
            yield file
    except MicrogptError as error:
        raise MicrogptError(f"{shown_path(path)} is not a usable checkpoint: {error}") from None
    except SafetensorError as error:
        raise MicrogptError(f"{shown_path(path)} is damaged, or no safetensors file: {error}") from None
    except OSError as error:
        raise MicrogptError(f"{shown_path(path)} cannot be read: {error.strerror or error}") from None


def read_description(path: Path) -> SavedModel:
    """What a file says, without a look at its tensors: quick, and not checked. Raises MicrogptError."""
    with _opened(path) as file:
        return _parse(_read_header(file, path), path)


def _load(path: Path) -> SavedModel:
    """What a file says, once all of it has been read and found whole."""
    with _opened(path) as file:
        header = _read_header(file, path)
        saved = _parse(header, path)
        _read_tensors(file, header, saved.config)
    return saved


def _read_header(file: BinaryIO, path: Path) -> _Header:
    from safetensors import SafetensorError, safe_open

    length = int.from_bytes(file.read(8), "little")
    if length > HEADER_BYTES:
        raise SafetensorError(f"its header would be {length} bytes long")
    header = file.read(length)
    if sum(header.count(mark) for mark in (b'"', b"[", b"{")) > HEADER_MARKS:
        raise SafetensorError("its header has more entries than any checkpoint")
    tensors: dict[str, _Tensor] = {}
    begin = 8 + length
    with safe_open(path, framework="numpy", backend="pread") as opened:
        metadata: dict[str, str] = opened.metadata() or {}
        for name in opened.offset_keys():
            entry = opened.get_slice(name)
            if entry.get_dtype() not in DTYPES:
                raise MicrogptError(
                    f"the tensor {shown(name)} is of type {entry.get_dtype()}, not {' or '.join(DTYPES)}"
                )
            tensor = _Tensor(tuple(entry.get_shape()), np.dtype(DTYPES[entry.get_dtype()]), begin)
            tensors[name] = tensor
            begin += math.prod(tensor.shape) * tensor.dtype.itemsize
    text = metadata.get("microgpt", "")
    if text.startswith("{"):
        description = _parse_json(text, "microgpt")
        sha256 = description.pop("sha256", None)
        hashed = _json(description)
    elif text.isascii() and text.isdigit():
        description = {"format": text, "vocabulary": metadata.get("vocabulary", "")}
        if text == "1":
            names = {"model", "notes", "training"} & metadata.keys()
            description |= {"format": 1} | {name: _parse_json(metadata[name], name) for name in names}
        sha256 = metadata.pop("sha256", None)
        hashed = json.dumps(sorted(metadata.items()))
    else:
        raise MicrogptError("it was not written by microgpt")
    if description.get("format") not in (1, FORMAT):
        version = str(description.get("format"))[:20]
        raise MicrogptError(f"it has format {version}; this version of microgpt reads 1 to {FORMAT}")
    return _Header(description, hashed.encode("utf-8", "surrogatepass"), str(sha256), tensors)


def _parse(header: _Header, path: Path) -> SavedModel:
    """What the header says, checked; and that the tensors are those of its model."""
    description = header.description
    parts = {name: description.get(name) for name in ("model", "notes", "training")}
    for name, part in parts.items():
        if not isinstance(part, dict) and (name != "training" or part is not None):
            raise MicrogptError(f"its metadata have no valid entry {name!r}")
    vocabulary = description.get("vocabulary")
    if not isinstance(vocabulary, str):
        raise MicrogptError("its metadata have no valid entry 'vocabulary'")
    config = build(ModelConfig, parts["model"] or {}, "its model")
    _check_tensors(header.tensors, config, [*BUFFERS] if parts["training"] is not None else [""])
    fields: dict[str, Any] = {
        "config": config,
        "vocabulary": Vocabulary(vocabulary),
        "notes": parts["notes"],
        "path": path,
        "sha256": header.sha256,
    }
    if (training := parts["training"]) is None:
        return SavedModel(**fields)
    options, step, progress = (training.get(name) for name in ("options", "step", "progress"))
    if not (isinstance(options, dict) and isinstance(progress, dict)):
        raise MicrogptError("its metadata have no valid entry 'training'")
    _check_step(step)
    options.pop("out", None)
    train = build(TrainConfig, options, "its training options")
    if description["format"] == 1:
        made = _progress_of_format_1(progress, step)
        train = _left_open(train)
    else:
        made = build(Progress, progress, "its progress")
    return SavedState(**fields, train=train, step=step, progress=made)


def _check_tensors(tensors: Mapping[str, _Tensor], config: ModelConfig, prefixes: list[str]) -> None:
    """Nothing is allocated before the file is known to have just the tensors of its model."""
    expected = {prefix + row.name: row.shape for prefix in prefixes for row in table(config.sizes)}
    for name, shape in expected.items():
        if name not in tensors:
            raise MicrogptError(f"the tensor {name!r} is missing")
        found = tensors[name]
        if found.shape != shape or found.dtype != config.dtype:
            raise MicrogptError(
                f"the tensor {name!r} is {found.dtype} {shown(found.shape)}, not {config.dtype} {shape}"
            )
    if more := tensors.keys() - expected.keys():
        raise MicrogptError(f"its model has no place for the tensor {shown(min(more))}")


def _read_tensors(
    file: BinaryIO,
    header: _Header,
    config: ModelConfig,
    k: ModuleType | None = None,
    buffers: Mapping[str, Array] | None = None,
) -> None:
    """Read all tensors in blocks, into a backend's flat buffers where there is one of their prefix.

    Raises MicrogptError unless they are finite and what the SHA-256 is of.
    """
    digest = hashlib.sha256(header.hashed)
    rows = {row.name: row for row in table(config.sizes)}
    buffer, not_finite = np.empty(BLOCK, config.dtype), None
    for name, tensor in sorted(header.tensors.items()):
        prefix = name[:2] if name[:2] in BUFFERS else ""
        target = buffers.get(prefix) if buffers is not None else None
        row = rows[name.removeprefix(prefix)]
        digest.update(_title(name, tensor.dtype, tensor.shape))
        file.seek(tensor.begin)
        for low, high in blocks(row.low, row.high):
            block = buffer[: high - low]
            if file.readinto(block.data.cast("B")) != block.nbytes:  # type: ignore[attr-defined]
                raise MicrogptError("it is damaged, it ends too early")
            digest.update(block.data)
            if not np.isfinite(block).all():
                not_finite = BUFFERS[prefix]
            if k is not None and target is not None:
                k.from_host(target[low:high], block)
    if digest.hexdigest() != header.sha256:
        raise MicrogptError("it is damaged, its contents do not match its checksum")
    if not_finite:
        raise MicrogptError(f"its {not_finite} are not all finite numbers")


def _parse_json(text: str, key: str) -> dict[str, Any]:
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict):
        raise MicrogptError(f"its metadata have no valid entry {key!r}")
    return values


@dataclass(frozen=True)
class _Progress1:
    """How files of format 1 have it."""

    smoothed_loss: float | None
    val_loss: float | None
    best_val_loss: float | None
    elapsed_s: float
    recent: tuple[float, ...]  # the sums of losses and norms, how many, and seconds


def _left_open(train: TrainConfig) -> TrainConfig:
    """Format 1 wrote out what had been left open, which then contradicts whatever is changed later."""
    default = dataclasses.replace(train, stride=None, d_ff=None, min_lr=None).resolved()
    return dataclasses.replace(
        train,
        stride=None if train.stride == default.stride else train.stride,
        d_ff=None if train.d_ff == default.d_ff else train.d_ff,
        min_lr=None if train.min_lr == default.min_lr else train.min_lr,
    )


def _progress_of_format_1(values: dict[str, Any], step: int) -> Progress:
    old = build(_Progress1, values, "its progress")
    if len(old.recent) != 4 or not math.isfinite(old.recent[2]):
        raise MicrogptError(f"its progress cannot be: recent is {shown(old.recent)}")
    loss_sum, norm_sum, n, _ = old.recent
    return Progress(
        average=(old.smoothed_loss or 0.0) * (1 - (1 - SMOOTHING) ** step),
        val_loss=old.val_loss,
        best_val_loss=old.best_val_loss,
        best_step=None,
        loss_sum=loss_sum,
        norm_sum=norm_sum,
        count=int(n),
        evaluation_due=False,
    )
