"""The GPU backend for tests: simulated everywhere, and on the GPU itself where there is one."""

import functools
import importlib.util
import shutil
import subprocess
import sys

import numpy as np
import pytest
from microgpt_kernels import BackendError, load
from microgpt_kernels.needs import nvidia

SIMULATED, REAL = "simulated cublas", "cublas"
# conftest.py skips tests with one of these marks, with the reason, if what the mark needs is missing
MARKS = {SIMULATED: "simulated_gpu", REAL: "gpu"}
# for parametrised tests
GPU_BACKENDS = tuple(pytest.param(name, marks=getattr(pytest.mark, mark)) for name, mark in MARKS.items())


@functools.cache
def unavailable(name):
    """Why there is no such backend for tests here, or None."""
    if name == REAL:
        try:
            load(REAL)
        except BackendError as error:
            return str(error)
        return None
    if all(importlib.util.find_spec(package) for package in ("numba_cuda", "greenlet")):
        return None
    return "a simulated GPU needs numba-cuda and greenlet: pip install 'microgpt-numba[test,cuda13]'"


def gpu_backend(name, monkeypatch):
    """The backend on the simulated or the real GPU; the test is skipped if that cannot be used."""
    if reason := unavailable(name):
        pytest.skip(reason)
    if name == REAL:
        return load(REAL)
    from simulator import simulate

    monkeypatch.setattr(nvidia, "check", lambda name: None)
    simulate(monkeypatch)
    return load(REAL)


def device():
    """The GPU that `gpu_backend` has chosen."""
    from microgpt_kernels.cublas import device

    return device.current()


def build(source, library):
    """Compiles a stand-in for one of NVIDIA's libraries from C; the test is skipped without a compiler."""
    compiler = shutil.which("cc")
    if compiler is None or not sys.platform.startswith("linux"):
        pytest.skip("the stand-ins for NVIDIA's libraries need Linux and a C compiler")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
    return library


class Hosted:
    """Makes a device's kernels take NumPy arrays, which are copied to the device and back."""

    def __init__(self, k):
        self.k = k

    def __getattr__(self, name):
        kernel, k = getattr(self.k, name), self.k

        def called(*arguments):
            # an array that is passed twice is a single array on the device, too
            there = {id(a): k.to_device(a) for a in arguments if isinstance(a, np.ndarray)}
            kernel(*(there.get(id(a), a) for a in arguments))
            for array in arguments:
                if isinstance(array, np.ndarray):
                    array[...] = k.to_host(there[id(array)])

        return called
