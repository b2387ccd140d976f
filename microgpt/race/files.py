"""The files that a race leaves beside its results: a table of the runs, the report, and figures."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from microgpt.files import write_atomically
from microgpt.race.report import Report

RUNS_FILE, REPORT_FILE, FIGURES = "runs.csv", "report.json", "figures"
COLUMNS = (
    "condition", "entrant", "counts_for", "lr", "seed", "steps", "bits", "training_nats", "seconds",
    "problem", "plan",
)  # fmt: skip


def write_files(
    directory: Path,
    rows: Mapping[str, Mapping[str, Any]],
    counts_for: Mapping[str, str],
    report: Report,
    tell: Callable[[str], None],
) -> list[Path]:
    """Write them all; returns their paths. Raises MicrogptError where that cannot be done.

    counts_for  what the runs are for, by their keys; those of other plans are for nothing
    tell        is called with a sentence where the figures are left out
    """
    runs, findings = directory / RUNS_FILE, directory / REPORT_FILE
    write_atomically(runs, _csv(rows, counts_for).encode())
    write_atomically(findings, (json.dumps(report.as_json(), indent=1) + "\n").encode())
    if find_spec("matplotlib") is None:
        tell(
            "for figures of this race: pip install 'microgpt-numba[plots]', and give its directory once more"
        )
        return [runs, findings]
    from microgpt.race.figures import draw

    folder = directory / FIGURES
    drawn = draw(report, folder)
    for path in {*folder.glob("*.svg"), *folder.glob("*.png")}.difference(drawn):
        path.unlink()  # of an earlier report, which may have said something else
    return [runs, findings, *drawn]


def _csv(rows: Mapping[str, Mapping[str, Any]], counts_for: Mapping[str, str]) -> str:
    """A line for each run, in an order that does not depend on which was done first."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    order = ("condition", "entrant", "lr", "seed", "steps", "key")
    for row in sorted(rows.values(), key=lambda row: [row[name] for name in order]):
        writer.writerow({**row, "counts_for": counts_for.get(row["key"], "")})
    return text.getvalue()
