"""cuda.core itself, on a stand-in for the driver: the calls are right, whatever a GPU would make of them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from gpu import build

TESTS = Path(__file__).parents[1]

# A training run on the stand-ins
RUN = """
import ctypes
import sys
import cuda.core
import numpy as np
from cuda.bindings import driver
from microgpt_kernels import load
from microgpt_kernels.cublas import blas, device
from microgpt_kernels.needs import nvidia

nvidia._missing_cublas = lambda: None  # there is a stand-in for it
made = device.Device(cuda.core, driver, blas.Cublas(ctypes.CDLL("libcublas_stand_in.so")))
device.current = lambda: made
k = load("cublas")
assert k.describe() == "a stand-in, compute capability 9.0, 16 GiB, cuBLAS 13.1", k.describe()
values = np.arange(6, dtype=np.float32).reshape(2, 3)
assert np.array_equal(k.to_host(k.to_device(values)[1]), values[1])
assert np.array_equal(k.to_host(k.zeros((3,), np.int64)), np.zeros(3))

from test_gpu import make

trainer = make(k)
trainer.compile()
trainer._steps(4, trainer.state)
"""


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    """The folder of a libcuda.so.1, and of a cuBLAS."""
    pytest.importorskip("cuda.core", reason="the GPU backend needs the package cuda-core")
    folder = tmp_path_factory.mktemp("driver")
    build(TESTS / "stand_in_driver.c", folder / "libcuda.so.1")
    build(TESTS / "stand_in_cublas.c", folder / "libcublas_stand_in.so")
    return folder


def test_a_run_makes_the_calls_that_it_should(driver):
    paths = os.pathsep.join([str(TESTS), str(TESTS / "kernels"), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "LD_LIBRARY_PATH": str(driver), "PYTHONPATH": paths}
    done = subprocess.run([sys.executable, "-c", RUN], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    first, *lines = done.stdout.splitlines()
    assert first == "stream 1"  # that waits for no other
    kinds = [line.partition(" ")[0] for line in lines]
    n = kinds.count("launch")
    # one step as it is, the same captured, and three replays; nothing else
    assert kinds == ["launch"] * n + ["capture"] * n + ["replay"] * 3
    launched, captured = (
        [line.split()[1:] for line in lines if line.startswith(k)] for k in ("launch", "capture")
    )
    assert launched == captured
    # of the 57 launches 15 are products, which this cuBLAS makes on the host
    assert n == 21 + 36 - 15
    assert launched[0] == ["_batch_fill_kernel", "1", "1", "1", "128"]
    assert ["_attention_forward_kernel", "9", "1", "1", "64"] in launched
