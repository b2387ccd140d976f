"""One HTML file with all that it needs: styles, scripts and data, and not a single request to a network."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from microgpt.errors import shown_path
from microgpt.machine.budget import format_bytes

# A page that tried to load anything would be stopped by the browser: only what is inside it counts.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"
# As a JSON string may write them: in HTML, the first three could end the data, and begin something else.
ESCAPES = str.maketrans({"<": r"\u003c", ">": r"\u003e", "&": r"\u0026"})
SHARED_STYLES, SHARED_SCRIPTS = ("style.css",), ("theme.js",)


def document(
    title: str,
    body: str,
    *,
    styles: Sequence[str] = (),
    scripts: Sequence[str] = (),
    data: Mapping[str, Any] | None = None,
) -> str:
    """The text of an HTML file.

    title    any text
    body     HTML of our own, trusted
    styles   texts of CSS, after those that all pages share
    scripts  texts of JavaScript, after those that all pages share; each sees the whole body and all data
    data     values that JSON can hold, each by the id under which a script finds it: `Data.read("id")`

    Titles and data may hold any characters. Raises ValueError for numbers in the data that are not finite,
    and for scripts and styles that would end before their end.
    """
    style_texts = [*map(asset, SHARED_STYLES), *styles]
    script_texts = [*map(asset, SHARED_SCRIPTS), *scripts]
    for text in (*style_texts, *script_texts):
        if any(mark in text.lower() for mark in ("</style", "</script", "<!--")):
            raise ValueError("a style or a script would end, or begin a comment, in its middle")
    parts = [
        "<!DOCTYPE html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="color-scheme" content="light dark">',
        '<link rel="icon" href="data:,">',
        f"<title>{escaped(title)}</title>",
        *(f"<style>\n{text}</style>" for text in style_texts),
        "</head>",
        "<body>",
        body,
        *(
            f'<script type="application/json" id="{escaped(name)}">{json_text(value)}</script>'
            for name, value in (data or {}).items()
        ),
        *(f"<script>\n{text}</script>" for text in script_texts),
        "</body>",
        "</html>",
        "",
    ]
    return "\n".join(parts)


def written(path: Path, content: bytes) -> str:
    """What a command says of a page that it has written."""
    return f"{shown_path(path)}: {format_bytes(len(content))}; open it in any browser"


def asset(name: str, room: str = __name__.rpartition(".")[0]) -> str:
    """The text of a file in this room, such as "style.css", or in another one."""
    return files(room).joinpath(name).read_text("utf-8")


def escaped(text: str) -> str:
    """A text as HTML shows it, also within quotes; what is no character becomes a question mark."""
    return html.escape(text.encode("utf-8", "replace").decode("utf-8"))


def json_text(value: Any) -> str:
    """JSON for a script element: ASCII that the parser of HTML leaves alone. Raises ValueError for NaN."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).translate(ESCAPES)
