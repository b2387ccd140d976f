"""Keeps a report beside a run while the run goes on: `microgpt train --report`."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from microgpt.errors import MicrogptError, shown_path
from microgpt.files import write_atomically
from microgpt.report.document import data_of, page
from microgpt.report.runs import Record, read
from microgpt.training.reporter import Reporter, Summary

REPORT_FILE = "report.html"
# A page is left alone for this many times as long as writing it took, which is below 1% of the time then.
REST = 100.0
LEAST_SECONDS, MOST_SECONDS = 2.0, 30.0  # between two looks of an open page


class Beside:
    """A reporter that hands all on to another one, and writes the page from time to time.

    problem  why the page is not what it should be; None where it is
    """

    def __init__(self, shown: Reporter) -> None:
        self._shown = shown
        self._directory: Path | None = None
        self._identity: os.stat_result | None = None
        self._record: Record | None = None
        self._due = 0.0  # the time of the next writing
        self._rest = LEAST_SECONDS
        self.problem: str | None = None

    def started(self, summary: Summary) -> None:
        if summary.out is not None:
            self._directory = Path(summary.out)
            self._identity = self._directory.stat()
        self._shown.started(summary)

    def advanced(self, metrics: dict[str, Any]) -> None:
        self._shown.advanced(metrics)

    def reported(self, metrics: dict[str, Any]) -> None:
        self._shown.reported(metrics)
        if self._record is not None:
            self._record.curves.add(metrics)
        if time.monotonic() >= self._due:
            self._write(goes_on=True)

    def sampled(self, step: int, text: str) -> None:
        self._shown.sampled(step, text)
        if self._record is not None:
            self._record.samples.append((step, text))

    def note(self, text: str) -> None:
        self._shown.note(text)

    def working(self, what: str, so_far: str) -> None:
        self._shown.working(what, so_far)

    def idle(self) -> None:
        self._shown.idle()

    def finish(self) -> None:
        """Write the page for the last time."""
        if self._record is not None:
            self._write(goes_on=False)

    def _write(self, *, goes_on: bool) -> None:
        if self._directory is None:
            return
        begin = time.monotonic()
        file = self._directory / REPORT_FILE
        try:
            if not _is_same(self._directory, self._identity):
                raise MicrogptError(f"{shown_path(self._directory)} was moved, and has no report from now on")
            if self._record is None:
                # all that was logged until now, also before the run was resumed
                self._record = read(self._directory)
                self._shown.note(f"its report: {shown_path(file)}")
            seconds = max(LEAST_SECONDS, min(MOST_SECONDS, self._rest)) if goes_on else 0.0
            data = data_of([self._record], [goes_on], reload_seconds=seconds)
            write_atomically(file, page(data).encode())
            self.problem = None
        except MicrogptError as error:
            if self.problem is None:
                self._shown.note(f"{error}; the run goes on without its report")
            self.problem = str(error)
        self._rest = max(LEAST_SECONDS, REST * (time.monotonic() - begin))
        self._due = begin + self._rest


def _is_same(directory: Path, identity: os.stat_result | None) -> bool:
    """Whether a directory was neither moved nor removed."""
    try:
        return identity is not None and os.path.samestat(directory.stat(), identity)
    except OSError:
        return False


@contextlib.contextmanager
def beside(shown: Reporter) -> Iterator[Beside]:
    """A reporter that keeps the page until the end of the block, however the run ends."""
    reporter = Beside(shown)
    try:
        yield reporter
    finally:
        reporter.finish()
