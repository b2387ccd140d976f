"""Keys from what terminals send for them. That a terminal is restored is seen in test_cli_process.py."""

import os
import sys
from types import SimpleNamespace

import pytest

from microgpt.terminal.keyboard import Key, UnixKeyboard, WindowsKeyboard, keyboard, parsed


@pytest.mark.parametrize(
    ("sent", "keys"),
    [
        ("aé😀 ", ["a", "é", "😀", " "]),
        ("\r\n\t", ["\n", "\n", Key.TAB]),
        ("\x7f\b", [Key.BACKSPACE] * 2),
        ("\x03\x04\x1b", [Key.END] * 3),
        ("\x1b[A\x1b[B\x1bOC\x1b[1;5D", [Key.UP, Key.DOWN, Key.RIGHT, Key.LEFT]),
        (
            "a\x1b[3~b\x1b[200~c",
            ["a", "b", "c"],
        ),  # keys without a meaning: Delete, and a terminal's own signs
        ("\x1bxa", ["a"]),  # Alt with x
        ("\x1b\x1b[A", [Key.END, Key.UP]),
        ("\x00\x1a\x9bq", ["q"]),
    ],
)
def test_keys_and_characters(sent, keys):
    assert list(parsed(sent)) == keys


def all_keys(board, n):
    return [board.read(1.0) for _ in range(n)]


@pytest.mark.skipif(os.name != "posix", reason="select knows pipes on Unix only")
def test_what_comes_in_pieces_is_one_key():
    read, write = os.pipe()
    board = UnixKeyboard(read)
    assert board.read(0.0) is None
    os.write(write, "é😀".encode())
    assert all_keys(board, 2) == ["é", "😀"]
    os.write(write, "é".encode()[:1])
    assert board.read(0.0) is None
    os.write(write, "é".encode()[1:] + b"x\x1b[C")
    assert all_keys(board, 3) == ["é", "x", Key.RIGHT]
    os.write(write, b"\x1b")
    assert board.read(1.0) is Key.END  # nothing has followed
    os.write(write, b"\xffa")
    assert all_keys(board, 2) == ["\ufffd", "a"]
    os.close(write)
    assert all_keys(board, 2) == [Key.END] * 2  # a terminal that is gone
    os.close(read)


@pytest.mark.parametrize(
    ("sent", "keys"),
    [
        ("aé\r\t\b\x03", ["a", "é", "\n", Key.TAB, Key.BACKSPACE, Key.END]),
        ("\xe0H\x00P\xe0M\xe0Kx", [Key.UP, Key.DOWN, Key.RIGHT, Key.LEFT, "x"]),
        ("\xe0", ["à"]),
        ("\xe0S", [None]),
        ("\ud83d\ude00!", ["😀", "!"]),
    ],
)
def test_keys_of_a_windows_console(monkeypatch, sent, keys):
    left = list(sent)
    console = SimpleNamespace(kbhit=lambda: bool(left), getwch=lambda: left.pop(0))
    monkeypatch.setitem(sys.modules, "msvcrt", console)
    monkeypatch.setattr("microgpt.terminal.keyboard.os.name", "nt")
    with keyboard() as board:
        assert isinstance(board, WindowsKeyboard)
        assert all_keys(board, len(keys)) == keys
        assert board.read(0.0) is None
