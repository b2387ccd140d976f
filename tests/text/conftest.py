"""Texts in files and on standard input."""

import contextlib
import os
import threading

import pytest


@pytest.fixture
def write(tmp_path):
    def write_file(content):
        path = tmp_path / "text.txt"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write_file


@pytest.fixture
def pipe(monkeypatch):
    """Sends bytes to standard input through a pipe, as a shell does."""
    with contextlib.ExitStack() as opened:

        def send(content):
            reading, writing = os.pipe()

            def write():
                with contextlib.suppress(BrokenPipeError), open(writing, "wb") as file:
                    file.write(content)

            thread = threading.Thread(target=write)
            thread.start()
            opened.callback(thread.join)
            monkeypatch.setattr("sys.stdin", opened.enter_context(open(reading, encoding="utf-8")))

        yield send
