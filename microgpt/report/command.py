"""`microgpt report`: from directories to a page."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from microgpt.errors import MicrogptError, shown_path
from microgpt.files import write_atomically
from microgpt.report import races, runs
from microgpt.report.document import of_runs, page
from microgpt.training.directory import is_being_written

# How often the page of a run that goes on is loaded anew
RELOAD_SECONDS = 10.0


def report(directories: Sequence[Path], out: Path, *, as_json: bool) -> None:
    """Write the page of these runs and races. Raises MicrogptError."""
    of_races = [path for path in directories if races.is_race(path)]
    of_others = [path for path in directories if path not in of_races]
    for path in of_others:
        if not runs.is_run(path):
            raise MicrogptError(_no_run(path))
    records = [runs.read(path) for path in of_others]
    writing = [is_being_written(path) for path in of_others]
    data = of_runs(records, writing, reload_seconds=RELOAD_SECONDS if any(writing) else 0.0)
    called = runs.names(of_races)
    data["races"] = [
        races.as_json(races.read(path), name, path) for path, name in zip(of_races, called, strict=True)
    ]
    content = page(data).encode()
    write_atomically(out, content)
    if as_json:
        figures = {"page": str(out), "bytes": len(content), "runs": len(records), "races": len(of_races)}
        print(json.dumps(figures))
    else:
        print(f"{shown_path(out)}: {len(content):,} bytes; open it in a browser", file=sys.stderr)


def _no_run(path: Path) -> str:
    name = shown_path(path)
    if not path.exists():
        return f"there is no run or race {name}"
    if path.is_file():
        return f"{name} is a file: name the directory of its run"
    return f"{name} holds no run and no race; for a run, `microgpt runs` lists those below a directory"
