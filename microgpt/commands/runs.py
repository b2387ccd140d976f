"""`microgpt runs`: a table of the runs below a directory."""

from __future__ import annotations

import contextlib
import json
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from microgpt.checkpoint.saved import STATE_FILE, SavedState, read_description
from microgpt.commands.cell import cell
from microgpt.errors import MicrogptError
from microgpt.model.parameters import count, table
from microgpt.terminal.fitting import fitting_columns

# The columns that are left out, in this order, where a terminal is too narrow.
LEAST = ("parameters", "at_step", "heads", "text", "best", "saved", "val_loss")


def runs(directory: Path, *, as_json: bool) -> None:
    """A table of the runs below a directory, the latest last."""
    rows = []
    for file in directory.rglob(STATE_FILE):
        try:
            saved = read_description(file)
            if isinstance(saved, SavedState):
                rows.append(_row(saved))
        except MicrogptError as error:
            print(f"microgpt: {error}", file=sys.stderr)
    if not rows and not as_json:
        raise MicrogptError(f"there are no runs below {directory}; microgpt train FILE makes one")
    rows.sort(key=lambda row: str(row["saved"]))
    if as_json:
        for row in rows:
            print(json.dumps(row))
        return
    header = {name: name.replace("_", " ") for name in rows[0]}
    table = [header, *({name: cell(value) for name, value in row.items()} for row in rows)]
    widths = {name: max(len(cells[name]) for cells in table) for name in header}
    names = fitting_columns(widths, LEAST, gap=2)
    for cells in table:
        print("  ".join(f"{cells[name]:<{widths[name]}}" for name in names).rstrip())


def _row(saved: SavedState) -> dict[str, Any]:
    progress = saved.progress
    modified = ""
    with contextlib.suppress(OSError, ValueError, OverflowError):  # a year that no calendar has
        modified = datetime.fromtimestamp(saved.path.stat().st_mtime).astimezone().isoformat(" ", "minutes")
    return {
        "run": str(saved.path.parent),
        "text": saved.config.file,
        "heads": saved.config.heads,
        "parameters": count(table(saved.architecture.sizes)),
        "step": saved.step,
        "steps": saved.config.steps,
        "loss": progress.smoothed_loss(saved.step),
        "val_loss": progress.val_loss,
        "best": progress.best_val_loss,
        "at_step": progress.best_step,
        "saved": modified,
    }
