"""`microgpt export`: a model as one file for any browser."""

from __future__ import annotations

import json
from pathlib import Path

from microgpt.commands.model import read_model
from microgpt.console import Display
from microgpt.errors import UsageError, shown
from microgpt.files import write_atomically
from microgpt.page.page import written
from microgpt.page.play import play_page
from microgpt.xray.run import name_of

PAGE_FILE = "page.html"  # of a run


def export(what: str, run: Path | None, out: Path | None, *, last: bool, large: bool, as_json: bool) -> None:
    """Write a run's model as something else than a checkpoint."""
    if what != "page":
        raise UsageError(f"a model can be exported as a page, not as {shown(what)}: microgpt export page RUN")
    if run is None:
        raise UsageError("name the run whose model it is to be: microgpt export page RUN")
    display = Display()
    saved = read_model(run, display, last=last)
    content = play_page(saved, name_of(saved.path), large=large).encode()
    out = out or (run if run.is_dir() else run.parent) / PAGE_FILE
    write_atomically(out, content)
    if as_json:
        print(json.dumps({"page": str(out), "bytes": len(content)}))
    else:
        display.note(written(out, content))
