"""`microgpt xray`: what each head of a model does, in numbers or on a page."""

from __future__ import annotations

import json
from pathlib import Path

from microgpt.commands.model import open_model
from microgpt.console import Display
from microgpt.errors import MicrogptError, shown_path
from microgpt.files import check_writable, write_atomically
from microgpt.page.page import written
from microgpt.page.xray_page import xray_page
from microgpt.terminal.invocation import pasteable
from microgpt.text.opening import STANDARD_INPUT
from microgpt.text.reading import Text, encode_file
from microgpt.text.vocabulary import Vocabulary
from microgpt.xray.as_json import as_json as described
from microgpt.xray.table import lines
from microgpt.xray.xray import Xray


def xray(
    run: Path,
    file: Path | None,
    *,
    characters: int,
    skip_unknown: bool,
    shapley: bool,
    film: bool,
    out: Path | None,
    with_model: bool | None,
    last: bool,
    backend: str,
    as_json: bool,
) -> None:
    """What each head of a model does on the text of a file, or on what the run held out."""
    display = Display()
    model = open_model(run, backend, display, last=last)
    text = None if file is None else _read(file, model.vocabulary, run, skip_unknown=skip_unknown)
    if out is not None:
        check_writable(out)
    found = model.xray(text, characters=characters, shapley=shapley, film=film)
    display.idle()
    if as_json or out is None:
        _show_xray(found, as_json=as_json)
    if out is not None:
        content = xray_page(found, model.param, with_model=with_model).encode()
        write_atomically(out, content)
        display.note(written(out, content))


def _read(file: Path, vocabulary: Vocabulary, run: Path, *, skip_unknown: bool) -> Text:
    """The text of the file; raises MicrogptError, also for words in the place of its name."""
    if file != STANDARD_INPUT and not file.exists():
        command = pasteable("xray", run, "-")
        raise MicrogptError(
            f"there is no file {shown_path(file)}; to look at words of your own: echo WORDS | {command}"
        )
    return encode_file(file, vocabulary, skip_unknown=skip_unknown)


def _show_xray(found: Xray, *, as_json: bool) -> None:
    """An X-ray on standard output."""
    if as_json:
        # without spaces it is an eighth shorter, and there is a row for every character
        print(json.dumps(described(found), separators=(",", ":")))
        return
    for line in lines(found):
        print(line)
