"""Where races are held."""

import pytest
from racing import TEXT


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The working directory, with the text of the race."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text(TEXT)
    return tmp_path
