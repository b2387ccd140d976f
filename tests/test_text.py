import hashlib
import itertools
import math
import os
import tracemalloc
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microgpt import text as text_module
from microgpt.errors import MicrogptError
from microgpt.text import Vocabulary, encode_file, entropies, read_text

# every code point that a UTF-8 file can hold
characters = st.characters(exclude_categories=["Cs"])


@pytest.fixture
def write(tmp_path):
    def write_file(content):
        path = tmp_path / "text.txt"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write_file


def error_of(function, *args):
    with pytest.raises(MicrogptError) as caught:
        function(*args)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- vocabulary


def test_ids_are_places_in_the_sorted_characters():
    vocabulary = Vocabulary("\n abé😀")
    ids = vocabulary.encode("b😀a\né")
    assert ids.dtype == np.int32
    assert ids.tolist() == [3, 5, 2, 0, 4]
    assert vocabulary.decode(ids) == "b😀a\né"
    assert len(vocabulary) == 6
    assert vocabulary.encode("").shape == (0,)
    assert vocabulary.decode([]) == ""


@settings(deadline=None)
@given(st.text(characters, min_size=1))
def test_encoding_is_reversible(text):
    vocabulary = Vocabulary("".join(sorted(set(text))))
    ids = vocabulary.encode(text)
    assert ids.tolist() == [vocabulary.characters.index(character) for character in text]
    assert vocabulary.decode(ids) == text


def test_every_unknown_character_is_named():
    vocabulary = Vocabulary("abc")
    assert error_of(vocabulary.encode, "aéb") == "the model does not know 'é' (U+00E9)"
    message = error_of(vocabulary.encode, "z\naz\udc80")
    # a lone surrogate, as a command line that is not UTF-8 brings it, is named in printable characters
    assert message == r"the model does not know '\n' (U+000A), 'z' (U+007A) and '\udc80' (U+DC80)"
    assert message.isprintable()
    many = error_of(vocabulary.encode, "".join(chr(0x4E00 + i) for i in range(500)))
    assert many.endswith(f"'{chr(0x4E09)}' (U+4E09) and 490 more")


@pytest.mark.parametrize("broken", ["", "ba", "aab", "a\ud800"])
def test_a_damaged_vocabulary_is_refused(broken):
    error_of(Vocabulary, broken)


@pytest.mark.parametrize("ids", [[-1], [3], [0, 99]])
def test_ids_outside_the_vocabulary_are_refused(ids):
    with pytest.raises(IndexError):
        Vocabulary("abc").decode(ids)


# --- reading


def test_reading_a_file(write):
    content = "To be,\r\nor not\tto be.\n"
    path = write(content)
    text = read_text(path)
    assert text.vocabulary.characters == "".join(sorted(set(content)))
    assert text.vocabulary.decode(text.ids) == content  # newlines stay as they are
    assert text.ids.dtype == np.uint8
    assert text.sha256 == hashlib.sha256(content.encode()).hexdigest()
    assert text.path == path


@pytest.mark.parametrize("block_size", [1, 2, 3, 4, 5, 7, 1 << 18])
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
def test_block_borders_and_bom_make_no_difference(write, monkeypatch, block_size, bom):
    monkeypatch.setattr(text_module, "BLOCK_SIZE", block_size)
    # a second U+FEFF is a character like others; NUL and DEL are plain ASCII
    content = "\ufeffaé漢😀" if bom else "aé漢😀"
    content += "plain ascii\x00\x7f\U0010ffffé\ufeff"
    text = read_text(write(bom + content.encode()))
    assert text.vocabulary.decode(text.ids) == content
    assert text.vocabulary.characters == "".join(sorted(set(content)))


@settings(deadline=None, max_examples=60)
@given(content=st.text(characters, min_size=1), block_size=st.integers(1, 9))
def test_any_text_survives(tmp_path_factory, content, block_size):
    path = tmp_path_factory.getbasetemp() / "any.txt"
    path.write_bytes(content.encode())
    if content == "\ufeff":
        return  # a BOM and nothing else is an empty text
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_module, "BLOCK_SIZE", block_size)
        text = read_text(path)
    assert text.vocabulary.decode(text.ids) == content.removeprefix("\ufeff")


@pytest.mark.parametrize(
    ("n", "dtype"), [(256, np.uint8), (257, np.uint16), (65536, np.uint16), (65537, np.uint32)]
)
def test_ids_take_the_smallest_dtype(write, n, dtype):
    # ASCII first, so that the ids of ASCII blocks land in every dtype too
    content = "".join(chr(code + (code >= 0xD800) * 0x800) for code in range(n))
    text = read_text(write(content))
    assert text.ids.dtype == dtype
    assert text.ids.tolist() == list(range(n))


def test_a_given_vocabulary(write):
    vocabulary = Vocabulary("\nabcé")
    text = encode_file(write("cab\né"), vocabulary)
    assert text.vocabulary is vocabulary
    assert text.ids.tolist() == [3, 1, 2, 0, 4]


@pytest.mark.parametrize("block_size", [1, 4, 1 << 18])
@pytest.mark.parametrize(
    ("content", "line", "column"),
    [("éa", 1, 1), ("abé", 1, 3), ("ab\r\ncaéé", 2, 3), ("\n\né", 3, 1), ("a\nb\nabc漢é", 3, 4)],
)
def test_an_unknown_character_in_a_file_is_located(write, monkeypatch, block_size, content, line, column):
    monkeypatch.setattr(text_module, "BLOCK_SIZE", block_size)
    message = error_of(encode_file, write(content), Vocabulary("\n\rabc"))
    assert "'é' (U+00E9)" in message
    assert message.endswith(f"has the first at line {line}, column {column}")


@pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf"])
def test_an_empty_file(write, content):
    assert "is empty" in error_of(read_text, write(content))


@pytest.mark.parametrize("block_size", [1, 2, 3, 5, 1 << 18])
@pytest.mark.parametrize(
    ("content", "offset", "byte"),
    [
        (b"\xff\xfea\x00", 0, "FF"),  # UTF-16
        (b"plain \xe9 latin", 6, "E9"),
        ("漢字é".encode() + b"\x80", 8, "80"),
        (b"cut short \xf0\x9f\x98", 10, "F0"),
        (b"\xef\xbb\xbfabc\xc3(", 6, "C3"),
        (b"a surrogate \xed\xa0\x80", 12, "ED"),
    ],
)
def test_bytes_that_are_not_utf8_are_located(write, monkeypatch, block_size, content, offset, byte):
    monkeypatch.setattr(text_module, "BLOCK_SIZE", block_size)
    assert f"is not UTF-8: byte 0x{byte} at offset {offset} " in error_of(read_text, write(content))


def test_files_that_cannot_be_read(tmp_path, monkeypatch):
    assert "there is no file" in error_of(read_text, tmp_path / "missing.txt")
    assert "is a directory" in error_of(read_text, tmp_path)
    assert "null character" in error_of(read_text, Path("a\0b"))
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


@pytest.mark.parametrize("changed", [b"abc", b"abcabcabc", b"abdabc", "aécabc".encode(), b"bbcabc", b""])
def test_a_file_that_changes_while_it_is_read(write, monkeypatch, changed):
    path = write(b"abcabc")
    first_pass = text_module._scan

    def scan_then_change(file, path):
        seen = first_pass(file, path)
        path.write_bytes(changed)
        return seen

    monkeypatch.setattr(text_module, "_scan", scan_then_change)
    assert "changed while it was being read" in error_of(read_text, path)


@pytest.mark.parametrize("sentence", ["A plain sentence. ", "A “curly” one, é. ", "漢字かな交じり文"])
def test_a_large_file_needs_little_more_memory_than_its_ids(write, sentence):
    path = write(sentence * (12_000_000 // len(sentence)))
    tracemalloc.start()
    text = read_text(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1.2 * text.ids.nbytes + 7e6


# --- entropies


def entropies_by_definition(ids):
    n_pairs = len(ids) - 1
    unigram = sum(-c / len(ids) * math.log(c / len(ids)) for c in Counter(ids).values())
    before = Counter(ids[:-1])
    pairs = Counter(itertools.pairwise(ids))
    bigram = sum(-c / n_pairs * math.log(c / before[a]) for (a, _), c in pairs.items())
    return unigram, bigram


# below and above the vocabulary size where the full table of pairs gives way to a list, and 64-bit codes
@pytest.mark.parametrize("V", [1, 2, 65, 1024, 1025, 65536, 70_000])
@pytest.mark.parametrize("n", [2, 3, 1000])
def test_entropies_by_definition(V, n):
    rng = np.random.default_rng(V)
    ids = np.minimum(rng.zipf(1.3, n) - 1, V - 1).astype(np.uint8 if V <= 256 else np.uint32)
    assert entropies(ids, V) == pytest.approx(entropies_by_definition(ids.tolist()), abs=1e-12)


def test_pairs_of_a_very_large_vocabulary_are_told_apart():
    V = 70_000
    # in 32 bits, the pair (61356, 47296) would be the same number as (0, 0)
    assert 61356 * V + 47296 == 2**32
    ids = np.array([0, 0, 61356, 47296, 0, 0, 5, 61356, 7, 0], np.uint32)
    assert entropies(ids, V) == pytest.approx(entropies_by_definition(ids.tolist()), abs=1e-12)


@pytest.mark.parametrize("V", [3, 2000])
def test_entropies_over_several_blocks(V):
    # a cycle of 5, which divides no block size: the pairs at the borders differ
    ids = np.tile(np.array([0, 1, 0, 2, 1], np.uint16), 500_000)
    n = len(ids)
    unigram, bigram = entropies(ids, V)
    assert unigram == pytest.approx(-2 * 0.4 * math.log(0.4) - 0.2 * math.log(0.2), abs=1e-9)
    # 0 is followed by 1 or 2 equally often; after 1 and 2 the next is certain
    zeros = 2 * n // 5
    assert bigram == pytest.approx(zeros * math.log(2) / (n - 1), abs=1e-9)


@pytest.mark.parametrize("n", [0, 1])
def test_entropies_of_too_short_a_text(n):
    assert entropies(np.zeros(n, np.uint8), 1) == (0.0, 0.0)


def test_entropies_of_a_text_without_surprise():
    assert entropies(np.zeros(100, np.uint8), 1) == (0.0, 0.0)
    unigram, bigram = entropies(np.tile(np.array([0, 1], np.uint8), 50), 2)
    assert unigram == pytest.approx(math.log(2))
    assert bigram == pytest.approx(0.0, abs=1e-12)
