"""Random texts, whole and damaged, through everything that reads a text.

Each is read, encoded by its own vocabulary and by that of another text, and taken for a prompt. Only
MicrogptError may come out of it, in one printable line; what is read must be what is in the file; and no more
memory than a text of this size needs may be taken.
"""

import io
import random
import tracemalloc
from pathlib import Path

from microgpt.errors import MicrogptError
from microgpt.machine.budget import Budget
from microgpt.text.entropy import entropies
from microgpt.text.prompt import read_prompt_from
from microgpt.text.reading import encode_file, read_text
from microgpt.text.vocabulary import Vocabulary

LINES = [
    "The quick brown fox jumps over the lazy dog.\n",
    "漢字かな交じり文。\r\n",
    "Все счастливые семьи похожи друг на друга\n",
    "naïve café – “quoted” 😀\t\n",
    "\ufeff\u202e\x1b[2J\x00\x7f\n",
    "\n",
]
ENCODINGS = ["utf-8"] * 6 + ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"]
ENCODINGS += ["latin-1", "cp1252", "shift-jis"]
KNOWN = Vocabulary("".join(sorted(set("".join(LINES[:2])))))
# the tables of all code points, 4 bytes each at most, and the blocks
MEMORY = 24 << 20


def random_bytes(rng: random.Random) -> bytes:
    """Lines in one encoding or in several, and then damaged in none to a few places."""
    mixed = rng.random() < 0.2
    encoding = rng.choice(ENCODINGS)
    content = b""
    for line in rng.choices(LINES, k=rng.choice((0, 1, 3, 50))):
        content += (line * rng.choice((1, 1, 9))).encode(encoding, "ignore")
        encoding = rng.choice(ENCODINGS) if mixed else encoding
    if rng.random() < 0.02:  # longer than a block
        content *= 1 + 600_000 // (len(content) + 1)
    damaged = bytearray(content)
    for _ in range(rng.choice((0, 0, 1, 1, 2, 9))):
        place = rng.randrange(len(damaged) + 1)
        length = rng.choice((1, 1, 2, 3, 100))
        match rng.choice(("flip", "cut", "insert", "repeat", "end")):
            case "flip" if place < len(damaged):
                damaged[place] ^= 1 << rng.randrange(8)
            case "cut":
                del damaged[place : place + length]
            case "insert":
                damaged[place:place] = rng.randbytes(length)
            case "repeat":
                damaged[place:place] = damaged[place : place + length] * rng.choice((2, 20))
            case "end":
                del damaged[max(place, len(damaged) - length) :]
    return bytes(damaged)


def outcome(function, *args, **options):
    """What a function returns, or None for an error that is a sentence."""
    try:
        return function(*args, **options)
    except MicrogptError as error:
        message = str(error)
        assert message.isprintable(), message
        assert 20 < len(message) < 700, message
        return None


def check(content: bytes, path: Path) -> bool:
    """Reads one text in every way; returns whether it is a text."""
    path.write_bytes(content)
    text = outcome(read_text, path, budget := Budget(None))
    if text is None:
        assert budget.held == 0
    else:
        assert text.vocabulary.decode(text.ids) == content.decode().removeprefix("\ufeff")
        assert budget.held == text.ids.nbytes
        assert outcome(read_text, path, Budget(budget.held - 1)) is None
        again = encode_file(path, text.vocabulary)
        assert (again.ids == text.ids).all()
        assert again.n_skipped == 0
        entropies(text.ids, len(text.vocabulary))
    strict = outcome(encode_file, path, KNOWN)
    lenient = outcome(encode_file, path, KNOWN, skip_unknown=True)
    known = [c for c in content.decode("utf-8-sig") if c in KNOWN.characters] if text else []
    assert (lenient is not None) == bool(known)
    assert (strict is not None) == (text is not None and len(known) == len(text.ids))
    if lenient is not None and text is not None:
        assert KNOWN.decode(lenient.ids) == "".join(known)
        assert lenient.n_skipped == len(text.ids) - len(known)
    prompt = outcome(read_prompt_from, io.BytesIO(content))
    if prompt is not None:
        assert content.decode().removeprefix("\ufeff") in (prompt, prompt + "\n", prompt + "\r\n")
    return text is not None


def run(tries: int, seed: int, folder: Path) -> str:
    """Read `tries` random texts. Says what was done; a failure names the seed of its text."""
    n_texts = 0
    tracemalloc.start()
    try:
        for each in range(seed, seed + tries):
            content = random_bytes(random.Random(each))
            tracemalloc.reset_peak()
            before, _ = tracemalloc.get_traced_memory()
            try:
                n_texts += check(content, folder / "text.txt")
                _, peak = tracemalloc.get_traced_memory()
                # the test itself holds the text as a list of characters, among others
                assert peak - before < MEMORY + 100 * len(content), f"{peak - before} bytes of memory"
            except Exception as error:
                error.add_note(f"the text of seed {each}, with --tries 1: {content[:200]!r}")
                raise
    finally:
        tracemalloc.stop()
    # both kinds have to be among them, or nothing was tried
    assert tries < 100 or tries / 10 < n_texts < tries * 9 / 10, f"{n_texts} of {tries} are texts"
    return f"{tries:,} texts, {n_texts:,} of which could be read and the others were refused in a sentence"
