"""Where heads look, against plain loops over queries and keys, and where the answer is known."""

import math
import tracemalloc

import numpy as np
import pytest
from heads_by_hand import KINDS, VOCABULARY, copies_the_previous_character, random_model, text_of

from microgpt.xray import patterns as module
from microgpt.xray.patterns import patterns

T = 7


def by_hand(attention, windows):
    """The scores of one head: attention [w][t, s], windows of characters."""
    scores = {
        name: [] for name in (*range(1, 9), "first", "same", "newline", "word_start", "entropy", "reach")
    }
    for weights, characters in zip(attention, windows, strict=True):
        for t, own in enumerate(characters):
            row = weights[t, : t + 1]
            chosen = {k: [t - k] for k in range(1, 9) if t >= k}
            chosen["first"] = [0] if t else []
            chosen["same"] = [s for s in range(t) if characters[s] == own]
            chosen["newline"] = [s for s in range(1, t + 1) if characters[s - 1] == "\n"]
            chosen["word_start"] = [
                s for s in range(1, t + 1) if characters[s].isalnum() and not characters[s - 1].isalnum()
            ]
            for name, keys in chosen.items():
                if keys:
                    scores[name].append(sum(row[s] for s in keys))
            scores["entropy"].append(-sum(a * math.log(a) for a in row if a > 0))
            scores["reach"].append(sum(a * (t - s) for s, a in enumerate(row)))
    return {name: np.mean(found) if found else math.nan for name, found in scores.items()}


def named(found, h):
    return dict(zip(range(1, 9), found.offsets[h], strict=True)) | {
        name: getattr(found, name)[h]
        for name in ("first", "same", "newline", "word_start", "entropy", "reach")
    }


@pytest.mark.parametrize("numbers", [1, 1 << 17])
@pytest.mark.parametrize("kind", KINDS)
def test_scores_are_those_of_loops_over_queries_and_keys(kind, numbers, monkeypatch):
    monkeypatch.setattr(module, "BLOCK", numbers)  # window by window, or all at once
    model, ids = random_model(**KINDS[kind]), text_of(4 * T)  # the last window is not full
    reading = model.read(ids)
    text = VOCABULARY.decode(ids[:-1])
    windows = [text[begin : begin + T] for begin in range(0, len(text), T)]
    found, uniform = patterns(reading, model.heads, VOCABULARY)
    for h, head in enumerate(model.heads):
        expected = by_hand(reading.attention(head, slice(0, 4)), windows)
        assert named(found, h) == pytest.approx(expected, nan_ok=True)
    even = np.tril(np.ones((T, T))) / np.arange(1, T + 1)[:, None]
    assert named(uniform, 0) == pytest.approx(by_hand([even] * 4, windows), nan_ok=True)
    assert np.isnan(found.offsets[:, 6:]).all(), "no character of a window of 7 has one 7 before it"


def test_a_head_that_looks_at_the_previous_character_and_one_that_looks_nowhere():
    model = copies_the_previous_character()
    ids = text_of(61)
    found, uniform = patterns(model.read(ids), model.heads, VOCABULARY)
    assert found.offsets[0, 0] == pytest.approx(1)
    assert found.offsets[0, 1:5] == pytest.approx(0, abs=1e-9)
    assert found.entropy[0] == pytest.approx(0, abs=1e-9)
    assert found.reach[0] == pytest.approx(5 / 6)
    assert named(found, 1) == pytest.approx(named(uniform, 0), nan_ok=True)
    assert uniform.entropy[0] == pytest.approx(np.log(np.arange(1, 7)).mean())


def test_of_the_pairs_no_table_in_float64_is_kept():
    model = random_model(seq_len=256, heads="6")
    reading = model.read(text_of(257))
    tracemalloc.start()
    patterns(reading, model.heads, VOCABULARY)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 12 * 256**2 * 8
