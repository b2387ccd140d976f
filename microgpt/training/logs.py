"""The files of a run that grow: metrics.jsonl, a line of JSON for each report; samples.txt; and starts.jsonl,
a line for each time that the run was begun or resumed."""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from microgpt.errors import MicrogptError, shown_path
from microgpt.files import replacing

METRICS_FILE, SAMPLES_FILE, STARTS_FILE = "metrics.jsonl", "samples.txt", "starts.jsonl"
SAMPLE_LENGTH = 300  # characters
LONGEST_LINE = 1 << 20  # bytes: every report is shorter
HEADER = re.compile(r"--- step (\d{1,19})\n")
LONGEST_HEADER = 64  # characters
MOST_STEPS = 10**19  # more than any header can name
BLOCK = 1 << 16  # characters that are read at once of what follows the samples


class Logs:
    """Writes these files. A line that cannot be written does not end a run: `problem` says why it is missing.

    directory  the run's
    tell       called with the first problem, in a sentence
    """

    def __init__(self, directory: Path, tell: Callable[[str], None]) -> None:
        self._metrics, self._samples = directory / METRICS_FILE, directory / SAMPLES_FILE
        self._starts = directory / STARTS_FILE
        self._tell = tell
        self.problem: str | None = None

    def started(self, start: dict[str, Any]) -> None:
        self._append(self._starts, json.dumps(start) + "\n")

    def report(self, metrics: dict[str, Any]) -> None:
        self._append(self._metrics, json.dumps(metrics) + "\n")

    def sample(self, step: int, text: str) -> None:
        self._append(self._samples, f"--- step {step}\n{text}\n")

    def _append(self, path: Path, text: str) -> None:
        try:
            with path.open("ab", buffering=0) as file:
                size, content = file.tell(), text.encode()
                try:
                    if file.write(content) != len(content):
                        raise OSError("the disk is full")
                except OSError:
                    os.truncate(path, size)  # half a line would spoil the next one
                    raise
        except OSError as error:
            if self.problem is None:
                self.problem = f"{shown_path(path)} lacks lines: {error.strerror or error}"
                self._tell(
                    f"cannot write {shown_path(path)}: {error.strerror or error}; the run goes on without it"
                )

    def resume(self, step: int) -> float:
        """Remove what was written after the checkpoint of this step; returns the seconds of training at the
        last report that is kept.

        Raises MicrogptError where the files cannot be read or written.
        """
        elapsed = 0.0

        def until(file: BinaryIO) -> Iterator[bytes]:
            nonlocal elapsed
            for line in _lines(file):
                report = _parse(line)
                if report is not None and report["step"] <= step:
                    elapsed = report["elapsed_s"]
                    yield line.rstrip(b"\r\n") + b"\n"

        _keep(self._starts, until)
        elapsed = 0.0  # a start is no report
        _keep(self._metrics, until)
        _keep(self._samples, lambda file: _samples_until(file, step))
        return elapsed


def reports(directory: Path) -> Iterator[dict[str, Any]]:
    """The reports of a run, in the order in which they were written; what is no report is left out.

    Raises MicrogptError where the file cannot be read. Holds one line in memory, and so does `starts`.
    """
    return _read_lines(directory / METRICS_FILE)


def starts(directory: Path) -> Iterator[dict[str, Any]]:
    """What the run began with, each time that it was begun or resumed; runs of version 0.1 have none."""
    return _read_lines(directory / STARTS_FILE)


def samples(directory: Path) -> Iterator[tuple[int, str]]:
    """The step and the text of each sample. Raises MicrogptError where the file cannot be read."""
    with _reading(directory / SAMPLES_FILE) as file:
        for sample in _samples_until(file, MOST_STEPS) if file is not None else ():
            match = HEADER.match(text := sample.decode())
            if match is not None:
                yield int(match[1]), text[match.end() :].removesuffix("\n")


def _read_lines(path: Path) -> Iterator[dict[str, Any]]:
    with _reading(path) as file:
        for line in _lines(file) if file is not None else ():
            if (parsed := _parse(line)) is not None:
                yield parsed


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[BinaryIO | None]:
    """The file; None where there is none."""
    try:
        with path.open("rb") as file:
            yield file
    except FileNotFoundError:
        yield None
    except OSError as error:
        raise MicrogptError(f"cannot read {shown_path(path)}: {error.strerror or error}") from None


def _keep(path: Path, chosen: Callable[[BinaryIO], Iterator[bytes]]) -> None:
    """Replace a file by the pieces that are chosen from it, unless they are all of it already.

    Neither reading nor writing holds more than a piece in memory.
    """
    try:
        with path.open("rb") as file, path.open("rb") as again:
            unchanged = all(piece == again.read(len(piece)) for piece in chosen(file)) and not again.read(1)
        if not unchanged:
            with path.open("rb") as file, replacing(path) as temporary, temporary.open("wb") as new:
                new.writelines(chosen(file))
    except FileNotFoundError:
        return
    except OSError as error:
        raise MicrogptError(f"cannot read {shown_path(path)}: {error.strerror or error}") from None


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """The lines of a file that are not too long for a report."""
    while line := file.readline(LONGEST_LINE):
        if len(line) < LONGEST_LINE or line.endswith(b"\n"):
            yield line
            continue
        while line and not line.endswith(b"\n"):
            line = file.readline(LONGEST_LINE)


def _samples_until(file: BinaryIO, step: int) -> Iterator[bytes]:
    """The samples up to a step. As all have the same length, no line of one is taken for a header."""
    text = io.TextIOWrapper(file, encoding="utf-8", errors="replace", newline="\n")
    try:
        while match := HEADER.fullmatch(header := text.readline(LONGEST_HEADER)):
            sample = text.read(SAMPLE_LENGTH + 1)
            if int(match[1]) > step or len(sample) <= SAMPLE_LENGTH:
                return
            yield (header + sample).encode()
        rest = header  # this is not from a run
        while rest:
            yield rest.encode()
            rest = text.read(BLOCK)
    finally:
        text.detach()  # else it would close the file, which the caller still needs


def _parse(line: bytes) -> dict[str, Any] | None:
    """A report or a start; None for anything else, such as the half of a line that a crash can leave."""
    try:
        report = json.loads(line)
        numbers = [report["step"], report["elapsed_s"]]
        if any(type(n) not in (int, float) or not math.isfinite(n) for n in numbers):
            return None
    except (ValueError, KeyError, TypeError, RecursionError, OverflowError):
        return None
    return dict(report)
