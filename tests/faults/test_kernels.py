"""A sample of `tests/faults/kernels.py`, and that it would find what it looks for."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="fences of memory need mprotect and fork")
ROOT = Path(__file__).resolve().parents[2]


def python(*arguments, **environment):
    paths = os.pathsep.join((str(ROOT), str(ROOT / "kernels")))
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env=os.environ | {"PYTHONPATH": paths} | environment,
        capture_output=True, text=True,
    )  # fmt: skip


@pytest.mark.parametrize("processor", [{}, {"NUMBA_CPU_NAME": "generic"}], ids=["this", "the plainest"])
def test_kernels_keep_to_their_arrays(processor):
    child = python("-m", "tests.faults.kernels", "--tries", "500", "--seed", "1", **processor)
    assert (child.returncode, child.stderr) == (0, "")
    assert child.stdout == "500 tries of seed 1, 0 failed\n"


FAULTY = """
import ctypes, sys
import numpy as np
from tests.faults import kernels
from microgpt_kernels import load

def faulty(out, inp):
    np.maximum(inp, 0, out=out)
    ctypes.memset(out.ctypes.data + {offset}, 0, {size})

kernels.KERNELS = tuple(k for k in kernels.KERNELS if k.name == "relu_forward")
for backend in kernels.CPU_BACKENDS:
    load(backend).relu_forward = faulty
sys.exit(kernels.fuzz(40, 0))
"""


@pytest.mark.parametrize(
    ("offset", "size", "message"),
    [
        ("out.nbytes", 4, "ended by SIG"),
        ("out.nbytes", 4, "out: written outside of the array"),
        ("-4", 4, "ended by SIG"),
        ("-4", 4, "out: written outside of the array"),
        ("0", 4, "out is off by"),
    ],
)
def test_a_kernel_that_does_not_is_found(offset, size, message):
    child = python("-c", FAULTY.format(offset=offset, size=size))
    assert child.returncode > 5
    assert message in child.stderr
    assert "relu_forward" in child.stderr
