"""The processes of a race: they are replaced when they end, and end with the one that leads them."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from racing import die, hold, hold_for_ever, is_free, square, threads, wait_until

from microgpt.errors import MicrogptError, UsageError
from microgpt.race import workers as module
from microgpt.race.workers import processes

unix = pytest.mark.skipif(os.name != "posix", reason="signals and locks of this kind are Unix's")
SECONDS = 20  # within which processes end, on a busy machine


@pytest.fixture(autouse=True)
def two_cores(monkeypatch):
    monkeypatch.setenv("NUMBA_NUM_THREADS", "2")


def collected(workers):
    """All that is still to be returned."""
    results = []
    while workers.n_waiting:
        results += workers.done()
    return results


def test_what_functions_return_and_raise():
    workers = threads(2)
    for n in range(5):
        workers.submit(square, n)
    assert sorted(collected(workers)) == [0, 1, 4, 9, 16]
    assert workers.done() == []
    workers.submit(square, -1)
    with pytest.raises(ValueError, match="-1"):
        collected(workers)
    workers.close()


def test_what_has_been_returned_is_not_lost_where_another_call_fails():
    workers = threads()
    for n in (-1, 2, -3, 4):
        workers.submit(square, n)
    time.sleep(0.2)
    assert sorted(workers.done()) == [4, 16]
    for _ in range(2):
        with pytest.raises(ValueError, match="-"):
            workers.done()
    assert workers.done() == []
    workers.close()


@unix
def test_processes_that_are_killed_are_replaced_and_lose_nothing(tmp_path):
    with processes(2) as workers:
        assert workers.number == 2
        workers.submit(die, (2, tmp_path / "tries"))
        for n in range(20):
            workers.submit(square, n)
        results = collected(workers)
    (survivor,) = set(results) - {n * n for n in range(20)}
    assert sorted(set(results) - {survivor}) == [n * n for n in range(20)]
    assert len(results) == 21
    assert (tmp_path / "tries").read_text() == "xxx"


@unix
def test_a_process_at_work_ends_with_those_that_are_replaced(tmp_path):
    """Its call is repeated, and should not be computed twice at a time."""
    with processes(2) as workers:
        workers.submit(hold_for_ever, tmp_path / "held")
        wait_until(lambda: pids(tmp_path / "held"))
        workers.submit(die, (1, tmp_path / "tries"))
        workers.submit(square, 3)  # Python looks after a new process only once there is more to do
        while workers.n_waiting > 1:
            workers.done()
        # the process that repeats the first call had to wait for the lock
        wait_until(lambda: len(set(pids(tmp_path / "held"))) == 2, SECONDS)
    wait_until(lambda: is_free(tmp_path / "held"), SECONDS)


def pids(file):
    return file.read_text().split() if file.exists() else []


@unix
def test_processes_that_end_each_time_end_the_race(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MOST_LOSSES", 2)
    with processes(1) as workers:
        workers.submit(die, (1000, tmp_path / "tries"))
        with pytest.raises(MicrogptError, match=r"end before they have done anything: .* fewer --processes"):
            collected(workers)
    assert (tmp_path / "tries").read_text() == "xxx"


@unix
def test_what_runs_is_not_waited_for(tmp_path):
    with processes(2) as workers:
        for name in "ab":
            workers.submit(hold_for_ever, tmp_path / name)
        workers.submit(hold, tmp_path / "waits in line")
        wait_until(lambda: all(pids(tmp_path / name) for name in "ab"))
        begun = time.monotonic()
    assert time.monotonic() - begun < SECONDS
    assert all(is_free(tmp_path / name) for name in "ab")
    assert not (tmp_path / "waits in line").exists()


LEADER = """
import sys
from pathlib import Path
from racing import TEXT, hold, plan
from microgpt.race.race import Job, train
from microgpt.race.runs import entries
from microgpt.race.workers import processes

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    (folder / "text.txt").write_text(TEXT)
    its = plan(folder / "text.txt", options={"backend": "crystal", "steps": 10**9})
    run = entries(its)[0].run(0.01, 1)
    with processes(2) as workers:
        for name in "ab":
            workers.submit(hold, folder / name)
        while workers.n_waiting:
            workers.done()
        for _ in range(8):
            workers.submit(train, Job(run.key, run.config, run.text_sha256))
        print("at work", flush=True)
        while True:
            workers.done()
"""


@unix
def test_processes_end_when_the_leading_one_is_killed(tmp_path):
    tests = Path(__file__).parents[1]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([*sys.path, str(tests)])}
    (tmp_path / "leader.py").write_text(LEADER)
    command = [sys.executable, tmp_path / "leader.py", tmp_path]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as leader:
        assert leader.stdout.readline() == "at work\n"
        time.sleep(1)
        assert not any(is_free(tmp_path / name) for name in "ab")
        leader.send_signal(signal.SIGKILL)
    wait_until(lambda: all(is_free(tmp_path / name) for name in "ab"), SECONDS)


@unix
def test_signals_of_a_terminal_reach_the_leading_process_only(tmp_path):
    with processes(1) as workers:
        workers.submit(hold, tmp_path / "held")
        (pid,) = collected(workers)
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            os.kill(pid, getattr(signal, name))
        workers.submit(square, 3)
        assert collected(workers) == [9]
        assert not is_free(tmp_path / "held")


@pytest.mark.parametrize(
    ("number", "kind", "message"),
    [
        (3, MicrogptError, "--processes 3: this machine has 2 cores to give"),
        (0, UsageError, "--processes must be at least 1, not 0"),
        (-1, UsageError, "--processes must be at least 1, not -1"),
    ],
)
def test_how_many_there_may_be(number, kind, message):
    with pytest.raises(kind, match=message), processes(number):
        pass


def test_as_many_as_there_are_cores():
    with processes(None) as workers:
        assert workers.number == 2
