"""Processes that mpiexec starts, and where to find them."""

import os
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

BESIDE_PYTHON = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
MPIEXEC = shutil.which("mpiexec", path=BESIDE_PYTHON)
NEEDED = [
    pytest.mark.skipif(find_spec("mpi4py") is None, reason="mpi4py is missing: pip install -e '.[mpi]'"),
    pytest.mark.skipif(MPIEXEC is None, reason="mpiexec is missing: pip install -e '.[mpi]'"),
    pytest.mark.skipif(not os.path.exists("/proc"), reason="processes are looked for in /proc"),
    pytest.mark.usefixtures("signals"),
]
# Where there are more processes than cores, one that waits for the others lets them work.
os.environ.setdefault("MPIR_CVAR_POLLS_BEFORE_YIELD", "1")
SECONDS = 20  # within which everything ends, on a busy machine
LONGEST = 120  # that a test waits for a start or an end


def mpiexec(n, *command):
    return (MPIEXEC, "-n", str(n), *map(str, command))


def processes_of(directory):
    """Those that were started with this path: the number of each by its rank."""
    ranks = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
            lines = (process / "environ").read_bytes().split(b"\0")
        except OSError:  # it has just ended, or is another user's
            continue
        if str(directory).encode() in words:
            values = dict(line.partition(b"=")[::2] for line in lines)
            if b"PMI_RANK" in values:
                ranks[int(values[b"PMI_RANK"])] = int(process.name)
    return ranks
