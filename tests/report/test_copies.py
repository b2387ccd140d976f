"""Copies in the samples of a run: those that `generate --novelty` would find in each of them alone."""

import pytest
from reporters import Silent

from microgpt.checkpoint.saved import load_state
from microgpt.config import TrainConfig
from microgpt.report.copies import SHOWN, copies
from microgpt.training.train import train
from microgpt.use.novelty import figures, learned, novelty

TEXT = "the cat sat on the mat; a dog ate the hat.\n" * 12
# the second goes on where the first ends, as if both were one copy
SAMPLES = [
    "a mat; dog the cat sat on",
    " the mat; a dog ate the hat.\n",
    "tttt",
    "the cat sat on the mat; amat",
]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    directory = tmp_path_factory.mktemp("copies")
    (directory / "text.txt").write_text(TEXT)
    config = TrainConfig(
        file=str(directory / "text.txt"), out=str(directory / "run"), steps=2, seq_len=8, d_model=16,
        n_layers=1, backend="reference",
    )  # fmt: skip
    train(config, Silent())
    return directory / "run"


def test_each_sample_has_its_own_copies(run):
    state = load_state(run)
    text = learned(state.config, state.notes, state.vocabulary, "")
    found = copies(run, SAMPLES)
    for sample, each in zip(SAMPLES, found, strict=True):
        alone = figures(novelty(state.vocabulary.encode(sample), text.ids), text)
        assert {name: each[name] for name in SHOWN if name != "longest"} == {
            name: alone[name] for name in SHOWN if name != "longest"
        }
        place, length = each["longest"]["offset"], each["longest"]["end"] - each["longest"]["begin"]
        assert length == alone["longest"]["end"] - alone["longest"]["begin"]
        assert TEXT[place : place + length] == sample[each["longest"]["begin"] : each["longest"]["end"]]
    assert [bool(each["spans"]) for each in found] == [False, True, False, True]
    assert copies(run, []) == []


def test_where_the_text_is_not_there_nothing_is_known(run, tmp_path):
    assert copies(tmp_path, SAMPLES[:1]) == [None]
    text = run.parent / "text.txt"
    text.write_text(TEXT + "more")
    try:
        assert copies(run, SAMPLES) == [None] * len(SAMPLES)
    finally:
        text.write_text(TEXT)
