"""Damaged checkpoints: bytes that changed, and forged ones, with a right checksum over what cannot be.

Every one ends in a sentence, in a moment and in little memory, or is as good as the one that was saved.
"""

from __future__ import annotations

import copy
import hashlib
import json
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from faults.children import call, program
from faults.small import OPTIONS, WEIGHTS, write_text

# How many are tried in one process. Its time and memory are those of the worst among them.
BATCH = 50
SECONDS, BYTES = 2.0, 200 << 20
VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 7, 2**31, 2**31 - 1, 2**63, 2**64, 10**30, -(10**30), 10**4000, 0.0,
    -0.0, 0.5, 1e300, -1e300, 1e-320, float("nan"), float("inf"), -float("inf"), "", " ", "x", "x" * 10_000,
    "\x00", "\ud800",
    "\x1b[2J", "999999999x1", "uniform", "../../x", "/dev/zero", [], {}, [[]], [1],
    [[1, 2, 3]] * 1000, [1] * 100_000,
    {"a": {"b": {}}}, "1e9", "2GiB",
)  # fmt: skip


def run(tries: int, seed: int, folder: Path) -> str:
    """Half of the tries blind, half forged. Raises AssertionError; what was done, in a sentence."""
    os.chdir(folder)
    write_text(folder)
    assert call(program("train", "text.txt", *OPTIONS, "--ngrams", "4", "--out", "good")).code == 0
    for first in range(0, tries, BATCH):
        # made here, as a forger's memory is none of the program's
        paths = [
            _damaged(random.Random(f"{seed} {n}"), n % 2 == 0, f"{n}.safetensors")
            for n in range(first, min(first + BATCH, tries))
        ]
        outcome = call(lambda: _try(paths), timeout=120)  # noqa: B023
        assert outcome.code == 0, (seed, first, outcome.stderr[-3000:])
        assert outcome.grown < BYTES, (seed, first, f"{outcome.grown >> 20} MiB")
        for path in paths:
            path.unlink()
    # a sample goes the user's way
    for n in range(min(20, tries)):
        path = _damaged(random.Random(f"{seed} program {n}"), n % 2 == 0, "bad.safetensors")
        for command in (("info", path), ("generate", path, "--backend", "reference", "--length", "3")):
            outcome = call(program(*command), timeout=20)
            assert outcome.code in (0, 1), (seed, n, outcome)
            assert outcome.one_sentence, (seed, n, outcome.stderr)
    return f"{tries:,} files, half of them with a right checksum"


def _try(paths: list[Path]) -> None:
    import time

    from microgpt.checkpoint.saved import SavedState, load_model
    from microgpt.errors import MicrogptError

    for path in paths:
        begun = time.monotonic()
        try:
            saved = load_model(path)
            _ = saved.param, saved.notes
            if saved.ngrams is not None:
                assert abs(saved.ngrams.next([1, 2, 3]).sum() - 1) < 1e-9
            assert not isinstance(saved, SavedState) or saved.config.resolved()
        except MicrogptError as error:
            sentence = str(error)
            assert len(sentence) < 700, (path, sentence)
            assert "\n" not in sentence, (path, sentence)
        seconds = time.monotonic() - begun
        assert seconds < SECONDS, (path, seconds)


def _damaged(rng: random.Random, blind: bool, name: str) -> Path:
    path, content = Path(name), (Path("good") / rng.choice(WEIGHTS)).read_bytes()
    path.write_bytes(_blind(rng, content) if blind else _forged(rng, content))
    return path


def _blind(rng: random.Random, content: bytes) -> bytes:
    changed = bytearray(content)
    header = 8 + int.from_bytes(content[:8], "little")
    for _ in range(rng.randint(1, 4)):
        # most of a file is numbers; what is more interesting comes before them
        end = rng.choice((8, 200, header, len(changed)))
        place = rng.randrange(min(end, len(changed)) or 1)
        match rng.randrange(6):
            case 0:
                changed[place : place + 1] = bytes([rng.randrange(256)])
            case 1:
                del changed[place:]
            case 2:
                del changed[place : place + rng.randint(1, 100)]
            case 3:
                changed[place:place] = rng.randbytes(rng.randint(1, 100))
            case 4:
                changed[:8] = rng.choice((0, 1, 2**31, 2**63, 2**64 - 1, len(content))).to_bytes(8, "little")
            case 5:
                changed[place : place + 8] = changed[:8]
    return bytes(changed)


def _forged(rng: random.Random, content: bytes) -> bytes:
    """One to three values of the description replaced, or a tensor's, with a checksum that fits."""
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    description = json.loads(header.pop("__metadata__")["microgpt"])
    arrays = {
        name: (entry, content[8 + length + entry["data_offsets"][0] : 8 + length + entry["data_offsets"][1]])
        for name, entry in header.items()
    }
    for _ in range(rng.randint(1, 3)):
        places = list(_places(description))
        if rng.random() < 0.8:
            holder, key = rng.choice(places)
            _change(rng, holder, key)
        else:
            name = rng.choice(list(arrays))
            entry, values = arrays[name]
            arrays[name] = _change_tensor(rng, entry, values)
    return _written(description, arrays)


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Everything in nested lists and dictionaries, by what holds it and its place in there."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in items:
        yield value, key
        yield from _places(each)


def _change(rng: random.Random, holder: Any, key: Any) -> None:
    if rng.random() < 0.1:
        del holder[key]
    elif isinstance(holder, dict) and rng.random() < 0.1:
        holder[rng.choice(("x", "steps", "\ud800", "y" * 5000))] = copy.deepcopy(rng.choice(VALUES))
    else:
        holder[key] = copy.deepcopy(rng.choice(VALUES))


def _change_tensor(rng: random.Random, entry: dict[str, Any], values: bytes) -> tuple[dict[str, Any], bytes]:
    entry = dict(entry)
    match rng.randrange(4):
        case 0:
            entry["dtype"] = rng.choice(("F64", "F16", "BF16", "I64", "BOOL", "F8_E4M3", "C64", "x"))
        case 1:
            entry["shape"] = rng.choice(
                ([], [0], [2**40], [2**62, 2**62], [-1], [1] * 40, [len(values) // 4])
            )
        case 2:
            values = values[: rng.randrange(len(values) + 1) // 4 * 4]
        case 3:
            integers = str(entry["dtype"]) in ("I32", "I64")
            numbers = np.frombuffer(values, "<i4" if integers else "<f4").copy()
            if len(numbers) and integers:
                numbers[rng.randrange(len(numbers))] = rng.choice((-1, 0, 1, 2, 2**30, 2**31 - 1, -(2**31)))
            elif len(numbers):
                numbers[rng.randrange(len(numbers))] = rng.choice((np.nan, np.inf, -np.inf, 3e38, 1e-45))
            values = numbers.tobytes()
    return entry, values


def _written(description: dict[str, Any], arrays: dict[str, tuple[dict[str, Any], bytes]]) -> bytes:
    """A file as microgpt would write it, if it wrote such things."""
    if isinstance(description, dict):
        description.pop("sha256", None)

    def dumped(value: Any) -> bytes:
        text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        return text.encode("utf-8", "surrogatepass")

    types = {"F32": "float32", "F64": "float64", "I64": "int64", "I32": "int32"}
    digest = hashlib.sha256(dumped(description))
    for name, (entry, values) in sorted(arrays.items()):
        shape = entry["shape"]
        digest.update(json.dumps([name, types.get(entry["dtype"], entry["dtype"]), shape]).encode())
        digest.update(values)
    text = dumped({**description, "sha256": digest.hexdigest()}).decode("utf-8", "replace")
    header: dict[str, Any] = {"__metadata__": {"microgpt": text}}
    begin = 0
    for name, (entry, values) in arrays.items():
        header[name] = {**entry, "data_offsets": [begin, begin + len(values)]}
        begin += len(values)
    encoded = json.dumps(header).encode()
    encoded += b" " * (-len(encoded) % 8)
    return len(encoded).to_bytes(8, "little") + encoded + b"".join(values for _, values in arrays.values())
