"""One seed gives the same bits in any number of processes and threads, for batches of 1 to 64 shards."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import shared_steps
from mpi_processes import NEEDED, mpiexec

PROGRAM = (sys.executable, "-W", "error", shared_steps.__file__)
LONGEST = 600  # thousands of messages, on a busy machine


def come_to(directory, *command, threads):
    """What each process has come to, by its rank and its number of threads."""
    subprocess.run(
        [*command, *PROGRAM, directory, *map(str, threads)],
        env={**os.environ, "NUMBA_NUM_THREADS": str(max(threads))},
        timeout=LONGEST,
        check=True,
    )
    return {path.stem: json.loads(path.read_text()) for path in Path(directory).glob("*.json")}


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """What a process comes to alone."""
    found = come_to(tmp_path_factory.mktemp("alone"), threads=(1, 2, 4))
    one = found.pop("0-1")
    assert found == {"0-2": one, "0-4": one}
    return one


def test_threads_do_not_decide(alone):
    assert alone.keys() == {shared_steps.named(kind) for kind in shared_steps.KINDS}
    for name, (first, last, n_shards, _) in alone.items():
        assert n_shards == int(name.split()[0])
        assert last < first
    assert len({digest for *_, digest in alone.values()}) == len(alone)


class TestProcesses:
    pytestmark = NEEDED

    @pytest.mark.parametrize("n", [2, 3, 4, 8])
    def test_processes_do_not_decide(self, alone, tmp_path, n):
        found = come_to(tmp_path, *mpiexec(n), threads=(1,))
        assert found == {f"{rank}-1": alone for rank in range(n)}

    def test_nor_do_threads_in_each(self, alone, tmp_path):
        found = come_to(tmp_path, *mpiexec(2), threads=(2,))
        assert found == {"0-2": alone, "1-2": alone}
