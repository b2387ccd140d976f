"""`mpiexec -n N microgpt train`: what a single process does, said once, and all of them end together."""

import json
import re
import signal
import subprocess
import sys

import numpy as np
import pytest
from mpi_processes import LONGEST, NEEDED, SECONDS, mpiexec, processes_of
from racing import started, wait_until

from microgpt.checkpoint.saved import load_state

pytestmark = NEEDED
TEXT = "the cat sat on the mat; a dog ate the hat.\n" * 100
PROGRAM = (sys.executable, "-W", "error", "-m", "microgpt", "train")
TINY = (
    "text.txt", "--recipe", "plain", "--seq-len", "16", "--d-model", "16", "--batch-size", "4",
    "--val-fraction", "0.1", "--eval-every", "7",
)  # fmt: skip


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text(TEXT)
    return tmp_path


def train(n, *arguments, code=0, program=PROGRAM, **options):
    command = list(map(str, (*program, *arguments)))
    command = mpiexec(n, *command) if n > 1 else command
    options = {"stdin": subprocess.DEVNULL, **options} if "input" not in options else options
    result = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST, **options)
    assert result.returncode == code, result.stderr
    return result


def untimed(lines):
    reports = [json.loads(line) for line in lines.splitlines()]
    return [{k: v for k, v in report.items() if k not in ("chars_per_s", "elapsed_s")} for report in reports]


def assert_same(one, other):
    """All that two runs with equal options have in common."""
    states = load_state(one), load_state(other)
    for name in ("param", "m", "v"):
        assert np.array_equal(*(getattr(state, name) for state in states)), name
    for name in ("model.safetensors", "best.safetensors"):
        assert (one / name).read_bytes() == (other / name).read_bytes(), name
    assert untimed((one / "metrics.jsonl").read_text()) == untimed((other / "metrics.jsonl").read_text())
    assert (one / "samples.txt").read_text() == (other / "samples.txt").read_text()


def sentences(result):
    return [line for line in result.stderr.splitlines() if line.startswith("microgpt: ")]


def test_two_processes_do_what_one_does(here):
    one, two = (train(n, *TINY, "--steps", 20, "--out", f"of-{n}", "--json") for n in (1, 2))
    assert_same(here / "of-1", here / "of-2")
    *reports, last = untimed(one.stdout)
    *others, other = untimed(two.stdout)
    assert (others, {**other, "out": "of-1"}) == (reports, last)
    starts = [json.loads((here / f"of-{n}" / "starts.jsonl").read_text()) for n in (1, 2)]
    assert [start["processes"] for start in starts] == [1, 2]
    assert two.stderr.count("2 processes share each batch\n") == 1
    (command,) = re.findall(
        "if a process is lost, all of them end; .* to go on from the last one: (.*)\n", two.stderr
    )
    assert re.fullmatch("mpiexec -n 2 .*microgpt train --resume of-2", command)
    assert "if a process is lost" not in one.stderr


def test_a_run_goes_on_in_any_number_of_processes(here):
    train(1, *TINY, "--steps", 10, "--out", "run")
    three = train(3, "--resume", "run", "--steps", 20)
    said = "only 2 of 3 processes have work: a batch has 4 parts, and a process takes 2 of them"
    assert said in three.stderr
    train(2, "--resume", "run", "--steps", 30)
    train(1, "--resume", "run", "--steps", 40)
    for steps in (10, 20, 30, 40):  # a sample at the end of each
        again = ("--resume", "whole") if steps > 10 else (*TINY, "--out", "whole")
        train(1, *again, "--steps", steps)
    assert_same(here / "run", here / "whole")


REPLICAS = (*TINY[:-1], "6", "--local-steps", "3")


def test_replicas_are_the_same_however_they_are_spread(here):
    """Three processes have four replicas, which a single process has too; and a run moves between them."""
    three = train(3, *REPLICAS, "--replicas", 4, "--steps", 24, "--out", "of-3")
    assert "3 processes share 4 replicas, which meet every 3 steps" in three.stderr
    train(1, *REPLICAS, "--replicas", 4, "--steps", 24, "--out", "of-1")
    assert_same(here / "of-1", here / "of-3")
    train(2, *REPLICAS, "--replicas", 4, "--steps", 12, "--out", "moved")
    train(1, "--resume", "moved", "--steps", 18)
    train(4, "--resume", "moved", "--steps", 24)
    for name in ("param", "m", "v"):
        assert np.array_equal(*(getattr(load_state(here / run), name) for run in ("of-1", "moved"))), name


def test_each_process_has_a_replica_unless_their_number_is_given(here):
    train(2, *REPLICAS, "--steps", 6, "--out", "run")
    assert load_state(here / "run").config.replicas == 2
    result = train(3, "--resume", "run", "--steps", 9, code=1)
    said = "microgpt: mpiexec has started 3 processes for 2 replicas: start at most as many"
    assert sentences(result) == [said]
    result = train(2, *REPLICAS, "--lr", "1e5", "--steps", 60, code=3)
    (line,) = sentences(result)
    assert re.match(r"microgpt: replica [12]: the (loss|gradient) is not finite at step \d+: ", line)


ELSEWHERE = """
import os
from microgpt.__main__ import main

os.chdir(os.environ["PMI_RANK"])
main()
"""


def test_processes_that_read_another_text_do_not_begin(here):
    (here / "elsewhere.py").write_text(ELSEWHERE)
    for rank, text in enumerate((TEXT, TEXT.replace("cat", "rat", 1))):
        (here / str(rank)).mkdir()
        (here / str(rank) / "text.txt").write_text(text)
    result = train(2, *TINY, program=(sys.executable, "elsewhere.py", "train"), code=1)
    said = "microgpt: the process of rank 1 cannot take part: it reads another text in text.txt"
    assert sentences(result) == [said]
    assert "step 1" not in result.stderr
    assert not (here / "0" / "runs" / "text").exists()


REFUSED = {
    "every process of mpiexec reads the text itself: name a file that all of them have": (1, "-"),
    "--minutes measures a single process: with mpiexec, give --steps": (2, "text.txt", "--minutes", "1"),
    "--d-model must be at least 1, not 0": (2, "text.txt", "--d-model", "0"),
    "invalid value for '--steps': 'x' should be a whole number": (2, "text.txt", "--steps", "x"),
    "nothing.toml": (2, "text.txt", "--config", "nothing.toml"),
    "none.txt": (1, "none.txt"),
    "each process of mpiexec has ": (1, "text.txt", "--threads", "100"),
}


@pytest.mark.parametrize("said", REFUSED)
def test_what_is_refused_is_said_once(here, said):
    code, *words = REFUSED[said]
    result = train(2, *words, code=code, input=TEXT)
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("microgpt: ")
    assert said in line


def test_a_loss_that_is_not_finite_ends_all(here):
    result = train(2, *TINY, "--lr", "1e5", "--steps", 50, code=3)
    (line,) = sentences(result)
    assert re.match(r"microgpt: the (loss|gradient) is not finite at step \d+: ", line)
    assert "Traceback" not in result.stderr


BROKEN = """
import os
from microgpt.__main__ import main
from microgpt.training import {module}

def fail(self, *arguments):
    if os.environ["PMI_RANK"] == "{rank}":
        raise ValueError("a made-up error")

{module}.{function} = fail
main()
"""


@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize(
    ("module", "function"), [("exchange", "Exchanger.send"), ("together", "Trainer.compile")]
)
def test_no_process_waits_for_one_that_has_failed(here, module, function, rank):
    (here / "broken.py").write_text(BROKEN.format(module=module, function=function, rank=rank))
    result = train(2, *TINY, program=(sys.executable, "broken.py", "train"), code=1)
    assert "ValueError: a made-up error" in result.stderr


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_to_mpiexec_ends_all_with_a_checkpoint(here, name):
    out = here / "run"
    with started(*TINY, "--steps", 10**6, "--out", out, "--json", command=mpiexec(2, *PROGRAM)) as process:
        first = json.loads(process.stdout.readline())
        process.send_signal(getattr(signal, name))
        stdout, stderr = process.communicate(timeout=LONGEST)
    assert process.returncode == 130
    assert "Traceback" not in stderr
    assert first["step"] <= load_state(out).step < 10**6
    last = [json.loads(line) for line in stdout.splitlines() if line.startswith("{")][-1]
    assert (last["step"], last["interrupted"]) == (load_state(out).step, True)
    (command,) = re.findall("^interrupted and saved; to go on: (.*)$", stderr, re.MULTILINE)
    assert command.startswith("mpiexec -n 2 ")
    assert command.endswith(f" train --resume {out}")
    wait_until(lambda: not processes_of(out), SECONDS)
