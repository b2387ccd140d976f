"""Texts that are not UTF-8, and what their error says."""

import shlex
import shutil
import subprocess

import pytest
from sentences import error_of

from microgpt.text import reading as text_module
from microgpt.text.prompt import read_prompt
from microgpt.text.reading import read_text


@pytest.mark.parametrize("block_size", [1, 2, 3, 5, 1 << 18])
@pytest.mark.parametrize(
    ("content", "offset", "byte"),
    [
        (b"\xffa", 0, "FF"),
        (b"plain \xe9 latin", 6, "E9"),
        ("漢字é".encode() + b"\x80", 8, "80"),
        (b"cut short \xf0\x9f\x98", 10, "F0"),
        (b"\xef\xbb\xbfabc\xc3(", 6, "C3"),
        (b"a surrogate \xed\xa0\x80", 12, "ED"),
    ],
)
def test_bytes_that_are_not_utf8_are_located(write, monkeypatch, block_size, content, offset, byte):
    monkeypatch.setattr(text_module, "BLOCK_SIZE", block_size)
    assert f"is not UTF-8: byte 0x{byte} at offset {offset} " in error_of(read_text, write(content))


ENCODINGS = ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"]
CYRILLIC = "Все счастливые семьи похожи друг на друга.\n" * 20


@pytest.mark.parametrize("block_size", [1, 2, 7, 1 << 18])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize(
    "content", ["hi", "To be, or not to be.\r\n" * 20, CYRILLIC, "caf\xe9 na\xefve. " * 20], ids=ascii
)
def test_a_text_in_another_encoding_is_told_how_to_convert_it(
    write, monkeypatch, block_size, mark, encoding, content
):
    monkeypatch.setattr(text_module, "BLOCK_SIZE", block_size)
    path = write((mark + content).encode(encoding))
    command = f"`iconv -f {encoding.upper().replace('-LE', 'LE').replace('-BE', 'BE')} -t UTF-8`"
    for function in (read_text, read_prompt):
        message = error_of(function, path)
        assert "looks like" in message
        assert command in message
    if shutil.which("iconv"):
        converted = subprocess.run([*shlex.split(command.strip("`")), path], capture_output=True, check=True)
        text = read_text(write(converted.stdout))
        assert text.vocabulary.decode(text.ids) == content


def test_a_stray_nul_is_a_character_and_many_are_not(write):
    for content in (b"\0", b"a\0b", b"one\0" + b"x" * 60 + b"\0"):
        text = read_text(write(content))
        assert text.vocabulary.decode(text.ids).encode() == content
    message = error_of(read_text, write(b"one\0three\0four\0" * 9))
    assert "27 of its first 135 characters are NUL; `tr -d '\\0'`" in message
    assert "are NUL" in error_of(read_text, write(bytes(1000)))
    # behind plain text, in a block of its own, and between characters that are not ASCII
    assert "are NUL" in error_of(read_text, write(b"x" * (1 << 18) + bytes(1 << 16)))
    assert "are NUL" in error_of(read_text, write("é\0".encode() * 1000))
