"""The screen beside which one types, and what the keys do. Real terminals are in test_cli_process.py."""

import io

import pytest
from drafts import draft_of
from rich.console import Console

from microgpt.interactive import MOST_AHEAD, frame, grey, look, press, write
from microgpt.terminal.keyboard import Key
from microgpt.text.vocabulary import Vocabulary
from microgpt.use.generate import Sampling


def console_of(width=80, height=24, colours=None):
    return Console(
        file=io.StringIO(), width=width, height=height, force_terminal=True, color_system=colours, emoji=False
    )


def shown(draft, message="", width=80, height=24, colours=None):
    console = console_of(width, height, colours)
    console.print(frame(draft, message, console))
    return console.file.getvalue()


def plain(draft, message="", **size):
    return [line.rstrip() for line in shown(draft, message, **size).splitlines()]


class Keys:
    """A keyboard on which these keys wait one after another, with pauses in which nothing is pressed."""

    def __init__(self, *keys):
        self.keys = list(keys)

    def read(self, seconds):
        return self.keys.pop(0)


def test_the_screen_has_the_text_the_continuation_and_the_alternatives():
    draft = draft_of("a bad ")
    for _ in range(4):
        draft.draw()
    for character in "big":
        press(draft, character)
    press(draft, Key.RIGHT)
    lines = plain(draft)
    assert lines[0].startswith(draft.text.split("\n")[0])
    for name, p in draft.alternatives(6):
        words = {" ": "space", "\n": "line break"}.get(name, name)
        assert any(line.startswith(f"{words} ") and f" {p:.1%} " in f"{line} " for line in lines)
    last, bits = draft.written[-1]
    mean = sum(bits for _, bits in draft.written) / 4
    name = {" ": "space", "\n": "line break"}.get(last, last)
    assert f"{name}: {bits:.2f} bits; on average {mean:.2f} bits in 4 characters" in lines
    assert "the model does not know 'x'" in "\n".join(plain(draft, "the model does not know 'x'"))


def test_at_first_it_says_what_to_do():
    lines = " ".join(plain(draft_of("a bad ")))
    assert "Type something, or press Tab. " in lines
    assert "Backspace deletes, Esc quits" in lines


def test_the_prompt_has_no_colour_and_what_surprises_has_one():
    draft = draft_of("a bad ")
    assert "below 1 bit" in shown(draft, colours="truecolor")
    unlikely = draft.alternatives(100)[-1][0]
    press(draft, unlikely)
    style = look(draft.written[-1][1])
    assert style != look(0.0)
    colour = "".join(f";{int(style[i : i + 2], 16)}" for i in (1, 3, 5))
    first = shown(draft, colours="truecolor").splitlines()[0]
    assert first.startswith("a bad \x1b[")
    assert f"38;2{colour}m{unlikely}" in first


def test_bits_have_looks_that_those_who_see_no_colours_can_tell_apart():
    looks = [look(bits) for bits in (0.99, 1.0, 2.0, 4.0, 8.0)]
    assert len({look.split("#")[-1] for look in looks}) == 5
    assert look(1e9) == looks[-1]


@pytest.mark.parametrize(("width", "height"), [(80, 24), (30, 16), (20, 8), (12, 4), (5, 2)])
def test_whatever_the_size_the_end_of_the_text_is_on_the_screen(width, height):
    draft = draft_of("fed a big dad\n" * 9)
    for character in "kkkkkkkk\njjjjj":
        press(draft, character)
    lines = plain(draft, width=width, height=height)
    assert len(lines) <= height
    assert "jj" in "\n".join(lines)


def test_keys():
    draft = draft_of("a ", Sampling(temperature=0.9, seed=1))
    press(draft, Key.TAB)
    assert "\n" in draft.text or len(draft.written) == MOST_AHEAD
    text = draft.text
    press(draft, Key.RIGHT)
    assert draft.text[:-1] == text
    press(draft, Key.BACKSPACE)
    assert draft.text == text
    assert press(draft, "é") == "the model does not know 'é' (U+00E9)"
    assert press(draft, Key.UP) == ""
    assert draft.text == text
    press(draft, Key.RIGHT)
    first = draft.continuation
    press(draft, Key.DOWN)
    press(draft, Key.RIGHT)
    assert draft.continuation != first


def test_the_continuation_is_taken_to_the_end_of_a_line_at_most():
    draft = draft_of("a ")
    while "\n" not in draft.continuation[:-1]:
        draft.draw()
    assert len(draft.continuation) < MOST_AHEAD
    assert grey(draft) == draft.continuation.partition("\n")[0] + "\n"


@pytest.mark.parametrize("end", ["\r\n", "\r"])
def test_enter_ends_a_line_as_the_text_of_the_model_does(end):
    draft = draft_of(f"a{end}", vocabulary=Vocabulary("".join(sorted({*end, *"ab"}))))
    for key in "b\na":
        assert press(draft, key) == ""
    assert draft.text == f"a{end}b{end}a"
    assert plain(draft)[:2] == ["a", "b"]
    press(draft, Key.BACKSPACE)
    press(draft, Key.BACKSPACE)
    assert draft.text == f"a{end}b"
    press(draft, Key.TAB)
    assert draft.text.endswith(end) or len(draft.written) == 1 + MOST_AHEAD


def test_a_session_ends_with_the_screen_as_it_was():
    draft, console = draft_of("a "), console_of(colours="truecolor")
    write(draft, Keys("é", "b", None, Key.RIGHT, "c", Key.BACKSPACE, None, Key.END), console)
    assert draft.text[:3] == "a b"
    assert len(draft.written) == 2
    seen = console.file.getvalue()
    assert seen.startswith("\x1b[?1049h")
    assert seen.index("the model does not know 'é'") < seen.rindex("\x1b[?25h") < seen.rindex("\x1b[?1049l")


def test_what_the_model_knows_cannot_drive_the_terminal(monkeypatch):
    draft = draft_of("a ")
    monkeypatch.setattr(draft, "prompt", "a \x1b[2J")
    monkeypatch.setattr(draft, "alternatives", lambda n: [("\x1b", 0.5), ("\u202e", 0.25)])
    lines = plain(draft)
    assert lines[0].startswith(r"a \x1b[2J")
    assert any(line.startswith(r"\x1b") for line in lines[1:])
    assert "\u202e" not in "".join(lines)
