"""A run's own text: found where it is, and one sentence where it is not."""

import hashlib
from pathlib import Path

import pytest
from saved_examples import VOCABULARY, model_of, save
from sentences import error_of

from microgpt.checkpoint.saved import STATE_FILE
from microgpt.checkpoint.writing import save_model
from microgpt.errors import MicrogptError
from microgpt.use.own_text import beginning, own_text, state_of

TEXT = "ab ba!\n" * 4
NOTES = {"text_sha256": hashlib.sha256(TEXT.encode()).hexdigest()}


@pytest.fixture
def own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = Path("own.txt")
    path.write_text(TEXT)
    return path


def read(file, moved_to=None):
    return own_text(file, NOTES, VOCABULARY, need="it is needed", otherwise="do so", moved_to=moved_to)


def test_the_text_is_found_where_it_was_and_where_it_is_now(own):
    assert VOCABULARY.decode(read("own.txt").ids) == TEXT
    moved = own.rename("moved.txt")
    for file in ("own.txt", "-", "<text>"):
        text = read(file, moved)
        assert VOCABULARY.decode(text.ids) == TEXT
        assert text.path == moved
    assert beginning(text, text.ids) == "28 characters of moved.txt"
    assert beginning(text, text.ids[:7]) == "the first 7 characters of moved.txt"


def test_where_it_is_not_an_error_says_why(own):
    Path("other.txt").write_text(TEXT + "\n")
    for arguments, why in (
        (("-",), "it came from standard input"),
        (("<text>",), "it was in memory"),
        (("gone.txt",), "there is no file gone.txt here"),
        (("other.txt",), "other.txt has changed"),
        (("own.txt", Path("other.txt")), "other.txt is another text"),
        (("own.txt", Path("gone.txt")), "there is no file gone.txt here"),
    ):
        assert error_of(read, *arguments) == f"it is needed, but {why}; do so"


def test_only_a_state_says_what_a_run_was_trained_on(tmp_path):
    state, (param, _, _) = save(tmp_path / "run")
    for path in (tmp_path / "run", tmp_path / "run" / STATE_FILE):
        assert state_of(path, "--novelty").config == state.config
    save_model(tmp_path / "model", model_of(), param)
    with pytest.raises(MicrogptError, match=r"model does not say what .* which --novelty has to know: name"):
        state_of(tmp_path / "model", "--novelty")
