"""Underlined texts: which characters are, and that none drives the terminal."""

from microgpt.terminal.underlined import underlined


def runs(text, marks):
    """The shown text, and the underlined parts of it."""
    shown = underlined(text, [mark == "^" for mark in marks])
    assert {span.style for span in shown.spans} <= {"underline"}
    return shown.plain, [shown.plain[span.start : span.end] for span in shown.spans]


def test_the_marked_characters_are_underlined():
    assert runs("to be or not", " ^^^    ^^^^") == ("to be or not", ["o b", " not"])
    assert runs("abc", "   ") == ("abc", [])
    assert runs("", "") == ("", [])


def test_control_codes_are_shown_and_line_breaks_stay_whole():
    assert runs("a\x1b[2Jb", " ^^   ") == ("a\\x1b[2Jb", ["\\x1b["])
    assert runs("[b]a[/b]\n", "^^^^^^^^^") == ("[b]a[/b]\n", ["[b]a[/b]\n"])
    assert runs("a\r\nb\r", "^^ ^ ") == ("a\nb\\x0d", ["a", "b"])
