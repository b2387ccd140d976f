"""What a text may do to a terminal: be printed, and nothing else."""

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from microgpt.terminal.harmless import harmless, harmless_pieces

BIDI_CONTROLS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


def test_a_terminal_gets_no_control_characters():
    assert harmless("plain\ttext é漢😀\n") == "plain\ttext é漢😀\n"
    assert harmless("\x1b[2Ja\x07\x7f\x9b\r") == r"\x1b[2Ja\x07\x7f\x9b\x0d"
    assert harmless("a\r\nb\rc\r\r\n") == "a\nb\\x0dc\\x0d\n"
    assert harmless("\u202eabc\u2069\u200f") == r"\u202eabc\u2069\u200f"
    for code in range(0x110000):
        character = chr(code)
        dangerous = (
            unicodedata.category(character) == "Cc" and character not in "\n\t"
        ) or unicodedata.bidirectional(character) in BIDI_CONTROLS
        if code in (0x61C, 0x200E, 0x200F):  # marks of direction, which have the class of what they stand for
            dangerous = True
        assert (harmless(character) != character) == dangerous, hex(code)


@given(st.lists(st.sampled_from(["\r", "\n", "a", "\x1b", "\r\n", ""])))
def test_pieces_for_a_terminal_may_be_cut_anywhere(pieces):
    assert "".join(harmless_pieces(pieces)) == harmless("".join(pieces))
