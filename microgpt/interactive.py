"""Typing beside a model: it shows what it expects next, and colours each character by how it surprised it."""

from __future__ import annotations

import contextlib
import os
import time
from threading import Event

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from microgpt.errors import MicrogptError
from microgpt.terminal.harmless import harmless
from microgpt.terminal.interruption import suspendable
from microgpt.terminal.keyboard import Key, Keyboard
from microgpt.use.draft import Draft

# Below how many bits, and how a character of that surprise looks. Each look can also be told by those who see
# no colours, or have asked for none; the colours are those of Okabe and Ito (2008).
SURPRISES = (
    (1.0, "below 1 bit", ""),
    (2.0, "1 to 2", "#56b4e9"),
    (4.0, "2 to 4", "#e69f00 underline"),
    (8.0, "4 to 8", "#d55e00 bold underline"),
    (float("inf"), "8 bits or more", "#d55e00 bold reverse"),
)
NAMES = {" ": "space", "\n": "line break", "\t": "tab"}
KEYS = (
    "Tab accepts the grey text, the right arrow one character of it; the down arrow suggests another; "
    "Backspace deletes, Esc quits"
)
MOST_AHEAD = 40  # characters of the continuation; it ends with a line before
MOST_ALTERNATIVES, BAR = 6, 24
# how long is drawn before the screen shows it, and how often it is fitted to the size of the window
PIECE_SECONDS, LOOK_SECONDS = 1 / 30, 0.25
# The cursor, and the screen as it was: the codes of all terminals that rich takes for more than a dumb one
ENTER_SCREEN, LEAVE_SCREEN = b"\x1b[?1049h\x1b[?25l", b"\x1b[?25h\x1b[?1049l"


def write(draft: Draft, keys: Keyboard, console: Console) -> None:
    """Let the user go on with a draft, on a screen of its own, until a key ends that."""
    message = ""
    to_draw = Event()  # all of the screen, after the program was suspended

    def again() -> None:
        _write_codes(ENTER_SCREEN)
        to_draw.set()

    with (
        suspendable(lambda: _write_codes(LEAVE_SCREEN), again),
        Live(console=console, screen=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False)
        as live,
    ):  # fmt: skip
        while True:
            to_draw.clear()
            live.update(frame(draft, message, console), refresh=True)
            key = _next_key(draft, keys, console, to_draw)
            said = ""
            while key is not None:  # all that waits: what is pasted needs no picture of each character
                if key is Key.END:
                    return
                said = press(draft, key) or said
                message, key = said, keys.read(0.0)


def _next_key(draft: Draft, keys: Keyboard, console: Console, to_draw: Event) -> Key | str | None:
    """The next key; None as soon as there is something else to show."""
    size = console.size
    while console.size == size and not to_draw.is_set():
        if not _is_complete(draft):
            key = keys.read(0.0)
            if key is None:
                _draw(draft, PIECE_SECONDS)
            return key
        if (key := keys.read(LOOK_SECONDS)) is not None:
            return key
    return None


def press(draft: Draft, key: Key | str) -> str:
    """What a key does to a draft; returns what there is to say about it."""
    if key is Key.TAB:
        _draw(draft)
        draft.accept(len(grey(draft)))
    elif key is Key.RIGHT:
        _draw(draft)
        draft.accept(2 if draft.continuation.startswith("\r\n") else 1)
    elif key is Key.DOWN:
        draft.draw_another()
    elif key is Key.BACKSPACE:
        for _ in range(2 if [character for character, _ in draft.written[-2:]] == ["\r", "\n"] else 1):
            draft.erase()
    elif isinstance(key, str):
        try:
            for character in line_end(draft) if key == "\n" else key:
                draft.write(character)
        except MicrogptError as error:
            return str(error)
    return ""


def line_end(draft: Draft) -> str:
    """How lines end in the text that the model has learned, as far as its vocabulary tells it."""
    known = draft.vocabulary.characters
    if "\r" not in known:
        return "\n"
    return "\r\n" if "\n" in known else "\r"


def grey(draft: Draft) -> str:
    """The continuation as far as it is shown, and taken at once: up to the end of a line."""
    line, line_break, _ = draft.continuation.partition(line_end(draft))
    return (line + line_break)[:MOST_AHEAD]


def _is_complete(draft: Draft) -> bool:
    return line_end(draft) in draft.continuation or len(draft.continuation) >= MOST_AHEAD


def _draw(draft: Draft, seconds: float = float("inf")) -> None:
    """Draw the continuation as far as it is shown, or for so long."""
    end = time.monotonic() + seconds
    while not _is_complete(draft) and time.monotonic() < end:
        draft.draw()


def frame(draft: Draft, message: str, console: Console) -> Group:
    """What the screen shows of a draft: the end of its text above, and what there is to say of it below."""
    width, height = console.size
    n = max(1, min(MOST_ALTERNATIVES, height - 9))
    below = Text("\n").join(
        [Text(), *_alternatives(draft, n, console), Text(), _status(draft, message), *_help()]
    )
    lines = below.wrap(console, width)[: max(1, height - 1)]
    written = _text(draft, width * height).wrap(console, width)[-(height - len(lines)) :]
    return Group(*written, *lines)


def look(bits: float) -> str:
    """The style of a character of this surprise."""
    return next(style for most, _, style in SURPRISES if bits < most)


def _text(draft: Draft, n: int) -> Text:
    """The last characters of the text, for which a screen of n has room, and its continuation."""
    end = line_end(draft)
    text = Text(harmless(draft.prompt[-n:].replace(end, "\n")))
    written = draft.written[-n:]
    for i, (character, bits) in enumerate(written):
        of_two = character == "\r" and [after for after, _ in written[i + 1 : i + 2]] == ["\n"]
        if not of_two:
            text.append("\n" if character == end else harmless(character), look(bits))
    ahead = grey(draft).replace(end, " ") or " "
    text.append(harmless(ahead[0]), "reverse dim")  # where the cursor is
    return text.append(harmless(ahead[1:]), "dim")


def _alternatives(draft: Draft, n: int, console: Console) -> list[Text]:
    """A line for each of the n likeliest next characters."""
    block = "#" if console.options.ascii_only else "█"
    found = [(NAMES.get(character, harmless(character)), p) for character, p in draft.alternatives(n)]
    name_width = max(len(name) for name, _ in found)
    return [
        Text.assemble(f"{name:<{name_width}} {p:7.1%}  ", (block * round(p * BAR), "#56b4e9"))
        for name, p in found
    ]


def _status(draft: Draft, message: str) -> Text:
    written = draft.written
    if message:
        return Text(message, "bold")
    if not written:
        return Text(
            "Type something, or press Tab. Above: the likeliest next characters, and how likely they are"
        )
    last, bits = written[-1]
    mean = sum(bits for _, bits in written) / len(written)
    name = NAMES.get(last, harmless(last))
    return Text(f"{name}: {bits:.2f} bits; on average {mean:.2f} bits in {len(written):,} characters")


def _help() -> list[Text]:
    legend = Text("surprise: ")
    for _, words, style in SURPRISES:
        legend.append(words, style).append("   ")
    return [legend, Text(KEYS, "dim")]


def _write_codes(codes: bytes) -> None:
    """Written past rich, which may be in the middle of a write when a signal comes."""
    if os.name == "posix":
        with contextlib.suppress(OSError):
            os.write(2, codes)
