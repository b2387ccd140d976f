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
# tests with one of these marks are skipped, with the reason, where what it needs is missing: conftest.py
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
    """The backend, simulated or not; else the test is skipped."""
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
    """A stand-in for a library of NVIDIA's, from its source in C; else the test is skipped."""
    compiler = shutil.which("cc")
    if compiler is None or not sys.platform.startswith("linux"):
        pytest.skip("the stand-ins for NVIDIA's libraries need Linux and a C compiler")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
    return library


class Hosted:
    """A backend on a device as one whose kernels take NumPy arrays: they are copied there and back."""

    def __init__(self, k):
        self.k = k

    def __getattr__(self, name):
        kernel, k = getattr(self.k, name), self.k

        def called(*arguments):
            # one array twice is one array there, too
            there = {id(a): k.to_device(a) for a in arguments if isinstance(a, np.ndarray)}
            kernel(*(there.get(id(a), a) for a in arguments))
            for array in arguments:
                if isinstance(array, np.ndarray):
                    array[...] = k.to_host(there[id(array)])

        return called
