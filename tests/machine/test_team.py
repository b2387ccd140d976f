"""What the processes of mpiexec tell each other."""

import os
import subprocess
import sys

import pytest
from mpi_processes import LONGEST, NEEDED, mpiexec

from microgpt.machine.team import joined

TALK = """
import numpy as np
from microgpt.errors import MicrogptError
from microgpt.machine.team import END, joined

team = joined()
r, R = team.rank, team.size
assert (R, team.leads) == (3, r == 0)
assert team.tell({"a": [1]} if team.leads else None) == {"a": [1]}
team.agree(None)

shared = np.arange(5.0) * (1 if team.leads else 0)
team.share(shared)
assert shared.tolist() == [0, 1, 2, 3, 4]

# the third process has nothing, and each gets its part of what the others have: 2, 1 and 2 numbers
counts = [2, 1, 2]
received = np.zeros(2 * counts[r], np.float32)
team.exchange_parts(
    np.arange(5, dtype=np.float32) + 10 * r, counts if r < 2 else [0] * 3, received, [counts[r]] * 2 + [0]
)
first = [0, 2, 3][r]
own = [first + i for i in range(counts[r])]
assert received.tolist() == own + [10 + x for x in own]

whole = np.full(5, -1.0)
whole[first : first + counts[r]] = own
team.gather(whole, counts)
assert whole.tolist() == [0, 1, 2, 3, 4]

if team.leads:
    team.order(7)
else:
    assert team.next_order() == 7
    assert team.next_order() == END
"""
AGREED = TALK + "if team.leads:\n    team.dismiss()\n"
# every process raises the same error, of the first one that has a problem
DISAGREED = """
from microgpt.errors import MicrogptError
from microgpt.machine.team import joined

team = joined()
team.tell(1 if team.leads else None)
try:
    team.agree(None if team.leads else f"problem {team.rank}")
except MicrogptError as error:
    assert str(error) == "the process of rank 1 cannot take part: problem 1"
    if team.leads:
        team.dismiss()
else:
    raise AssertionError
"""
# the first process has nothing to tell
NOTHING = """
from microgpt.machine.team import joined

team = joined()
if team.leads:
    team.dismiss()
else:
    assert team.tell() is None
"""
FAILED = """
import time
from microgpt.machine.team import joined

team = joined()
with team.ending_together():
    if team.rank == 1:
        raise ValueError("a made-up error")
    time.sleep(600)
"""


def python(*command, code):
    return subprocess.run([*command, code], capture_output=True, text=True, timeout=LONGEST)


def test_a_process_without_mpiexec_has_no_team(monkeypatch):
    monkeypatch.delenv("PMI_SIZE", raising=False)
    monkeypatch.delenv("OMPI_COMM_WORLD_SIZE", raising=False)
    assert joined() is None


def test_without_mpi4py(monkeypatch):
    monkeypatch.setenv("PMI_SIZE", "2")
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    with pytest.raises(Exception, match=r"has started 2 processes, but mpi4py cannot be imported .*\[mpi\]"):
        joined()


class TestProcesses:
    pytestmark = NEEDED

    @pytest.mark.parametrize("program", [AGREED, DISAGREED, NOTHING])
    def test_they_talk_and_end(self, program):
        result = python(*mpiexec(3, sys.executable, "-c"), code=program)
        assert (result.returncode, result.stderr) == (0, "")

    def test_an_error_of_one_ends_all(self):
        result = python(*mpiexec(3, sys.executable, "-c"), code=FAILED)
        assert result.returncode == 1
        assert "ValueError: a made-up error" in result.stderr

    def test_the_mpiexec_of_another_mpi_is_noticed(self):
        result = subprocess.run(
            [sys.executable, "-m", "microgpt", "train", "text.txt"],
            env={**os.environ, "OMPI_COMM_WORLD_SIZE": "2"},
            capture_output=True,
            text=True,
            timeout=LONGEST,
        )
        assert result.returncode == 1
        said = "microgpt: mpiexec has started 2 processes, but mpi4py, which uses "
        assert result.stderr.splitlines()[-1].startswith(said)
