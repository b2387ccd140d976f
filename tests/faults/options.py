"""Options at their edges and in random combinations; damaged texts, TOML, prompts and metrics.

All of it ends in an exit code and at most one sentence. A backend without compilation makes it quick.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import string
from collections.abc import Callable
from pathlib import Path

from faults.children import Outcome, call, program
from faults.small import OPTIONS, TEXT, write_text

NUMBERS = (
    "-1", "0", "1", "2", "3", "7", "16", "100", "65537", "1000000", "2147483647", "2147483648", "4294967296",
    "9223372036854775807", "9223372036854775808", "99999999999999999999999", "-99999999999999999999999",
    "1e3", "0.5", "-0.0", "1e-320", "1e308", "1e400", "nan", "inf", "-inf", "", " ", "x", "0x10", "1_000",
    "\u0663", "9" * 5000,
)  # fmt: skip
WORDS = (
    "", " ", "uniform", "prime", "4x16", "1+2+3", "|", "1+2+3|6", "6|", "999999999x1", "é", "\udcff",
    "a" * 5000, "\x1b[31m", "-", "--", "none", "0", "2GiB", "1e9", "1 KB", "-5MB", "crystal", "reference",
    "cosine", "shuffled",
)  # fmt: skip
NUMERIC = (
    "steps", "seq-len", "stride", "batch-size", "d-model", "n-layers", "d-ff", "lr", "beta2", "min-lr",
    "warmup", "clip", "weight-decay", "val-fraction", "eval-every", "sample-every", "ngrams", "seed",
    "threads",
)  # fmt: skip
FLAGS = ("token-shift", "no-token-shift")
VERBAL = (
    "heads", "order", "positions", "activation", "attention-scale", "init", "schedule", "recipe", "dtype",
    "memory-cap",
)  # fmt: skip
SMALL = (
    "--recipe",
    "plain",
    "--backend",
    "reference",
    "--seq-len",
    "8",
    "--d-model",
    "6",
    "--heads",
    "1+2+3",
    "--n-layers",
    "1",
)
LIMITS = ("--memory-cap", "20MB")
SECONDS, BYTES = 20.0, 200 << 20


def run(tries: int, seed: int, folder: Path) -> str:
    """Raises AssertionError with the seed of a try that failed; what was done, in a sentence."""
    os.chdir(folder)
    write_text(folder)
    assert call(program("train", "text.txt", *OPTIONS, "--out", "model")).code == 0
    kinds: tuple[Callable[[random.Random], Outcome], ...] = (
        _train,
        _train,
        _generate,
        _toml,
        _metrics,
        _others,
    )
    codes: dict[int, int] = {}
    for n in range(tries):
        rng = random.Random(f"{seed} {n}")
        outcome = rng.choice(kinds)(rng)
        # a large model of NumPy's takes its time once it has begun, and so does a million samples
        at_work = "losses in nats" in outcome.stderr or outcome.stdout
        begun = outcome.code == -signal.SIGKILL and at_work
        assert begun or outcome.code in (0, 1, 2, 3), (seed, n, outcome)
        assert outcome.one_sentence, (seed, n, outcome.stderr[:5000])
        assert begun or outcome.code == 0 or outcome.stderr, (seed, n, outcome)
        assert outcome.grown < BYTES, (seed, n, outcome.grown)
        codes[outcome.code] = codes.get(outcome.code, 0) + 1
        for path in (folder / "runs", folder / "out"):
            shutil.rmtree(path, ignore_errors=True)
    return f"{tries:,} commands, by their exit codes: {dict(sorted(codes.items()))}"


def _call(*arguments: str, stdin: bytes = b"") -> Outcome:
    # a command line has no null characters
    return call(
        program(*(argument.replace("\0", "") for argument in arguments)), timeout=SECONDS, stdin=stdin
    )


def _train(rng: random.Random) -> Outcome:
    options = []
    for _ in range(rng.randint(1, 4)):
        kind = rng.random()
        if kind < 0.7:
            options += [f"--{rng.choice(NUMERIC)}", rng.choice(NUMBERS)]
        elif kind < 0.75:
            options.append(f"--{rng.choice(FLAGS)}")
        else:
            options += [f"--{rng.choice(VERBAL)}", rng.choice(WORDS + NUMBERS)]
    # what is valid and would take long is not of interest
    steps = (
        [] if "--steps" in options and _is_small(options[options.index("--steps") + 1]) else ["--steps", "2"]
    )
    cap = LIMITS if "--memory-cap" not in options else ()
    return _call("train", "text.txt", *SMALL, "--out", "out", *cap, *options, *steps)


def _is_small(number: str) -> bool:
    return number not in ("65537", "1000000", "2147483647", "2147483648", "4294967296") and len(number) < 15


def _generate(rng: random.Random) -> Outcome:
    options = []
    for name in ("temperature", "top-k", "top-p", "seed", "num-samples"):
        if rng.random() < 0.4:
            options += [f"--{name}", rng.choice(NUMBERS[:6] + NUMBERS[13:])]
    prompt = _garbled(rng, b"the cat")
    return _call(
        "generate",
        "model",
        "--backend",
        "reference",
        "--length",
        "20",
        "--prompt",
        "-",
        *options,
        stdin=prompt,
    )


def _toml(rng: random.Random) -> Outcome:
    good = Path("model/config.toml").read_bytes()
    content = rng.choice(
        (
            _garbled(rng, good),
            b"steps = " + rng.choice(NUMBERS).encode("utf-8", "replace"),
            b"x = " + b"[" * rng.choice((10, 5000, 100_000)),
            f'{rng.choice(NUMERIC)} = "{rng.choice(WORDS)}"'.encode("utf-8", "replace"),
            f"{rng.choice(VERBAL)} = {rng.choice(NUMBERS)}".encode("utf-8", "replace"),
            b"{}[]\x00\xff",
            "".join(rng.choices(string.printable, k=200)).encode(),
        )
    )
    Path("file.toml").write_bytes(content)
    return _call(
        "train",
        "text.txt",
        "--config",
        "file.toml",
        *SMALL,
        "--steps",
        "2",
        "--memory-cap",
        "20MB",
        "--out",
        "out",
    )


def _metrics(rng: random.Random) -> Outcome:
    """A run whose logs are damaged goes on."""
    shutil.copytree("model", "out")
    for name in ("metrics.jsonl", "samples.txt", "config.toml"):
        path = Path("out") / name
        path.write_bytes(_garbled(rng, path.read_bytes()))
    return _call("train", "--resume", "out", "--schedule", "cosine")


def _others(rng: random.Random) -> Outcome:
    name = rng.choice(
        (*WORDS, "text.txt", "model", "model/config.toml", "/dev/null", "/dev/full", "/proc/self/mem", ".")
    )
    other = rng.choice(("text.txt", "/dev/null", "/dev/zero", ".", "nothing", "model/model.safetensors"))
    command = rng.choice(
        (
            ("info", name),
            ("eval", name, other),
            ("generate", name),
            ("eval", "model", other),
            ("train", other),
            ("train", "--resume", name),
            ("train", other, "--from", name),
            ("runs", name),
            ("corpus", name, "--out", other),
            ("train", other, "--out", name),
        )
    )
    extra = ("--backend", "reference") if command[0] in ("eval", "generate", "train") else ()
    steps = ("--steps", "2") if command[0] == "train" else ()
    return _call(*command, *extra, *steps)


def _garbled(rng: random.Random, content: bytes) -> bytes:
    """Bytes flipped, cut out, doubled, and of other encodings."""
    changed = bytearray(content)
    for _ in range(rng.randint(0, 5)):
        place = rng.randrange(len(changed) + 1)
        match rng.randrange(5):
            case 0:
                changed[place:place] = rng.randbytes(rng.randint(1, 9))
            case 1:
                del changed[place : place + rng.randint(1, 50)]
            case 2:
                changed[place : place + 1] = bytes([rng.randrange(256)])
            case 3:
                changed[place:place] = "é\u202e\x00😀".encode(
                    rng.choice(("utf-8", "utf-16", "latin-1")), "replace"
                )
            case 4:
                changed[place:place] = b"\x1b]0;title\x07" + TEXT[:20].encode()
    return bytes(changed)
