"""A checkpoint file: a header that is checked before it is used, tensors read in blocks, and a checksum."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from microgpt.arrays import BLOCK, Array, blocks
from microgpt.checkpoint.old import name_today
from microgpt.checkpoint.stored_ngrams import DTYPES
from microgpt.errors import MicrogptError, shown, shown_path
from microgpt.model.architecture import Architecture
from microgpt.model.parameters import table

FORMAT = 8
# by the beginnings of tensors' names
BUFFERS = {"": "weights", "m.": "first moments", "v.": "second moments", "u.": "velocity"}
# those beginnings, by what the trainer calls the buffers
PREFIXES = {"param": "", "m": "m.", "v": "v.", "velocity": "u."}
# by their names in safetensors: of a model's tensors, and of its n-grams
TYPES = {"F32": "float32", "F64": "float64", "I64": "int64", "I32": "int32"}

# The longest header of ours has a vocabulary of all of Unicode, 5 MB. A foreign one of that length can take
# half a gigabyte to parse, but not if it has few brackets and quotes.
HEADER_BYTES = 8 << 20
HEADER_MARKS = 100_000


def to_json(values: Mapping[str, Any]) -> str:
    return json.dumps(values, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def tensor_title(name: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> bytes:
    """The bytes by which a tensor enters the SHA-256 before its values."""
    return json.dumps([name, str(dtype), shape]).encode()


class StoredTensor(NamedTuple):
    name: str  # by which the model knows it; older files have other names
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    begin: int  # in the file, in bytes


class Header(NamedTuple):
    """What comes before the tensors, parsed but not yet checked."""

    description: dict[str, Any]  # as in a file of format 2 or later
    hashed: bytes  # the bytes of the header that enter the SHA-256
    sha256: str
    tensors: dict[str, StoredTensor]  # by the names that they have in the file


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
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
        raise MicrogptError(f"{shown_path(path)} is no trained model, or a damaged one: {error}") from None
    except OSError as error:
        raise MicrogptError(f"{shown_path(path)} cannot be read: {error.strerror or error}") from None


def read_header(file: BinaryIO, path: Path) -> Header:
    from safetensors import SafetensorError, safe_open

    length = int.from_bytes(file.read(8), "little")
    if length > HEADER_BYTES:  # as of a text, whose first letters would be its length
        raise SafetensorError("name a directory that `microgpt train` has made")
    header = file.read(length)
    if sum(header.count(mark) for mark in (b'"', b"[", b"{")) > HEADER_MARKS:
        raise SafetensorError("its header has more entries than any checkpoint")
    tensors: dict[str, StoredTensor] = {}
    begin = 8 + length
    with safe_open(path, framework="numpy", backend="pread") as opened:
        metadata: dict[str, str] = opened.metadata() or {}
        for name in opened.offset_keys():
            entry = opened.get_slice(name)
            if entry.get_dtype() not in TYPES:
                raise MicrogptError(
                    f"the tensor {shown(name)} is of type {entry.get_dtype()}, not {' or '.join(TYPES)}"
                )
            tensor = StoredTensor(name, tuple(entry.get_shape()), np.dtype(TYPES[entry.get_dtype()]), begin)
            tensors[name] = tensor
            begin += math.prod(tensor.shape) * tensor.dtype.itemsize
    text = metadata.get("microgpt", "")
    if text.startswith("{"):
        description = _parse_json(text, "microgpt")
        sha256 = description.pop("sha256", None)
        hashed = to_json(description)
    elif text.isascii() and text.isdigit():
        description = {"format": text, "vocabulary": metadata.get("vocabulary", "")}
        if text == "1":
            names = {"model", "notes", "training"} & metadata.keys()
            description |= {"format": 1} | {name: _parse_json(metadata[name], name) for name in names}
        sha256 = metadata.pop("sha256", None)
        hashed = json.dumps(sorted(metadata.items()))
    else:
        raise MicrogptError("it was not written by microgpt")
    version = description.get("format")
    if type(version) is not int or not 1 <= version <= FORMAT:
        raise MicrogptError(
            f"it has format {str(version)[:20]}; this version of microgpt reads 1 to {FORMAT}"
        )
    if version < 3:
        tensors = {name: tensor._replace(name=name_today(name)) for name, tensor in tensors.items()}
    return Header(description, hashed.encode("utf-8", "surrogatepass"), str(sha256), tensors)


def read_tensors(
    file: BinaryIO,
    header: Header,
    architecture: Architecture,
    k: ModuleType | None = None,
    buffers: Mapping[str, Array] | None = None,
) -> None:
    """Read all tensors in blocks, into a backend's flat buffers where `buffers` has their prefix, and n-grams
    where it has their name.

    Raises MicrogptError unless they are finite and match the SHA-256.
    """
    digest = hashlib.sha256(header.hashed)
    rows = {row.name: row for row in table(architecture.sizes)}
    not_finite = None
    for name, tensor in sorted(header.tensors.items()):
        if name in DTYPES:
            prefix, begin, end = name, 0, tensor.shape[0]
        else:
            prefix = name[:2] if name[:2] in BUFFERS else ""
            row = rows[tensor.name.removeprefix(prefix)]
            begin, end = row.low, row.high
        target = buffers.get(prefix) if buffers is not None else None
        digest.update(tensor_title(name, tensor.dtype, tensor.shape))
        file.seek(tensor.begin)
        buffer = np.empty(min(BLOCK, end - begin), tensor.dtype)
        for low, high in blocks(begin, end):
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
