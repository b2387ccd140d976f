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


def come_to(directory, *command, threads, every=1):
    """What each process has come to, by its rank and its number of threads, with every `every`-th kind."""
    subprocess.run(
        [*command, *PROGRAM, str(every), directory, *map(str, threads)],
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

    # more processes than cores take their time
    @pytest.mark.parametrize(
        ("n", "threads", "every"), [(2, 1, 1), (2, 2, 3), (3, 1, 1), (4, 1, 3), (8, 1, 3)]
    )
    def test_processes_do_not_decide(self, alone, tmp_path, n, threads, every):
        found = come_to(tmp_path, *mpiexec(n), threads=(threads,), every=every)
        some = {name: alone[name] for name in map(shared_steps.named, shared_steps.KINDS[::every])}
        assert found == {f"{rank}-{threads}": some for rank in range(n)}
