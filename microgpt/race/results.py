"""The results of a race: one line of JSON for each run, written whole or not at all."""

from __future__ import annotations

import gzip
import json
import math
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from microgpt.errors import MicrogptError, shown_path
from microgpt.race.runs import Bits

RESULTS_FILE = "results.jsonl"
COMPRESSED_FILE = "results.jsonl.gz"
# What every line has, and of which type
KINDS = {
    "key": str,
    "plan": str,
    "condition": str,
    "entrant": str,
    "lr": float,
    "seed": int,
    "steps": int,
    "bits": float | None,
}


class Results:
    """The lines in a race's directory: those of `results.jsonl.gz`, if there is one, then `results.jsonl`.

    rows  the entries of each line by the key of the run
    bits  the bits per character of each, likewise; infinity where the run stopped being finite

    Raises MicrogptError for lines that are not those of a race.
    """

    def __init__(self, directory: Path) -> None:
        self._path = directory / RESULTS_FILE
        self.rows: dict[str, dict[str, Any]] = {}
        for path in (directory / COMPRESSED_FILE, self._path):
            for row in _read(path):
                self.rows.setdefault(row["key"], row)

    @property
    def bits(self) -> Bits:
        return {key: bits_of(row) for key, row in self.rows.items()}

    def open(self) -> None:
        """Make ready to append: a line that a power cut has left half-written is removed."""
        try:
            with self._path.open("a+b") as file:
                size = file.seek(0, os.SEEK_END)
                end = _end_of_last_line(file, size)
                if end < size:
                    file.truncate(end)
                    os.fsync(file.fileno())
        except OSError as error:
            raise MicrogptError(f"cannot write {shown_path(self._path)}: {error.strerror}") from None

    def append(self, row: dict[str, Any]) -> None:
        """Keep a line: on the disk before this returns. Raises MicrogptError, and then nothing is kept.

        JSON has no numbers that are not finite: they are null.
        """
        row = {name: None if _is_infinite(value) else value for name, value in row.items()}
        line = (json.dumps(row, allow_nan=False) + "\n").encode()
        try:
            with self._path.open("ab", buffering=0) as file:
                before = file.seek(0, os.SEEK_END)
                try:
                    if file.write(line) != len(line):
                        raise OSError(0, "the disk is full")
                    os.fsync(file.fileno())
                except OSError:
                    file.truncate(before)
                    raise
        except OSError as error:
            raise MicrogptError(f"cannot write {shown_path(self._path)}: {error.strerror}") from None
        self.rows[row["key"]] = row


def bits_of(row: dict[str, Any]) -> float:
    bits = row["bits"]
    return math.inf if bits is None else float(bits)


def _read(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a file. The last line is left out if it is half-written; any other that is no row is an
    error."""
    try:
        content = path.read_bytes()
        if path.suffix == ".gz":
            content = gzip.decompress(content)
    except FileNotFoundError:
        return
    except (OSError, EOFError, zlib.error) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise MicrogptError(f"cannot read {shown_path(path)}: {reason}") from None
    lines = content.split(b"\n")
    for number, line in enumerate(lines[:-1], 1):
        try:
            row = json.loads(line)
            valid = all(isinstance(row[name], kind) for name, kind in KINDS.items())
            valid = valid and not _is_infinite(row["bits"])
        except (ValueError, KeyError, TypeError, RecursionError):
            valid = False
        if not valid:
            raise MicrogptError(f"{shown_path(path)}, line {number}, is not the result of a run")
        yield row


def _is_infinite(value: object) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


def _end_of_last_line(file: Any, size: int) -> int:
    """The place after the last line break."""
    end = size
    while end > 0:
        begin = max(0, end - (1 << 16))
        file.seek(begin)
        at = file.read(end - begin).rfind(b"\n")
        if at >= 0:
            return int(begin + at + 1)
        end = begin
    return 0
