"""The program as its users start it: signals, pipes, terminals, and how fast it is there."""

import json
import os
import pty
import re
import resource
import shlex
import signal
import subprocess
import sys

import numpy as np
import pytest

from microgpt.checkpoint import load_state

TEXT = "the cat sat on the mat; a dog ate the hat.\n" * 100
PROGRAM = (sys.executable, "-W", "error", "-m", "microgpt")
TINY = ("--seq-len", "16", "--d-model", "16")
# a second or two, so that there is something to interrupt
LONG = ("train", "text.txt", *TINY, "--steps", "20000", "--out", "run", "--json")
PLAIN = {
    name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR", "COLUMNS")
}


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text(TEXT)
    return tmp_path


def run(*arguments, code=0, **options):
    options = {"capture_output": True, "text": True, **options}
    result = subprocess.run([*PROGRAM, *arguments], **options)
    assert result.returncode == code, result.stderr
    return result


def untimed(path):
    reports = [json.loads(line) for line in path.read_text().splitlines()]
    return [{k: v for k, v in report.items() if k not in ("chars_per_s", "elapsed_s")} for report in reports]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_an_interrupted_run_says_how_to_go_on_and_ends_the_same(here, number):
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([*PROGRAM, *LONG], **pipes) as process:
        first = json.loads(process.stdout.readline())
        process.send_signal(number)
        rest, notes = process.communicate()
    assert process.returncode == 130
    assert "Traceback" not in notes
    last = json.loads(rest.splitlines()[-1])
    assert first["step"] <= last["step"] < 20000
    assert last["interrupted"]
    saved = load_state(here / "run")
    assert saved.step == last["step"]
    command = re.fullmatch(r"interrupted and saved; to go on: microgpt (.*)", notes.splitlines()[-1])[1]
    assert command == "train --resume run"
    if number == signal.SIGTERM:
        return
    resumed = run(*shlex.split(command))
    assert f"from step {saved.step} of 20000" in resumed.stderr
    run(*LONG, "--out", "whole")
    one, other = load_state(here / "run"), load_state(here / "whole")
    for name in ("m", "v"):
        assert np.array_equal(getattr(one, name), getattr(other, name))
    assert np.array_equal(one.param, other.param)
    assert untimed(here / "run" / "metrics.jsonl") == untimed(here / "whole" / "metrics.jsonl")


def test_a_reader_who_leaves_ends_a_run_quietly_with_a_checkpoint(here):
    program = shlex.join([*PROGRAM, *LONG])
    for pipe in ("| head -1", "2>&1 >/dev/null | head -3"):
        result = subprocess.run(
            ["bash", "-c", f"set -o pipefail; {program} {pipe}"], capture_output=True, text=True
        )
        assert result.returncode == 130
        assert len(result.stdout.splitlines()) == int(pipe[-1])
        assert "Traceback" not in result.stdout + result.stderr
        assert "BrokenPipe" not in result.stdout + result.stderr
        assert 0 < load_state(here / "run").step < 20000
        (here / "run").rename(here / f"run{pipe[-1]}")


def test_pipes_that_close_and_devices_that_are_full(here):
    run(*LONG, "--steps", "20")
    # readers of one byte of much, and of nothing at all
    for arguments, reader in (
        (("generate", "run", "--length", "100000"), "head -c 1"),
        (("info", "run"), "true"),
        (("bench", "3", "--seq-len", "8"), "head -1"),
    ):
        program = shlex.join([*PROGRAM, *arguments])
        command = ["bash", "-c", f"set -o pipefail; {program} | {reader}"]
        result = subprocess.run(command, capture_output=True, text=True)
        assert (result.returncode, result.stderr) == (0, ""), arguments
    with open("/dev/full", "w") as full:
        result = run("info", "run", code=1, stdout=full, stderr=subprocess.PIPE, capture_output=False)
    assert result.stderr == "microgpt: the output: No space left on device\n"


def test_a_prompt_from_a_pipe(here):
    run(*LONG, "--steps", "20")
    result = run("generate", "run", "--prompt", "-", "--length", "9", input="the cat\n")
    assert result.stdout.startswith("the cat\n")
    assert len(result.stdout) == 8 + 9 + 1


def on_a_terminal(*arguments, stdout_too, environment=None):
    """(exit code, standard output unless it is the terminal too, what the terminal got)."""
    mine, terminal = pty.openpty()
    process = subprocess.Popen(
        [*PROGRAM, *arguments],
        stdin=terminal,
        stdout=terminal if stdout_too else subprocess.PIPE,
        stderr=terminal,
        env={**PLAIN, "TERM": "xterm-256color", "COLUMNS": "100", **(environment or {})},
    )
    os.close(terminal)
    seen = b""
    while True:
        try:
            piece = os.read(mine, 65536)
        except OSError:  # how Linux says that a terminal's other end is closed
            break
        if not piece:
            break
        seen += piece
    os.close(mine)
    output = b"" if stdout_too else process.stdout.read()
    if process.stdout:
        process.stdout.close()
    return process.wait(), output.decode(), seen.decode()


COLOUR = re.compile(r"\x1b\[[\d;]*3[0-9][\d;]*m")


def test_a_terminal_shows_a_bar(here):
    # few enough reports for the pipe to hold them until the end
    code, output, seen = on_a_terminal(*LONG, stdout_too=False)
    assert code == 0
    *reports, last = (json.loads(line) for line in output.splitlines())  # nothing of them goes to the bar
    assert [report["step"] for report in reports] == list(range(200, 20001, 200))
    assert last["step"] == 20000
    assert '"step"' not in seen
    bar = r"\d+/20000\S* loss \d\.\d{3}  smoothed \d\.\d{3}  [\d,]+ chars/s \S*0:00:0\d\S* left"
    assert re.search(bar, seen)
    assert COLOUR.search(seen)
    assert "next: microgpt generate run " in seen
    assert seen.rindex("\x1b[?25h") > seen.rindex("\x1b[?25l")  # the cursor is back


def test_no_colours_where_none_are_wanted(here):
    arguments = [argument for argument in LONG if argument != "--json"]
    code, _, seen = on_a_terminal(*arguments, stdout_too=True, environment={"NO_COLOR": "1"})
    assert code == 0
    assert " chars/s" in seen
    assert not COLOUR.search(seen)
    code, _, seen = on_a_terminal("--help", stdout_too=True, environment={"NO_COLOR": "1"})
    assert "Usage" in seen
    assert not COLOUR.search(seen)


def test_no_bar_off_a_terminal_even_where_colours_are_forced(here):
    result = run(*LONG, "--steps", "200", env={**PLAIN, "FORCE_COLOR": "1"})
    assert "\r" not in result.stderr
    assert "\x1b[2K" not in result.stderr


def test_the_command_line_imports_nothing_heavy():
    heavy = ("numpy", "numba", "scipy", "safetensors", "llvmlite", "rich.progress", "tomli_w")
    code = f"import sys, microgpt.cli; print([name for name in {heavy} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"


@pytest.mark.parametrize("arguments", [("--help",), ("train", "--help")])
def test_help_is_fast(arguments):
    """About 0.2 s of processor time; the limit is for machines that are slower and busy."""
    times = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        run(*arguments)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(times) < 0.6


def test_the_version():
    assert re.fullmatch(r"\d+\.\d+\.\d+\n", run("--version").stdout)
