"""What is known of the run that a model is from, as far as others may know it."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from microgpt.checkpoint.saved import BEST_FILE, MODEL_FILE, STATE_FILE
from microgpt.checkpoint.snapshots import DIRECTORY, NAME
from microgpt.config import TrainConfig

# what says where things lie on a machine, or how large the machine is: an X-ray may go to somebody else
OF_THE_MACHINE = ("file", "out", "weights", "threads", "memory_cap")


def described(
    path: Path | None, notes: Mapping[str, Any], config: TrainConfig | None, backend: str, ngrams: int | None
) -> dict[str, Any]:
    """The facts, in what JSON has.

    path    the file of the model
    ngrams  the order of those that the model also has
    """
    options = None
    if config is not None:
        options = {
            name: value for name, value in dataclasses.asdict(config).items() if name not in OF_THE_MACHINE
        }
    text = notes.get("text")
    return {
        "name": None if path is None else name_of(path),
        "step": notes.get("step"),
        "text": Path(text).name if isinstance(text, str) else None,
        "options": options,
        "backend": backend,
        "ngrams": ngrams,
    }


def name_of(path: Path) -> str:
    """What the model of this file is called: by the directory of its run, or else by the file."""
    path = Path(os.path.abspath(path))
    if path.name in (MODEL_FILE, BEST_FILE, STATE_FILE):
        return path.parent.name
    snapshot = NAME.fullmatch(path.name)
    if snapshot and path.parent.name == DIRECTORY:
        return f"{path.parent.parent.name}, step {int(snapshot[1])}"
    return path.stem
