"""A text from standard input, which can be read only once."""

import os
from pathlib import Path

import pytest
from sentences import error_of

from microgpt.errors import MicrogptError
from microgpt.machine.budget import Budget
from microgpt.text.opening import STANDARD_INPUT, text_name
from microgpt.text.prompt import read_prompt
from microgpt.text.reading import encode_file, read_text
from microgpt.text.vocabulary import Vocabulary


@pytest.mark.parametrize("content", ["To be,\r\n", "漢字é\n" * 100_000, "x"])
def test_a_text_from_standard_input(write, pipe, content):
    expected = read_text(write(content))
    pipe(content.encode())
    text = read_text(STANDARD_INPUT, budget := Budget(None))
    assert text.ids.tolist() == expected.ids.tolist()
    assert (text.vocabulary, text.sha256, text.path) == (expected.vocabulary, expected.sha256, Path("-"))
    assert budget.held == expected.ids.nbytes
    assert text_name(text.path) == "standard input"


def test_standard_input_with_unknown_characters(pipe):
    pipe("abcéa".encode())
    text = encode_file(STANDARD_INPUT, Vocabulary("abc"), skip_unknown=True)
    assert text.ids.tolist() == [0, 1, 2, 0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "standard input is empty"),
        (b"abc\xff", "standard input is not UTF-8: byte 0xFF at offset 3"),
        (b"a\0b\0c\0", "standard input looks like UTF-16LE"),
        (b"a" * 10_000_000, r"standard input has more than 3\.8 MiB"),
    ],
)
def test_a_standard_input_that_is_no_text(pipe, content, message):
    pipe(content)
    with pytest.raises(MicrogptError, match=message):
        read_text(STANDARD_INPUT, Budget(1_000_000))


def test_a_standard_input_that_is_not_there(monkeypatch):
    monkeypatch.setattr("sys.stdin", None)
    for function in (read_text, read_prompt):
        assert "there is no standard input" in error_of(function, STANDARD_INPUT)
    pty = pytest.importorskip("pty", reason="needs a Unix terminal")
    keyboard, terminal = pty.openpty()
    with open(keyboard), open(terminal) as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        assert "is the keyboard" in error_of(read_text, STANDARD_INPUT)
    with open("/dev/null") as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        assert "standard input is empty" in error_of(read_text, STANDARD_INPUT)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full here")
def test_a_standard_input_that_cannot_be_kept(monkeypatch, pipe):
    pipe(b"abc")
    with open("/dev/full", "r+b", buffering=0) as full:
        monkeypatch.setattr("tempfile.TemporaryFile", lambda: full)
        assert "kept in a temporary file: No space left" in error_of(read_text, STANDARD_INPUT)


def test_a_standard_input_that_does_not_wait(monkeypatch):
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    with open(reading) as stdin, open(writing, "wb"):
        monkeypatch.setattr("sys.stdin", stdin)
        for function in (read_text, read_prompt):
            assert "standard input does not wait" in error_of(function, STANDARD_INPUT)
