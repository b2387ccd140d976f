"""Races whose processes mpiexec starts: the same results, and all of them end together."""

import os
import re
import signal
import subprocess
import sys
import time

import pytest
from mpi_processes import NEEDED, SECONDS, mpiexec, processes_of
from racing import QUICK, begun, found, in_threads, started, until_rows, wait_until
from typer.testing import CliRunner

from microgpt.cli.app import app
from microgpt.race import command

pytestmark = NEEDED
LONG = {"seeds": 3, "options": {"steps": 20}}


def hold_in_threads(directory, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(command, "_workers", in_threads)
        patch.setattr("microgpt.race.files.find_spec", lambda name: None)
        result = CliRunner().invoke(app, ["race", str(directory)])
    assert result.exit_code == 0, result.output
    return found(directory)


@pytest.mark.parametrize("n", [1, 2, 4])
def test_the_results_do_not_depend_on_the_number_of_processes(here, n, monkeypatch):
    begun(here / "mpi", "text.txt")
    result = subprocess.run(
        mpiexec(n, *QUICK, "mpi"), capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("With equal steps, 6 seeds:") == 1
    begun(here / "threads", "text.txt")
    assert found("mpi") == hold_in_threads(here / "threads", monkeypatch)


def test_ctrl_c_ends_all_processes_with_the_table_so_far(here):
    directory = begun(here / "race", "text.txt", **LONG)
    with started(directory, command=mpiexec(3, *QUICK)) as process:
        until_rows(directory, 3)
        assert sorted(processes_of(directory)) == [0, 1, 2]
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=SECONDS)
    assert process.returncode == 130
    assert "Traceback" not in stderr
    assert re.search(r"1\+2\+3 +.* of tuning\n", stdout)
    assert re.search(r"^\d+ runs are left; to go on: ", stderr, re.MULTILINE)
    wait_until(lambda: not processes_of(directory), SECONDS)


def test_a_process_that_is_killed_ends_all_and_the_race_goes_on(here, monkeypatch):
    directory = begun(here / "race", "text.txt", **LONG)
    for rank in (0, 1):
        with started(directory, command=mpiexec(3, *QUICK)) as process:
            until_rows(directory, 3 * (rank + 1))
            os.kill(processes_of(directory)[rank], signal.SIGKILL)
            process.communicate(timeout=SECONDS)
        assert process.returncode != 0
        wait_until(lambda: not processes_of(directory), SECONDS)
    n_before = len(found(directory))
    begun(here / "whole", "text.txt", **LONG)
    assert hold_in_threads(directory, monkeypatch) == hold_in_threads(here / "whole", monkeypatch)
    assert 6 <= n_before < len(found(directory))


FULL = """
from microgpt.__main__ import main
from microgpt.errors import MicrogptError
from microgpt.race.results import Results

def append(self, row, append=Results.append):
    if self.rows:
        raise MicrogptError("the disk is full")
    append(self, row)

Results.append = append
main()
"""


def test_an_error_ends_what_takes_long(here):
    """The short runs come first, and the second of them cannot be kept."""
    lengths = {"short": {"steps": 2}, "long": {"steps": 10**9}}
    directory = begun(here / "race", "text.txt", seeds=1, tuning_seeds=0, conditions=lengths)
    (here / "full.py").write_text(FULL)
    command = mpiexec(3, sys.executable, "full.py", "race", directory)
    begin = time.monotonic()
    result = subprocess.run(
        command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60 + SECONDS
    )
    assert time.monotonic() - begin < 60
    assert result.returncode == 1
    assert [line for line in result.stderr.splitlines() if line.startswith("microgpt: ")] == [
        "microgpt: the disk is full"
    ]
    assert len(found(directory)) == 1
    wait_until(lambda: not processes_of(directory), SECONDS)


def test_what_is_refused_is_said_once(here):
    result = subprocess.run(
        mpiexec(2, *QUICK, "none.txt", "--heads", "1+2+3,2+2+2", "--d-model", "6"),
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == "microgpt: there is no text, plan or race none.txt\n"
