"""Standard streams that are closed, full, in another encoding, or left by whoever read them."""

import os
import re
import signal
import subprocess
import sys
import time

import pytest

from microgpt.checkpoint.saved import load_state

PROGRAM = f"{sys.executable} -W error -m microgpt"
TINY = "--recipe plain --backend reference --seq-len 8 --d-model 4 --heads 1+3 --n-layers 1"
TEXT = "the café sat on the mat; a naïve dog ate the hat €.\n" * 40


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text(TEXT)
    return tmp_path


@pytest.fixture
def run(here):
    """A run of which the model can be asked."""
    assert shell(f"train text.txt {TINY} --steps 30 --out run").returncode == 0
    return "run"


def shell(command, **environment):
    result = subprocess.run(
        ["bash", "-c", f"{PROGRAM} {command}"],
        capture_output=True,
        env={**os.environ, **environment},
    )
    assert b"Traceback" not in result.stderr + result.stdout, result.stderr.decode(errors="replace")
    return result


# where standard output or error goes, the exit code, and what is said
LOST = [
    (">&-", 0, ""),
    ("2>&-", 0, None),
    (">&- 2>&-", 0, None),
    ("<&- >&- 2>&-", 0, None),
    (">/dev/full", 4, "standard output was lost: No space left on device"),
    ("2>/dev/full", 4, None),
    ("--json >/dev/full", 4, "standard output is lost (No space left on device): the run goes on"),
    ("--json >/dev/full 2>/dev/full", 4, None),
    ("--json | true", 4, "standard output was lost: Broken pipe"),
    ("2>&1 >/dev/null | true", 4, None),
]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full here")
@pytest.mark.parametrize(("streams", "code", "said"), LOST, ids=[streams for streams, _, _ in LOST])
def test_losing_the_audience_costs_no_run(here, streams, code, said):
    command = f"train text.txt {TINY} --steps 3000 --val-fraction 0.1 --sample-every 1000 {streams}"
    result = shell(f"{command}; exit ${{PIPESTATUS[0]}}")
    assert result.returncode == code
    assert load_state(here / "runs" / "text").step == 3000
    # a file that was opened in place of a closed stream would have the talk in it
    assert (here / "runs" / "text" / "metrics.jsonl").read_text().count("\n") == 100
    assert (here / "runs" / "text" / "samples.txt").read_text().count("--- step ") == 3
    if said is not None:
        assert said in result.stderr.decode()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full here")
@pytest.mark.parametrize(
    "command", ["--help", "train --help", "info run", "generate run", "backends", "runs ."]
)
def test_a_full_device_is_a_sentence(run, command):
    result = shell(f"{command} >/dev/full")
    assert result.returncode == 1
    assert result.stderr.decode().endswith("microgpt: standard output: No space left on device\n")
    # who closes a pipe has seen enough
    assert shell(f"{command} | true; exit ${{PIPESTATUS[0]}}").returncode == 0
    assert shell(f"{command} >&-").returncode == 0


def test_a_generator_stops_when_nobody_reads(run):
    result = shell("generate run --length 100000000 | head -c 1; exit ${PIPESTATUS[0]}")
    assert (result.returncode, len(result.stdout)) == (0, 1)


def test_other_encodings(run):
    as_it_is = shell("generate run --length 300 --temperature 9", PYTHONUTF8="1")
    assert as_it_is.stderr == b""
    text = as_it_is.stdout.decode()
    assert "€" in text
    for encoding in ("latin-1", "ascii"):
        result = shell("generate run --length 300 --temperature 9", PYTHONIOENCODING=encoding)
        assert result.returncode == 0
        assert result.stdout.decode(encoding) == text.encode(encoding, "backslashreplace").decode(encoding)
        (said,) = result.stderr.decode(encoding).splitlines()
        assert re.match(r"microgpt: standard output is in \S+: characters that it lacks are written as", said)
        for command in ("info run", f"train text.txt {TINY} --steps 30"):
            assert shell(command, PYTHONIOENCODING=encoding).returncode == 0


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
@pytest.mark.parametrize("blocking", [True, False])
@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_reader_who_does_not_read_costs_no_run(here, stream, blocking):
    """It waits for the reader until a signal comes; then it saves."""
    reading, writing = os.pipe()
    os.set_blocking(writing, blocking)
    streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, stream: writing}
    # more reports than a pipe holds
    command = [*PROGRAM.split(), "train", "text.txt", *TINY.split(), "--steps", "10000000", "--json"]
    command += ["--val-fraction", "0.1", "--eval-every", "1", "--out", "run"]
    with subprocess.Popen(command, **streams) as process:
        wait_for(lambda: (here / "run" / "metrics.jsonl").exists())
        time.sleep(3)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 130
    for end in (reading, writing):
        os.close(end)
    assert load_state(here / "run").step > 0


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="there is no SIGHUP here")
def test_a_terminal_that_is_closed_sends_more_than_one_signal(here):
    command = [*PROGRAM.split(), "train", "text.txt", *TINY.split(), "--steps", "10000000", "--out", "run"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        wait_for(lambda: (here / "run" / "metrics.jsonl").exists() or (here / "run" / "config.toml").exists())
        time.sleep(1)
        for number in (signal.SIGHUP, signal.SIGHUP, signal.SIGTERM):
            process.send_signal(number)
            time.sleep(0.01)
        assert process.wait(20) == 130
    assert load_state(here / "run").step > 0


def wait_for(condition):
    for _ in range(300):
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError("it takes too long")
