"""Which text is looked at where nobody names one."""

import hashlib
import re
from pathlib import Path

import pytest

from microgpt.config import TrainConfig
from microgpt.errors import MicrogptError
from microgpt.text.vocabulary import Vocabulary
from microgpt.xray.held_out import held_out

VOCABULARY = Vocabulary("\nab")
TEXT = "ab\nb" * 10


@pytest.fixture
def run(tmp_path, monkeypatch):
    """The notes of a run on a text, in whose folder the program runs."""
    monkeypatch.chdir(tmp_path)
    Path("my.txt").write_text(TEXT)
    return {"text_sha256": hashlib.sha256(TEXT.encode()).hexdigest()}


def test_it_is_what_the_run_held_out(run):
    ids = held_out(TrainConfig("my.txt", val_fraction=0.2), run, VOCABULARY)
    assert VOCABULARY.decode(ids) == TEXT[-8:]


def test_why_there_is_none_is_said_in_one_sentence(run):
    def reason(config):
        with pytest.raises(MicrogptError) as error:
            held_out(config, run, VOCABULARY)
        assert re.search("[:;] name the text to look at", str(error.value))
        return str(error.value)

    assert reason(None).startswith("this model does not say which text it has not seen in training")
    assert reason(TrainConfig("my.txt")).startswith("the run held nothing out, so that there is no text that")
    Path("my.txt").unlink()
    gone = reason(TrainConfig("my.txt", val_fraction=0.2))
    assert "what the run held out of its text, but there is no file my.txt here" in gone
