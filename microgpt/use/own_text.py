"""A run's own text, the one that it was trained on, found again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from microgpt.arrays import IdArray
from microgpt.checkpoint.saved import STATE_FILE, SavedState, read_description
from microgpt.errors import MicrogptError, shown_path
from microgpt.text.opening import IN_MEMORY, STANDARD_INPUT, text_name
from microgpt.text.reading import Text, encode_file
from microgpt.text.vocabulary import Vocabulary


def state_of(run: Path, option: str) -> SavedState:
    """What a run, or its optimizer.safetensors, says of itself; `option` is what has to know it.

    Raises MicrogptError for any other file.
    """
    state = read_description(run / STATE_FILE if run.is_dir() else run)
    if not isinstance(state, SavedState):
        raise MicrogptError(
            f"{shown_path(run)} does not say what its model was trained on, which {option} has to know: name "
            "the directory of the run"
        )
    return state


def own_text(
    file: str,
    notes: Mapping[str, Any],
    vocabulary: Vocabulary,
    *,
    need: str,
    otherwise: str,
    moved_to: Path | None = None,
) -> Text:
    """The text that a run was trained on, in a vocabulary.

    file       its name when the run began; `moved_to` where that is not its name any more
    notes      of the run, which have its SHA-256
    need       what needs it, and for what; `otherwise` what may be done without it

    Raises MicrogptError, which puts these together, where the text is not there any more.
    """
    path = Path(file) if moved_to is None else moved_to
    if path == IN_MEMORY:
        why = "it was in memory"
    elif path == STANDARD_INPUT and moved_to is None:
        why = "it came from standard input"
    elif path != STANDARD_INPUT and not path.exists():
        why = f"there is no file {text_name(path)} here"
    else:
        text = encode_file(path, vocabulary, skip_unknown=True)
        if text.sha256 == notes.get("text_sha256"):
            return text
        why = f"{text_name(path)} {'has changed' if moved_to is None else 'is another text'}"
    raise MicrogptError(f"{need}, but {why}; {otherwise}")


def beginning(text: Text, part: IdArray) -> str:
    """The first part of a text, as messages call it."""
    whole = len(part) == len(text.ids)
    return f"{'' if whole else 'the first '}{len(part):,} characters of {text_name(text.path)}"
