"""--memory-cap is a cap: what the whole program takes from the machine, beside what it has counted."""

import functools
import re
import subprocess
import sys
from pathlib import Path

import pytest

MIB = 1 << 20
# Python, NumPy, Numba, LLVM and the code that they have compiled before
LIBRARIES = 250 * MIB
# The peak is asked for at the end: Linux counts what the parent had at the fork to a child's maxrss.
PROGRAM = r"""
import atexit, re, sys
from pathlib import Path
from microgpt.__main__ import main
peak = lambda: re.search(r"VmHWM:\s*(\d+)", Path("/proc/self/status").read_text())[1]
atexit.register(lambda: print("peak", peak(), file=sys.stderr))
main()
"""
UNITS = {"KiB": 1 << 10, "MiB": MIB, "GiB": 1 << 30}
LINE = "the cat sat on the mat; a dog ate the hat.\n"
TEXTS = {
    "short": lambda: LINE * 3000,
    "long": lambda: LINE * (90 * MIB // len(LINE)),
    "chunks": lambda: LINE * (20 * MIB // len(LINE)),
    "characters": lambda: "".join(chr(0x4E00 + i * 7 % 20_000) for i in range(80_000)),
}

# A cap in MiB, a text, and options whose arrays come near the cap; then what decides which code is compiled.
RUNS = {
    "parameters": (300, "short", "--d-model 768 --d-ff 3072 --seq-len 16 --weight-decay 0.1", ""),
    "ones": (550, "short", "--heads ones --d-model 256 --seq-len 512 --n-layers 1", ""),
    "long sequences": (340, "short", "--heads 64 --seq-len 4096", ""),
    "batch": (550, "short", "--batch-size 384 --seq-len 128", "--batch-size 4"),
    "rope": (320, "short", "--positions rope --d-model 512 --heads 512 --seq-len 1024 --n-layers 3", ""),
    "shuffled order": (200, "chunks", "--order shuffled --stride 1 --seq-len 16", ""),
    "validation": (420, "chunks", "--val-fraction 0.01 --batch-size 256 --seq-len 128", "--batch-size 4"),
    "float64": (240, "short", "--dtype float64 --d-model 512 --d-ff 2048 --seq-len 64", "--dtype float64"),
    "vocabulary": (240, "characters", "--seq-len 512 --n-layers 1", ""),
    "text": (100, "long", "--seq-len 32", ""),
}


def program(*arguments):
    """What the program counted and what it took, in bytes."""
    command = [sys.executable, "-c", PROGRAM, "train", *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    number, unit = re.search(r"threads?, ([\d.]+) ([KMG]iB); ", result.stderr).groups()
    return float(number) * UNITS[unit], int(re.search(r"peak (\d+)", result.stderr)[1]) << 10


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    """The path of a text."""
    directory = tmp_path_factory.mktemp("texts")

    @functools.cache
    def of(name):
        (directory / name).write_text(TEXTS[name](), encoding="utf-8")
        return directory / name

    return of


@pytest.fixture(scope="module")
def compiled(tmp_path_factory, text):
    """Whether the code for these options is in Numba's cache: then it is, as a small run needs the same."""

    @functools.cache
    def of(name, options):
        name = name if name == "characters" else "short"
        out = tmp_path_factory.mktemp("small") / "run"
        tiny = ["--steps", "1", "--seq-len", "8", "--d-model", "16", "--val-fraction", "0.1"]
        return program("--recipe", "plain", text(name), *tiny, *options.split(), "--out", out)

    return of


@pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="only Linux tells what a process has taken"
)
@pytest.mark.parametrize("name", RUNS)
def test_a_run_takes_the_cap_and_its_libraries_at_most(name, tmp_path, text, compiled):
    cap, text_name, options, types = RUNS[name]
    compiled(text_name, types)
    out = tmp_path / "run"
    begin = (text(text_name), *options.split(), "--steps", 3, "--out", out, "--memory-cap", f"{cap}MiB")
    for arguments in (("--recipe", "plain", *begin), ("--resume", out, "--steps", 5)):
        counted, taken = program(*arguments)
        assert 0.8 * cap * MIB <= counted <= cap * MIB
        assert taken <= cap * MIB + LIBRARIES
