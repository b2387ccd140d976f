"""What a run tells as it goes: metrics.jsonl, a line of JSON for each report, and samples.txt."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from microgpt.errors import MicrogptError, shown_path
from microgpt.files import write_atomically

METRICS_FILE, SAMPLES_FILE = "metrics.jsonl", "samples.txt"
SAMPLE_LENGTH = 300  # characters


class Logs:
    """The two files of a run that grow. A line that cannot be written costs no run: `problem` says why.

    directory  of the run
    tell       hears of the first problem at once
    """

    def __init__(self, directory: Path, tell: Callable[[str], None]) -> None:
        self._metrics, self._samples = directory / METRICS_FILE, directory / SAMPLES_FILE
        self._tell = tell
        self.problem: str | None = None

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
        """Forget what was told after a checkpoint; returns the seconds of training at the last report kept.

        Raises MicrogptError where the files cannot be read or written.
        """
        elapsed = 0.0
        kept = []
        for line in _read(self._metrics).splitlines(keepends=True):
            report = _parse(line)
            if report is not None and report["step"] <= step:
                kept.append(line.rstrip(b"\r\n") + b"\n")
                elapsed = report["elapsed_s"]
        _replace(self._metrics, b"".join(kept))
        _replace(self._samples, _samples_until(_read(self._samples).decode(errors="replace"), step).encode())
        return elapsed


def _samples_until(text: str, step: int) -> str:
    """The samples up to a step. Each has its length, so that one which looks like a header is none."""
    end = 0
    while match := re.compile(r"--- step (\d{1,19})\n").match(text, end):
        after = match.end() + SAMPLE_LENGTH + 1
        if int(match[1]) > step or after > len(text):
            return text[:end]
        end = after
    return text  # the rest was written by somebody else


def _parse(line: bytes) -> dict[str, Any] | None:
    """A report; None for anything else, such as the half of a line that a crash can leave."""
    try:
        report = json.loads(line)
        numbers = [report["step"], report["elapsed_s"]]
        if any(type(n) not in (int, float) or not math.isfinite(n) for n in numbers):
            return None
    except (ValueError, KeyError, TypeError, RecursionError, OverflowError):
        return None
    return dict(report)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise MicrogptError(f"cannot read {shown_path(path)}: {error.strerror or error}") from None


def _replace(path: Path, content: bytes) -> None:
    if content != _read(path):
        write_atomically(path, content)
