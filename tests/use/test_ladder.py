"""The ladder: which text is judged, by models of which other, and what each rung reaches."""

import bz2
import dataclasses
import gzip
import hashlib
import lzma
import math
import sys

import numpy as np
import pytest
from saved_examples import VOCABULARY, arrays_of, state_of

from microgpt.checkpoint.saved import MODEL_FILE, STATE_FILE
from microgpt.checkpoint.writing import save_state
from microgpt.errors import MicrogptError
from microgpt.text.ngrams import fit
from microgpt.text.reading import encode_file
from microgpt.text.vocabulary import Vocabulary
from microgpt.use import ladder
from microgpt.use.ladder import Parts, compressed_size, ngram_name, parts, rungs

TEXT = 'ab ba!\n"bà€ a\U0001f600b" ba ab\n' * 40
COMPRESS = {"gzip": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}


def silent(what, done):
    assert what
    assert 0 <= done <= 1


@pytest.fixture
def trained(tmp_path, monkeypatch):
    """Makes a run on TEXT, of which it held a fraction out."""
    monkeypatch.chdir(tmp_path)

    def make(val_fraction=0.25, content=TEXT, file="own.txt"):
        (tmp_path / "own.txt").write_text(content)
        sha256 = hashlib.sha256(content.encode()).hexdigest()
        state = state_of(val_fraction=val_fraction, file=file)
        state = dataclasses.replace(state, notes={"text_sha256": sha256})
        save_state(tmp_path / "run", state, *arrays_of(state))
        return tmp_path / "run"

    return make


@pytest.fixture
def other(tmp_path):
    path = tmp_path / "other.txt"
    path.write_text("abba\n" * 7)
    return path


def encoded(path):
    return encode_file(path, VOCABULARY, skip_unknown=True)


# --- which text


def test_of_its_own_text_the_part_is_judged_that_a_run_held_out(trained, tmp_path):
    run = trained(0.25)
    (tmp_path / "own.txt").rename(tmp_path / "elsewhere.txt")
    for path in (run, run / STATE_FILE):
        found = parts(path, encoded(tmp_path / "elsewhere.txt"))
        assert VOCABULARY.decode(found.learned) == TEXT[: len(TEXT) * 3 // 4]
        assert VOCABULARY.decode(found.judged) == TEXT[len(TEXT) * 3 // 4 :]
        assert found.before is found.learned
        assert not found.seen
        assert found.name.startswith(f"the last {len(TEXT) // 4} characters of ")
        assert found.name.endswith("elsewhere.txt, which the run held out")
        assert found.of_learned.startswith(f"the first {len(TEXT) * 3 // 4} characters of ")


def test_of_a_text_of_which_nothing_was_held_out_the_last_tenth_is_judged(trained, tmp_path):
    found = parts(trained(0.0), encoded(tmp_path / "own.txt"))
    assert VOCABULARY.decode(found.judged) == TEXT[len(TEXT) * 9 // 10 :]
    assert len(found.learned) + len(found.judged) == len(TEXT)
    assert found.seen
    assert found.name.endswith("own.txt, which the run trained on as well")


def test_of_another_text_all_is_judged_by_what_the_run_has_trained_on(trained, other):
    found = parts(trained(0.25), encoded(other))
    assert VOCABULARY.decode(found.judged) == other.read_text()
    assert VOCABULARY.decode(found.learned) == TEXT[: len(TEXT) * 3 // 4]
    assert found.before is None
    assert not found.seen
    assert found.of_learned == f"the first {len(TEXT) * 3 // 4} characters of own.txt"
    assert parts(trained(0.0), encoded(other)).of_learned == f"{len(TEXT):,} characters of own.txt"


def test_another_text_needs_the_text_of_the_run(trained, other, tmp_path):
    def reason(run):
        with pytest.raises(MicrogptError) as error:
            parts(run, encoded(other))
        begin, end = "from, but ", "; without --ladder, eval gives the loss alone"
        assert str(error.value).endswith(end)
        return str(error.value).split(begin)[1].removesuffix(end)

    assert reason(trained(file="-")) == "it came from standard input"
    assert reason(trained(file="<text>")) == "it was in memory"
    run = trained()
    (tmp_path / "own.txt").write_text(TEXT + "X")
    assert reason(run) == "own.txt has changed"
    (tmp_path / "own.txt").unlink()
    assert reason(run) == "there is no file own.txt here"


def test_weights_alone_do_not_say_what_was_held_out(trained, other):
    with pytest.raises(MicrogptError, match=r"model\.safetensors does not say .* name the directory"):
        parts(trained() / MODEL_FILE, encoded(other))


def test_a_text_can_be_too_short(trained, other, tmp_path):
    run = trained(0.0, "ab ab ab ab ")
    with pytest.raises(MicrogptError, match=r"own\.txt has 12 characters, and the run trained on all"):
        parts(run, encoded(tmp_path / "own.txt"))
    other.write_text("a")
    with pytest.raises(MicrogptError, match="a text needs at least 2 characters to predict one, not 1"):
        parts(run, encoded(other))


# --- the rungs


def test_the_rungs_are_those_of_the_models_and_of_the_compressors():
    ids = VOCABULARY.encode(TEXT).astype(np.uint8)
    learned, judged = ids[:700], ids[700:]
    before_and_after = [text.encode() for text in (TEXT[:700], TEXT[700:])]
    expected = {"uniform": math.log(10)}
    for order in range(1, 7):
        model = fit(learned, 10, order)
        losses = model.losses(model.nodes(judged, learned), judged)
        expected[ngram_name(order)] = losses[1:].mean()
    for name, compress in COMPRESS.items():
        alone, one, both = (len(compress(text)) for text in (*before_and_after[::-1], TEXT.encode()))
        for rung, n_bytes in ((f"{name} alone", alone), (f"{name} after the training text", both - one)):
            expected[rung] = 8 * n_bytes * math.log(2) / len(judged)
    found = rungs(Parts(learned, judged, learned, False, "", ""), VOCABULARY, silent)
    assert {rung.name: rung.score.nats for rung in found} == pytest.approx(expected)
    names = [rung.name for rung in found]
    assert names[:7] == ["uniform", "6-gram", "5-gram", "4-gram", "trigram", "bigram", "unigram"]
    assert {rung.score.characters for rung in found[:7]} == {len(judged) - 1}


def test_a_large_vocabulary_has_fewer_orders():
    vocabulary = Vocabulary("".join(map(chr, range(0x4E00, 0x4E00 + 20_000))))
    ids = np.random.default_rng(0).integers(0, 20_000, 3000, np.uint16)
    names = [rung.name for rung in rungs(Parts(ids, ids[:50], None, False, "", ""), vocabulary, silent)]
    assert names[:5] == ["uniform", "4-gram", "trigram", "bigram", "unigram"]


def test_one_character_repeated_is_predicted_for_nothing():
    ids = np.zeros(40, np.uint8)
    found = rungs(Parts(ids, ids, None, False, "", ""), Vocabulary("a"), silent)
    assert {repr(rung.score.nats) for rung in found[:7]} == {"0.0"}


@pytest.mark.parametrize("name", COMPRESS)
def test_a_text_is_compressed_as_by_the_standard_library(name, monkeypatch):
    texts = [VOCABULARY.encode(text) for text in (TEXT, TEXT[5:])]
    for block in (1 << 17, 100):
        monkeypatch.setattr("microgpt.arrays.BLOCK", block)
        assert compressed_size(name, VOCABULARY, texts, silent) == len(
            COMPRESS[name]((TEXT + TEXT[5:]).encode())
        )


@pytest.mark.parametrize(("name", "module"), [("gzip", "zlib"), ("bz2", "bz2"), ("xz", "lzma")])
def test_a_compressor_that_this_python_lacks_is_one_sentence(name, module, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MicrogptError, match=f"^--ladder needs {name}, which this Python was built without"):
        ladder.new_compressor(name)
