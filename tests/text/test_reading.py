"""Texts as ids: read block by block, by a vocabulary of their own or by a given one."""

import hashlib
import tracemalloc

import numpy as np
import pytest
from faults import texts
from hypothesis import given, settings
from hypothesis import strategies as st
from sentences import error_of

from microgpt.errors import MicrogptError
from microgpt.machine.budget import Budget
from microgpt.text import reading as text_module
from microgpt.text.opening import IN_MEMORY
from microgpt.text.reading import encode_file, read_text
from microgpt.text.vocabulary import Vocabulary

# every code point that a UTF-8 file can hold
characters = st.characters(exclude_categories=["Cs"])


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
    if content == "\ufeff" or content.count("\0") > 1:
        return  # a BOM and nothing else is an empty text, and NULs are the mark of UTF-16
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


@pytest.mark.parametrize("content", [b"a cat\r\n", b"\xef\xbb\xbfcaf\xc3\xa9", "né\n".encode() * 9999])
def test_bytes_in_memory_are_read_as_a_file_is(write, content):
    in_memory, file = read_text(content), read_text(write(content))
    assert in_memory.ids.tolist() == file.ids.tolist()
    assert in_memory.ids.dtype == file.ids.dtype
    assert (in_memory.vocabulary, in_memory.sha256) == (file.vocabulary, file.sha256)
    assert in_memory.path == IN_MEMORY
    again = encode_file(content, file.vocabulary)
    assert again.ids.tolist() == file.ids.tolist()


def test_bytes_in_memory_that_are_no_text():
    assert error_of(read_text, b"ab\xff").startswith("the text is not UTF-8: byte 0xFF at offset 2")
    assert error_of(read_text, b"") == "the text is empty: there is nothing to read"
    assert "line 2, column 1" in error_of(encode_file, b"a\nX", Vocabulary("\na"))


@pytest.mark.parametrize("block_size", [1, 4, 1 << 18])
@pytest.mark.parametrize(
    ("content", "line", "column"),
    [("éa", 1, 1), ("abé", 1, 3), ("ab\r\ncaéé", 2, 3), ("\n\né", 3, 1), ("a\nb\nabc漢é", 3, 4)],
)
def test_an_unknown_character_in_a_file_is_located(write, monkeypatch, block_size, content, line, column):
    monkeypatch.setattr(text_module, "BLOCK_SIZE", block_size)
    message = error_of(encode_file, write(content), Vocabulary("\n\rabc"))
    assert "'é' (U+00E9)" in message
    assert f", the first at line {line}, column {column}; --skip-unknown leaves them out" in message


@pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf"])
def test_an_empty_file(write, content):
    assert "is empty" in error_of(read_text, write(content))


@pytest.mark.parametrize("changed", [b"abc", b"abcabcabc", b"abdabc", "aécabc".encode(), b"bbcabc", b""])
def test_a_file_that_changes_while_it_is_read(write, monkeypatch, changed):
    path = write(b"abcabc")
    first_pass = text_module._scan

    def scan_then_change(file, name):
        seen = first_pass(file, name)
        path.write_bytes(changed)
        return seen

    monkeypatch.setattr(text_module, "_scan", scan_then_change)
    assert "changed while it was being read" in error_of(read_text, path)


@pytest.mark.parametrize("skipping", [False, True])
def test_a_file_with_unknown_characters_that_changes_while_it_is_read(write, monkeypatch, skipping):
    path = write("abcéabc")
    first_pass = text_module._scan

    def scan_then_change(file, name):
        seen = first_pass(file, name)
        path.write_bytes(b"abcabc")
        return seen

    monkeypatch.setattr(text_module, "_scan", scan_then_change)
    with pytest.raises(MicrogptError, match="changed while it was being read"):
        encode_file(path, Vocabulary("abc"), skip_unknown=skipping)


@pytest.mark.parametrize("block_size", [1, 3, 1 << 18])
@pytest.mark.parametrize("V", ["abc", "".join(map(chr, range(97, 500)))])
def test_unknown_characters_are_counted_and_can_be_left_out(write, monkeypatch, block_size, V):
    monkeypatch.setattr(text_module, "BLOCK_SIZE", block_size)
    vocabulary = Vocabulary(V)
    path = write("ab\r\nc漢\nA漢cab")
    assert error_of(encode_file, path, vocabulary) == (
        f"the model does not know 6 of the 12 characters of {path}: '\\n' (U+000A), '\\r' (U+000D), "
        "'A' (U+0041) and '漢' (U+6F22), the first at line 1, column 3; --skip-unknown leaves them out"
    )
    text = encode_file(path, vocabulary, skip_unknown=True)
    assert vocabulary.decode(text.ids) == "abccab"
    assert text.n_skipped == 6
    assert text.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert encode_file(write("cab"), vocabulary, skip_unknown=True).n_skipped == 0
    with pytest.raises(MicrogptError, match="the model knows none of 2 of the 2 characters"):
        encode_file(write("漢漢"), vocabulary, skip_unknown=True)


# --- memory


def test_the_ids_are_booked_before_they_are_allocated(write):
    path = write("ab" * 3_000_000)
    for read in (read_text, lambda path, budget: encode_file(path, Vocabulary("ab"), budget)):
        tracemalloc.start()
        with pytest.raises(MicrogptError, match=r"5\.7 MiB for the text do not fit.*a part of it"):
            read(path, Budget(5 << 20))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 5e6
        read(path, budget := Budget(6_000_000))
        assert budget.held == 6_000_000
    wide = write("".join(map(chr, range(300))) * 2)
    read_text(wide, budget := Budget(None))
    assert budget.held == 1200
    encode_file(wide, Vocabulary("ab"), budget := Budget(None), skip_unknown=True)
    assert budget.held == 4


@pytest.mark.parametrize("sentence", ["A plain sentence. ", "A “curly” one, é. ", "漢字かな交じり文"])
def test_a_large_file_needs_little_more_memory_than_its_ids(write, sentence):
    path = write(sentence * (12_000_000 // len(sentence)))
    tracemalloc.start()
    text = read_text(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1.2 * text.ids.nbytes + 7e6


# --- random texts


def test_random_texts_are_read_or_refused_in_a_sentence(tmp_path):
    texts.run(200, 0, tmp_path)
