"""The model of the run that a command names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from microgpt.checkpoint.saved import BEST_FILE, MODEL_FILE, SavedModel, load_model, read_description
from microgpt.console import Display

if TYPE_CHECKING:
    from microgpt.api.model import Model


def open_model(run: Path, backend: str, display: Display, *, last: bool) -> Model:
    """The model of a run. Says which weights these are, if they are not the last ones."""
    from microgpt.api.model import Model, config_of_run

    saved = read_model(run, display, last=last)
    return Model(saved, backend, display, config=config_of_run(run, saved))


def read_model(run: Path, display: Display, *, last: bool) -> SavedModel:
    """What a run's file says of its model; says likewise which weights these are."""
    saved = load_model(run, last=last)
    if run.is_dir() and saved.path.name == BEST_FILE:
        step, newest = saved.notes.get("step"), None
        if (run / MODEL_FILE).exists():
            newest = read_description(run / MODEL_FILE).notes.get("step")
        if newest not in (None, step):
            display.note(
                f"these are the weights of step {step}, the best of the validation; "
                f"--last takes those of step {newest}"
            )
    return saved
