"""Copies in a generated text: which pieces they are, and where they stand in the text of the run."""

import dataclasses
import hashlib
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from saved_examples import VOCABULARY, state_of

from microgpt.errors import MicrogptError
from microgpt.text.vocabulary import Vocabulary
from microgpt.use.novelty import Copy, Learned, figures, learned, lines_of, novelty, sentences

TEXT = 'ab ba!\n"bà€ a\U0001f600b" ba ab\n'
letters = st.text("ab!", max_size=25)


def found(generated, text):
    return novelty(VOCABULARY.encode(generated), VOCABULARY.encode(text).astype(np.uint8))


def learned_from(text, weights=None):
    return Learned(VOCABULARY.encode(text).astype(np.uint8), VOCABULARY, "own.txt", weights)


@settings(deadline=None)
@given(letters, letters, st.integers(0, 5))
def test_copies_are_the_common_pieces_without_a_longer_one_around_them(generated, text, longer_than):
    n = len(generated)
    spans = [(b, e) for b in range(n) for e in range(b + longer_than + 1, n + 1) if generated[b:e] in text]
    outer = [(b, e) for b, e in spans if not any(c <= b and e <= f and (b, e) != (c, f) for c, f in spans)]
    result = found(generated, text)
    assert result.copies(longer_than) == [Copy(b, e, text.find(generated[b:e])) for b, e in outer]
    copied = [any(b <= i < e for b, e in outer) for i in range(n)]
    assert result.copied(longer_than).tolist() == copied
    assert result.share(longer_than) == pytest.approx(sum(copied) / max(n, 1))
    if longer_than == 0:
        length = max((e - b for b, e in outer), default=0)
        assert (result.longest.length if result.longest else 0) == length


def test_a_copy_is_longer_than_twenty_characters():
    text = "ab!ba !!b aab b!a !ba!ab aa"
    assert found("€" + text[:20] + "€", text).copies() == []
    result = found("€" + text[:21] + "€", text)
    assert result.copies() == [Copy(1, 22, 0)]
    assert result.share() == 21 / 23
    nothing = found("€€", "ab")
    assert (nothing.longest, nothing.share(), found("", "ab").share()) == (None, 0.0, 0.0)


def test_lines_are_those_of_an_editor():
    text = "a\n\nbb\na"
    assert lines_of(learned_from(text), list(range(len(text)))) == [1, 1, 2, 3, 3, 3, 4]
    alone = Vocabulary("ab")
    assert lines_of(Learned(alone.encode("abba"), alone, "own.txt", None), [0, 3]) == [1, 1]


def test_figures_and_sentences():
    text = "!\na b b a a b b ab ba!!"
    generated = f"€€{text[2:]}€€ba"
    result = found(generated, text)
    copy = {"begin": 2, "end": 23, "offset": 2, "line": 2}
    shown = figures(result, learned_from(text))
    assert json.loads(json.dumps(shown)) == shown
    assert shown == {
        "text": "own.txt",
        "text_characters": 23,
        "weights": None,
        "longer_than": 20,
        "share": 21 / 27,
        "longest": copy,
        "copies": [copy],
        "lengths": [0, 0, *range(1, 22), 0, 0, 1, 2],
    }
    assert sentences(result, generated, learned_from(text), "the text of seed 3") == [
        "novelty: 77.8% of the text of seed 3 is in copies of more than 20 characters from own.txt, which "
        "the run was trained on",
        "the longest copy has 21 characters, from line 2 (offset 2): 'a b b a a b b ab ba!!'",
    ]


def test_figures_and_sentences_of_short_copies_and_of_none():
    begun = learned_from("ab", weights="runs/first")
    shown = figures(found("€b", "ab"), begun)
    assert shown["longest"] == {"begin": 1, "end": 2, "offset": 1, "line": 1}
    assert (shown["copies"], shown["weights"]) == ([], "runs/first")
    assert sentences(found("€b", "ab"), "€b", begun)[1:] == [
        "the longest copy has 1 character, from line 1 (offset 1): 'b'",
        "the run began with the weights of runs/first; what those were trained on is not looked at",
    ]
    assert figures(found("€", "ab"), begun)["longest"] is None
    assert sentences(found("", "ab"), "", learned_from("ab")) == [
        "novelty: 0.0% of the text is in copies of more than 20 characters from own.txt, which the run was "
        "trained on"
    ]


def test_what_was_held_out_is_not_compared_with(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.txt").write_text(TEXT)
    notes = {"text_sha256": hashlib.sha256(TEXT.encode()).hexdigest()}
    for fraction, name in ((0.0, "23 characters of own.txt"), (0.25, "the first 17 characters of own.txt")):
        state = dataclasses.replace(state_of(file="own.txt", val_fraction=fraction), notes=notes)
        own = learned(state.config, state.notes, VOCABULARY, "so what")
        assert own.name == name
        assert VOCABULARY.decode(own.ids) == TEXT[: len(own.ids)]
    (tmp_path / "own.txt").unlink()
    with pytest.raises(MicrogptError, match=r"^--novelty needs the text that the run was trained on, but "):
        learned(state.config, state.notes, VOCABULARY, "so what")
