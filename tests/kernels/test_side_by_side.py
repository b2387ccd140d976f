"""Kernels are compiled by this process and by helpers, which share the store with it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

KERNELS = """
from microgpt_kernels.crystal.jit import kernel

""" + "".join(
    f"""
@kernel
def add_{n}(out):
    for i in range(len(out)):
        out[i] += {n}
"""
    for n in range(8)
)
# The second line makes sure that there are two cores to use.
PROGRAM = """
import sys
from microgpt_kernels.crystal import side_by_side
side_by_side.cpu_count = lambda: CORES
import numpy as np
from microgpt_kernels.cache import reports
from microgpt_kernels.crystal.compiling import compile
import eight

def step(out):
    for n in range(8):
        getattr(eight, f"add_{n}")(out)

asked = []
process = side_by_side._process
def counted(errors):
    asked.append(1)
    return process(errors)
side_by_side._process = counted
TROUBLE
out = np.zeros(3)
compile(step)(2, out)
print(len(asked), out.sum(), reports.n_compiled())
"""
RIGHT = "168.0"  # two steps of 0 + 1 + ... + 7, in three places


def run(place, program):
    environment = os.environ | {"NUMBA_CACHE_DIR": str(place / "cache"), "PYTHONPATH": python_path(place)}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=place,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split(), done.stderr.splitlines()


def python_path(place):
    return os.pathsep.join([str(place), *filter(None, sys.path)])


@pytest.fixture
def place(tmp_path):
    (tmp_path / "eight.py").write_text(KERNELS)
    return tmp_path


def program(cores=2, trouble=""):
    return PROGRAM.replace("CORES", str(cores)).replace("TROUBLE", trouble)


def test_a_helper_leaves_what_it_compiles_in_the_store(place):
    assert run(place, program(2)) == (["1", RIGHT, "9"], [])  # and what repeats the step
    assert len(list((place / "cache").rglob("*.code"))) == 9
    assert run(place, program(2)) == (["0", RIGHT, "0"], [])


def test_there_are_no_more_helpers_than_other_cores(place):
    assert run(place, program(1)) == (["0", RIGHT, "9"], [])


def test_a_script_without_a_guard_does_not_start_itself(place):
    (place / "script.py").write_text(program(2))
    words, lines = run(place, "import runpy; runpy.run_path('script.py', run_name='__main__')")
    assert (words, lines) == (["1", RIGHT, "9"], [])


@pytest.mark.parametrize(
    ("trouble", "why"),
    [
        ("sys.executable = '/no/such/python'", "No such file or directory: '/no/such/python'"),
        ("sys.executable = './broken'", "it is broken"),
    ],
    ids=["it does not start", "it ends"],
)
def test_what_a_helper_fails_to_do_is_done_here_and_said(place, trouble, why):
    broken = place / "broken"
    broken.write_text("#!/bin/sh\necho it is broken >&2\nexit 3\n")
    broken.chmod(0o700)
    (_, result, _), (line,) = run(place, program(2, trouble))
    assert result == RIGHT
    assert line.startswith("the kernels are compiled by one process, because a second one failed: ")
    assert why in line


@pytest.mark.skipif(os.name == "nt", reason="it looks for the helper by Unix's means")
def test_a_helper_ends_with_its_process(place):
    slow = program(2, "process_ = process\ndef shown(e):\n    p = process_(e)\n    print(p.pid, flush=True)\n"
                   "    return p\nprocess = shown")  # fmt: skip
    environment = os.environ | {"NUMBA_CACHE_DIR": str(place / "cache"), "PYTHONPATH": python_path(place)}
    with subprocess.Popen(
        [sys.executable, "-c", slow], cwd=place, env=environment, stdout=subprocess.PIPE, text=True
    ) as started:
        helper = int(started.stdout.readline())
        time.sleep(0.5)
        started.send_signal(signal.SIGKILL)
    for _ in range(100):
        try:
            os.kill(helper, 0)
        except ProcessLookupError:
            return
        if "Z" in Path(f"/proc/{helper}/stat").read_text().rpartition(")")[2].split()[0]:
            return  # dead, and not yet buried by whoever has adopted it
        time.sleep(0.1)
    pytest.fail("the helper goes on")
