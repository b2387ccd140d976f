"""The page of a model to type with: how surprised it is, what it expects next, and heads to switch off."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from microgpt.checkpoint.saved import SavedModel, SavedState
from microgpt.errors import MicrogptError
from microgpt.model.heads import format_layout
from microgpt.model.parameters import count, table
from microgpt.page.page import asset, document
from microgpt.page.weights import MOST_BYTES, model_bytes, model_data
from microgpt.text.ngrams import ngram_name

SCRIPTS = ("elements.js", "model.js", "reader.js", "weighing.js", "editor.js", "play.js")


def play_page(saved: SavedModel, name: str, *, large: bool = False) -> str:
    """The page of a saved model, with the model in it; it opens without a network.

    name   its title
    large  whether it may be larger than MOST_BYTES

    Raises MicrogptError where it would be.
    """
    n_bytes = model_bytes(saved.architecture)
    if n_bytes > MOST_BYTES and not large:
        raise MicrogptError(
            f"the page would have {n_bytes / 1e6:.1f} MB, and above {MOST_BYTES / 1e6:.0f} MB it is slow to "
            "open and to send: --large writes it all the same"
        )
    return document(
        name,
        asset("play.html"),
        styles=[asset("play.css")],
        scripts=[*map(asset, SCRIPTS)],
        data={
            "about": about(saved, name),
            "model": model_data(saved.architecture, saved.vocabulary, saved.param),
        },
    )


def about(saved: SavedModel, name: str) -> dict[str, Any]:
    """What the page says of the model, as far as the file knows it."""
    architecture, notes = saved.architecture, saved.notes
    text = notes.get("text")
    order = ngram_order(saved)
    rows = {
        "its text": _text(notes),
        "steps": _words(notes.get("step")),
        # with n-grams it is that of both together
        "loss of the text held out": _bits(notes.get("val_loss")) if order is None else None,
        "heads of a layer": format_layout(architecture.heads),
        "positions": architecture.positions,
    }
    return {
        "name": name,
        "parameters": count(table(architecture.sizes)),
        # only its name: where it lies concerns nobody to whom the page is sent
        "text": Path(text).name if isinstance(text, str) else None,
        "ngrams": None if order is None else without_ngrams(order),
        "rows": {name: value for name, value in rows.items() if value is not None},
    }


def ngram_order(saved: SavedModel) -> int | None:
    """The order of the n-grams that the network was trained beside; None for none."""
    if saved.ngrams is not None:
        return saved.ngrams.order
    return (saved.config.ngrams or None) if isinstance(saved, SavedState) else None


def without_ngrams(order: int) -> str:
    """The sentence that says what a page leaves out of a model with n-grams."""
    return (
        f"This page shows the network alone. microgpt generate also uses a table of {ngram_name(order)}s, "
        "so it writes different texts and is usually less surprised."
    )


def _text(notes: Mapping[str, Any]) -> str | None:
    """How long the text is, and whether the training saw all of it."""
    length = _words(notes.get("text_characters"), "characters")
    is_held_out = _bits(notes.get("val_loss")) is not None
    return f"{length}, of which a part was held out" if length and is_held_out else length


def _words(value: object, unit: str = "") -> str | None:
    """A whole number as a row shows it; None for what is none: a file may hold anything in its notes."""
    return f"{value:,} {unit}".strip() if type(value) is int else None


def _bits(loss: object) -> str | None:
    if not isinstance(loss, float) or not math.isfinite(loss):
        return None
    return f"{loss / math.log(2):.3f} bits per character"
