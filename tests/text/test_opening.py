"""Files that cannot be opened or read."""

import os
from pathlib import Path

import pytest
from sentences import error_of

from microgpt.text.reading import read_text


def test_files_that_cannot_be_read(tmp_path, monkeypatch):
    assert "there is no file" in error_of(read_text, tmp_path / "missing.txt")
    assert "is a directory" in error_of(read_text, tmp_path)
    # what cannot be a file name, or cannot be printed as it is
    assert r"a\x00b is not a file name" in error_of(read_text, Path("a\0b"))
    assert r"\ud800 is not a file name" in error_of(read_text, Path("\ud800"))
    assert r"there is no file caf\udce9\x1b" in error_of(read_text, Path("caf\udce9\x1b"))
    assert len(error_of(read_text, Path("long" * 1000))) < 400
    (tmp_path / "file").write_text("x")
    assert "cannot be read" in error_of(read_text, tmp_path / "file" / "below")

    def refuse(*args):
        raise PermissionError(13, "Permission denied")

    # root may read anything, so the refusal is acted
    monkeypatch.setattr(Path, "open", refuse)
    assert "permission denied" in error_of(read_text, tmp_path / "file")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_refused_without_waiting_for_it(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert "is a pipe or a device" in error_of(read_text, tmp_path / "pipe")
