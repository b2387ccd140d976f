"""`microgpt report`: from directories to a page."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path

from microgpt.errors import MicrogptError, shown_path
from microgpt.files import write_atomically
from microgpt.page.page import written
from microgpt.report import races, runs
from microgpt.report.beside import REPORT_FILE
from microgpt.report.document import data_of, page
from microgpt.terminal.interruption import finishing_the_step
from microgpt.training.directory import is_being_written

# Between two writings of a page that follows runs: these seconds, or this many times as long as one took
FOLLOW_SECONDS, REST = 5.0, 20.0
PIECE_SECONDS = 0.1  # how soon Ctrl-C ends this time


def report(directories: Sequence[Path], out: Path | None, *, follow: bool, as_json: bool) -> None:
    """Write the page of these runs and races; with `follow`, again and again until no run goes on.

    out  its file; None: in the directory of the run or the race, and here where there are several

    Where Ctrl-C ends that, the page is written once more, so that it does not wait for the next one, and this
    raises KeyboardInterrupt. Raises MicrogptError.
    """
    directories = list(dict.fromkeys(directories))
    if out is None:
        out = directories[0] / REPORT_FILE if len(directories) == 1 else Path(REPORT_FILE)
    of_races = [path for path in directories if races.is_race(path)]
    of_runs = [path for path in directories if path not in of_races]
    for path in of_runs:
        if not runs.is_run(path):
            raise MicrogptError(_no_run(path))
    found = [
        races.as_json(races.read(path), name, path)
        for path, name in zip(of_races, runs.names(of_races), strict=True)
    ]
    with finishing_the_step() if follow else nullcontext(lambda: False) as stop:
        while True:
            begin = time.monotonic()
            writing = [is_being_written(path) for path in of_runs]
            again = follow and any(writing) and not stop()
            data = data_of(
                [runs.read(path) for path in of_runs],
                writing,
                found,
                reload_seconds=FOLLOW_SECONDS if again else 0.0,
                with_copies=not again,
            )
            content = page(data).encode()
            write_atomically(out, content)
            if not again:
                break
            _wait(max(FOLLOW_SECONDS, REST * (time.monotonic() - begin)), stop)
        if stop():
            raise KeyboardInterrupt
    if as_json:
        figures = {"page": str(out), "bytes": len(content), "runs": len(of_runs), "races": len(of_races)}
        print(json.dumps(figures))
    else:
        print(written(out, content), file=sys.stderr)


def _wait(seconds: float, stop: Callable[[], bool]) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end and not stop():
        time.sleep(PIECE_SECONDS)


def _no_run(path: Path) -> str:
    name = shown_path(path)
    if not path.exists():
        return f"there is no run or race {name}"
    if path.is_file():
        return f"{name} is a file: name the directory of its run"
    return f"{name} holds no run and no race; for a run, `microgpt runs` lists those below a directory"
