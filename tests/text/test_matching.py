"""Matching statistics against a search for every piece."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microgpt.errors import MicrogptError
from microgpt.text import matching
from microgpt.text.matching import matching_statistics


def searched(pattern, text):
    """The same by the definition, of two `bytes`."""
    lengths, places = [], []
    for end in range(1, len(pattern) + 1):
        length = max(n for n in range(end + 1) if pattern[end - n : end] in text)
        lengths.append(length)
        places.append(text.find(pattern[end - length : end]) if length else -1)
    return lengths, places


def matched(pattern, text):
    found = matching_statistics(np.frombuffer(pattern, np.uint8), np.frombuffer(text, np.uint8))
    return found.lengths.tolist(), found.places.tolist()


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of 8 to 32 characters, and lanes of 4 to 8."""
    for name, size in (("FIRST_BLOCK", 8), ("BLOCK", 32), ("SHORTEST_LANE", 4), ("LONGEST_LANE", 8)):
        monkeypatch.setattr(matching, name, size)


def texts(letters, longest):
    """Random ones, and those in which something comes again and again."""
    random = st.lists(st.sampled_from(letters), max_size=longest).map(bytes)
    pieces = st.lists(st.sampled_from(letters), min_size=1, max_size=9).map(bytes)
    return random | pieces.map(lambda piece: (piece * longest)[:longest])


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("letters", [b"a", b"ab", b"abc"])
def test_the_lengths_and_the_first_places_are_those_of_a_search(letters):
    @settings(deadline=None)
    @given(texts(letters, 30), texts(letters + b"x", 80))
    def check(pattern, text):
        assert matched(pattern, text) == searched(pattern, text)

    check()


@pytest.mark.usefixtures("small_blocks")
def test_a_copy_is_found_wherever_blocks_and_lanes_end():
    pattern = b"abcdefghijklmno"
    for place in range(70):
        text = b"-" * place + pattern + b"-" * (70 - place)
        assert matched(pattern, text) == (list(range(1, 16)), [place] * 15)


def test_a_copy_is_found_across_blocks_of_the_real_size():
    pattern = bytes(np.random.default_rng(1).integers(0, 200, 1000, np.uint8))
    text = bytearray(b"\xff" * (4 * matching.FIRST_BLOCK))
    place = 3 * matching.FIRST_BLOCK - 500  # where the second block ends
    text[place : place + 1000] = pattern
    lengths, places = matched(pattern, bytes(text))
    assert (lengths[-1], places[-1]) == (1000, place)


def test_texts_with_nothing_in_common_and_empty_ones():
    assert matched(b"abc", b"xyz" * 500) == ([0] * 3, [-1] * 3)
    assert matched(b"abc", b"") == ([0] * 3, [-1] * 3)
    assert matched(b"", b"xyz") == ([], [])


def test_a_text_of_one_character_over_and_over():
    lengths, places = matched(b"a" * 3000, b"a" * 20_000)
    assert lengths == list(range(1, 3001))
    assert places == [0] * 3000


def test_ids_of_any_width():
    for dtype in (np.uint16, np.uint32, np.int64):
        text = np.array([0, 60_000, 7, 65_535, 60_000, 8], dtype)
        found = matching_statistics(np.array([60_000, 8, 65_534, 0], np.int32), text)
        assert found.lengths.tolist() == [1, 2, 0, 1]
        assert found.places.tolist() == [1, 4, -1, 0]


def test_the_memory_does_not_grow_with_the_text(monkeypatch):
    monkeypatch.setattr(matching, "BLOCK", 1 << 17)
    random = np.random.default_rng(0)
    pattern = random.integers(0, 26, 500)

    def peak(text):
        tracemalloc.start()
        try:
            matching_statistics(pattern, text)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    text = random.integers(0, 26, 1 << 21, np.uint8)
    assert peak(text) < 1.1 * peak(text[: 1 << 18]) < 1 << 25


def test_how_much_is_done_is_told():
    told = []
    matching_statistics(np.zeros(3, np.uint8), np.ones(300_000, np.uint8), lambda *done: told.append(done))
    done = [done for done, _ in told]
    assert done == sorted(set(done))
    assert told[-1] == (300_000, 300_000)
    assert len(told) > 2


def test_a_pattern_whose_tables_would_be_too_large_is_refused(monkeypatch):
    monkeypatch.setattr(matching, "TABLE_BYTES", 16 * 4 * 100)
    pattern = np.arange(101) % 3
    assert matching_statistics(pattern[:100], pattern).lengths[-1] == 100
    expected = (
        r"^101 characters, 3 of them different, are too many to be looked up at once: at most 100 can be$"
    )
    with pytest.raises(MicrogptError, match=expected):
        matching_statistics(pattern, pattern)
