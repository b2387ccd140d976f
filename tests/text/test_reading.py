import contextlib
import hashlib
import io
import itertools
import math
import os
import shlex
import shutil
import subprocess
import threading
import tracemalloc
import unicodedata
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from faults import texts
from hypothesis import given, settings
from hypothesis import strategies as st

from microgpt.errors import MicrogptError
from microgpt.machine.budget import Budget
from microgpt.terminal.harmless import harmless, harmless_pieces
from microgpt.text import reading as text_module
from microgpt.text.entropy import entropies
from microgpt.text.opening import IN_MEMORY, STANDARD_INPUT, text_name
from microgpt.text.prompt import read_prompt, read_prompt_from
from microgpt.text.reading import encode_file, read_text
from microgpt.text.vocabulary import Vocabulary

# every code point that a UTF-8 file can hold
characters = st.characters(exclude_categories=["Cs"])
BIDI_CONTROLS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


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


@pytest.mark.parametrize("broken", ["", "ba", "aab", "a\ud800", "ab" * 5_000_000, "a\udfff\ue000"])
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


@pytest.mark.parametrize("block_size", [1, 2, 3, 5, 1 << 18])
@pytest.mark.parametrize(
    ("content", "offset", "byte"),
    [
        (b"\xffa", 0, "FF"),
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
    # what cannot be a file name, or cannot be printed as it is
    assert r"a\x00b is not a file name" in error_of(read_text, Path("a\0b"))
    assert r"\ud800 is not a file name" in error_of(read_text, Path("\ud800"))
    assert r"there is no file caf\udce9\x1b" in error_of(read_text, Path("caf\udce9\x1b"))
    assert len(error_of(read_text, Path("long" * 1000))) < 400
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


# --- other encodings


ENCODINGS = ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"]
CYRILLIC = "Все счастливые семьи похожи друг на друга.\n" * 20


@pytest.mark.parametrize("block_size", [1, 2, 7, 1 << 18])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize(
    "content", ["hi", "To be, or not to be.\r\n" * 20, CYRILLIC, "caf\xe9 na\xefve. " * 20], ids=ascii
)
def test_a_text_in_another_encoding_is_told_how_to_convert_it(
    write, monkeypatch, block_size, mark, encoding, content
):
    monkeypatch.setattr(text_module, "BLOCK_SIZE", block_size)
    path = write((mark + content).encode(encoding))
    command = f"`iconv -f {encoding.upper().replace('-LE', 'LE').replace('-BE', 'BE')} -t UTF-8`"
    for function in (read_text, read_prompt):
        message = error_of(function, path)
        assert "looks like" in message
        assert command in message
    if shutil.which("iconv"):
        converted = subprocess.run([*shlex.split(command.strip("`")), path], capture_output=True, check=True)
        text = read_text(write(converted.stdout))
        assert text.vocabulary.decode(text.ids) == content


def test_a_stray_nul_is_a_character_and_many_are_not(write):
    for content in (b"\0", b"a\0b", b"one\0" + b"x" * 60 + b"\0"):
        text = read_text(write(content))
        assert text.vocabulary.decode(text.ids).encode() == content
    message = error_of(read_text, write(b"one\0three\0four\0" * 9))
    assert "27 of its first 135 characters are NUL; `tr -d '\\0'`" in message
    assert "are NUL" in error_of(read_text, write(bytes(1000)))
    # behind plain text, in a block of its own, and between characters that are not ASCII
    assert "are NUL" in error_of(read_text, write(b"x" * (1 << 18) + bytes(1 << 16)))
    assert "are NUL" in error_of(read_text, write("é\0".encode() * 1000))


# --- standard input


@pytest.fixture
def pipe(monkeypatch):
    """Sends bytes to standard input through a pipe, as a shell does."""
    with contextlib.ExitStack() as opened:

        def send(content):
            reading, writing = os.pipe()

            def write():
                with contextlib.suppress(BrokenPipeError), open(writing, "wb") as file:
                    file.write(content)

            thread = threading.Thread(target=write)
            thread.start()
            opened.callback(thread.join)
            monkeypatch.setattr("sys.stdin", opened.enter_context(open(reading, encoding="utf-8")))

        yield send


@pytest.mark.parametrize("content", ["To be,\r\n", "漢字é\n" * 100_000, "x"])
def test_a_text_from_standard_input(write, pipe, content):
    expected = read_text(write(content))
    pipe(content.encode())
    text = read_text(STANDARD_INPUT, budget := Budget(None))
    assert text.ids.tolist() == expected.ids.tolist()
    assert (text.vocabulary, text.sha256, text.path) == (expected.vocabulary, expected.sha256, Path("-"))
    assert budget.held == expected.ids.nbytes
    assert text_name(text.path) == "standard input"


def test_standard_input_with_unknown_characters(pipe):
    pipe("abcéa".encode())
    text = encode_file(STANDARD_INPUT, Vocabulary("abc"), skip_unknown=True)
    assert text.ids.tolist() == [0, 1, 2, 0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "standard input is empty"),
        (b"abc\xff", "standard input is not UTF-8: byte 0xFF at offset 3"),
        (b"a\0b\0c\0", "standard input looks like UTF-16LE"),
        (b"a" * 10_000_000, r"standard input has more than 3\.8 MiB"),
    ],
)
def test_a_standard_input_that_is_no_text(pipe, content, message):
    pipe(content)
    with pytest.raises(MicrogptError, match=message):
        read_text(STANDARD_INPUT, Budget(1_000_000))


def test_a_standard_input_that_is_not_there(monkeypatch):
    monkeypatch.setattr("sys.stdin", None)
    for function in (read_text, read_prompt):
        assert "there is no standard input" in error_of(function, STANDARD_INPUT)
    pty = pytest.importorskip("pty", reason="needs a Unix terminal")
    keyboard, terminal = pty.openpty()
    with open(keyboard), open(terminal) as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        assert "is the keyboard" in error_of(read_text, STANDARD_INPUT)
    with open("/dev/null") as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        assert "standard input is empty" in error_of(read_text, STANDARD_INPUT)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full here")
def test_a_standard_input_that_cannot_be_kept(monkeypatch, pipe):
    pipe(b"abc")
    with open("/dev/full", "r+b", buffering=0) as full:
        monkeypatch.setattr("tempfile.TemporaryFile", lambda: full)
        assert "kept in a temporary file: No space left" in error_of(read_text, STANDARD_INPUT)


def test_a_standard_input_that_does_not_wait(monkeypatch):
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    with open(reading) as stdin, open(writing, "wb"):
        monkeypatch.setattr("sys.stdin", stdin)
        for function in (read_text, read_prompt):
            assert "standard input does not wait" in error_of(function, STANDARD_INPUT)


# --- prompts


@pytest.mark.parametrize(
    ("content", "prompt"),
    [
        (b"ROMEO:", "ROMEO:"),
        (b"ROMEO:\n", "ROMEO:"),
        (b"ROMEO:\r\n", "ROMEO:"),
        (b"ROMEO:\n\n", "ROMEO:\n"),
        (b"ROMEO:\r\n\r\n", "ROMEO:\r\n"),
        (b"a\r\nb\rc\r", "a\r\nb\rc\r"),
        (b"\xef\xbb\xbf\xef\xbb\xbf\xc3\xa9\n", "\ufeffé"),
        (b"\n", ""),
        (b"", ""),
    ],
)
def test_a_prompt_is_the_file_without_its_last_line_break(write, pipe, content, prompt):
    assert read_prompt(write(content)) == prompt
    assert read_prompt_from(io.BytesIO(content)) == prompt
    pipe(content)
    assert read_prompt(STANDARD_INPUT) == prompt


def test_prompts_that_cannot_be_read(write, tmp_path):
    for content in (b"caf\xe9", b"\xef\xbb\xbf\xe9"):
        message = f"is not UTF-8: byte 0xE9 at offset {len(content) - 1} "
        assert message in error_of(read_prompt, write(content))
    assert "there is no file" in error_of(read_prompt, tmp_path / "missing")
    assert "Is a directory" in error_of(read_prompt, tmp_path)
    assert "is not a file name" in error_of(read_prompt, Path("a\0b"))
    assert "too long for a prompt" in error_of(read_prompt, Path("/dev/zero"))


# --- terminals


def test_a_terminal_gets_no_control_characters():
    assert harmless("plain\ttext é漢😀\n") == "plain\ttext é漢😀\n"
    assert harmless("\x1b[2Ja\x07\x7f\x9b\r") == r"\x1b[2Ja\x07\x7f\x9b\x0d"
    assert harmless("a\r\nb\rc\r\r\n") == "a\nb\\x0dc\\x0d\n"
    assert harmless("\u202eabc\u2069\u200f") == r"\u202eabc\u2069\u200f"
    for code in range(0x110000):
        character = chr(code)
        dangerous = (
            unicodedata.category(character) == "Cc" and character not in "\n\t"
        ) or unicodedata.bidirectional(character) in BIDI_CONTROLS
        if code in (0x61C, 0x200E, 0x200F):  # marks of direction, which have the class of what they stand for
            dangerous = True
        assert (harmless(character) != character) == dangerous, hex(code)


@given(st.lists(st.sampled_from(["\r", "\n", "a", "\x1b", "\r\n", ""])))
def test_pieces_for_a_terminal_may_be_cut_anywhere(pieces):
    assert "".join(harmless_pieces(pieces)) == harmless("".join(pieces))


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


@pytest.mark.parametrize("V", [1000, 20_000])
def test_entropies_need_little_memory(V):
    # nearly every pair is a different one: 4 million of them
    ids = np.random.default_rng(0).integers(0, V, 4_000_000, np.uint16)
    tracemalloc.start()
    unigram, bigram = entropies(ids, V)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 64 << 20
    assert unigram == pytest.approx(math.log(V), rel=1e-2)
    assert (bigram is None) == (V == 20_000)


@pytest.mark.parametrize("n", [0, 1])
def test_entropies_of_too_short_a_text(n):
    assert entropies(np.zeros(n, np.uint8), 1) == (0.0, 0.0)


def test_entropies_of_a_text_without_surprise():
    assert entropies(np.zeros(100, np.uint8), 1) == (0.0, 0.0)
    unigram, bigram = entropies(np.tile(np.array([0, 1], np.uint8), 50), 2)
    assert unigram == pytest.approx(math.log(2))
    assert bigram == pytest.approx(0.0, abs=1e-12)


# --- random texts


def test_random_texts_are_read_or_refused_in_a_sentence(tmp_path):
    texts.run(200, 0, tmp_path)
