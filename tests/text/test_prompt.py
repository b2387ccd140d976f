"""Prompts from files and from standard input."""

import io
from pathlib import Path

import pytest
from sentences import error_of

from microgpt.text.opening import STANDARD_INPUT
from microgpt.text.prompt import read_prompt, read_prompt_from


@pytest.mark.parametrize(
    ("content", "prompt"),
    [
        (b"ROMEO:", "ROMEO:"),
        (b"ROMEO:\n", "ROMEO:"),
        (b"ROMEO:\r\n", "ROMEO:"),
        (b"ROMEO:\n\n", "ROMEO:\n"),
        (b"ROMEO:\r\n\r\n", "ROMEO:\r\n"),
        (b"a\r\nb\rc\r", "a\r\nb\rc\r"),
        (b"\xef\xbb\xbf\xef\xbb\xbf\xc3\xa9\n", "\ufeffé"),
        (b"\n", ""),
        (b"", ""),
    ],
)
def test_a_prompt_is_the_file_without_its_last_line_break(write, pipe, content, prompt):
    assert read_prompt(write(content)) == prompt
    assert read_prompt_from(io.BytesIO(content)) == prompt
    pipe(content)
    assert read_prompt(STANDARD_INPUT) == prompt


def test_prompts_that_cannot_be_read(write, tmp_path):
    for content in (b"caf\xe9", b"\xef\xbb\xbf\xe9"):
        message = f"is not UTF-8: byte 0xE9 at offset {len(content) - 1} "
        assert message in error_of(read_prompt, write(content))
    assert "there is no file" in error_of(read_prompt, tmp_path / "missing")
    assert "Is a directory" in error_of(read_prompt, tmp_path)
    assert "is not a file name" in error_of(read_prompt, Path("a\0b"))
    assert "too long for a prompt" in error_of(read_prompt, Path("/dev/zero"))
