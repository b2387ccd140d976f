"""What the GPU backend says where something is missing."""

import re
import subprocess
import sys
import types
from importlib import metadata

import pytest
from microgpt_kernels import BackendError, load, status
from microgpt_kernels.needs import nvidia


class DriverLibrary:
    """libcuda as far as it is asked, with these answers."""

    def __init__(self, error=0, n_devices=1, version=13000, capability=(9, 0)):
        self.error, self.n_devices, self.version, self.capability = error, n_devices, version, capability

    def cuDeviceGetAttribute(self, value, attribute, device):  # noqa: N802
        value._obj.value = self.capability[attribute - 75]
        return 0

    def cuInit(self, flags):  # noqa: N802
        return self.error

    def cuDeviceGetCount(self, n):  # noqa: N802
        n._obj.value = self.n_devices
        return 0

    def cuDriverGetVersion(self, version):  # noqa: N802
        version._obj.value = self.version
        return 0


class NotFoundError(Exception):
    """How the pathfinder says that there is no such library."""


def answer(library=None, packages=True, toolkit="13.5.0", cublas=True, backend="cublas"):
    """The sentence that `check` gives; None where nothing is missing."""

    def load_library(name):
        if not cublas:
            raise NotFoundError(name)

    pathfinder = types.SimpleNamespace(
        load_nvidia_dynamic_lib=load_library, DynamicLibNotFoundError=NotFoundError
    )

    def open_driver():
        if library is None:
            raise OSError("libcuda.so.1: cannot open shared object file")
        return library

    def version(package):
        if toolkit is None:
            raise metadata.PackageNotFoundError(package)
        return toolkit

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            nvidia, "find_spec", lambda module: object() if packages is True or module in packages else None
        )
        patch.setattr(nvidia.metadata, "version", version)
        patch.setitem(sys.modules, "cuda", types.SimpleNamespace(pathfinder=pathfinder))
        try:
            nvidia.check(backend, open_driver)
        except BackendError as error:
            return str(error).removeprefix(f"the backend {backend!r} ")
    return None


def test_a_machine_with_everything_is_accepted():
    assert answer(DriverLibrary()) is None
    assert answer(DriverLibrary(version=12090), toolkit="12.9.1") is None
    # a driver newer than the packages
    assert answer(DriverLibrary(version=13000), toolkit="12.9.1") is None


def test_what_is_missing_is_named():
    assert answer() == "needs an NVIDIA GPU, and this machine has no NVIDIA driver; use crystal or openblas"
    none = "needs an NVIDIA GPU, and the driver shows none; use crystal or openblas"
    assert answer(DriverLibrary(n_devices=0)) == answer(DriverLibrary(error=100)) == none
    assert answer(DriverLibrary(error=803)) == (
        "needs an NVIDIA driver that works, and this one fails with CUDA error 803; reinstall it"
    )
    assert answer(DriverLibrary(), packages=()) == (
        "needs the package 'numba-cuda': pip install 'microgpt-numba[cuda13]', or cuda12 for an older driver"
    )
    assert "'cuda-core'" in answer(DriverLibrary(), packages=("numba_cuda", "cuda.pathfinder"))


def test_a_hidden_gpu_is_told_from_none(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert "shows none (CUDA_VISIBLE_DEVICES is '')" in answer(DriverLibrary(n_devices=0))


def test_an_old_driver_is_told_what_would_work():
    said = answer(DriverLibrary(version=12040))
    assert "this one supports CUDA 12.4, and the packages installed here are those of CUDA 13" in said
    assert said.endswith("update the driver, or pip install 'microgpt-numba[cuda12]'")
    # there is no extra for CUDA 11
    assert answer(DriverLibrary(version=11040)).endswith("; update the driver")


def test_an_old_gpu_is_told_which_packages_know_it():
    assert answer(DriverLibrary(capability=(7, 0))) == (
        "needs older packages for this GPU of compute capability 7.0: pip install 'microgpt-numba[cuda12]'"
    )
    assert answer(DriverLibrary(capability=(7, 0)), toolkit="12.9.1") is None
    assert answer(DriverLibrary(capability=(7, 5))) is None


@pytest.mark.parametrize("backend", ["cublas", "cublas-tf32"])
def test_a_missing_cublas_is_named_and_so_is_the_backend_that_was_asked_for(backend):
    needs = "needs the library cuBLAS: pip install 'cuda-toolkit[cublas]'"
    assert answer(DriverLibrary(), cublas=False, backend=backend) == needs


def test_a_machine_without_a_gpu_is_told_so_at_once():
    """And nothing of CUDA or Numba is imported for it."""
    if status("cublas").usable:
        pytest.skip("this machine has a GPU")
    code = (
        "import sys, microgpt_kernels as m; row = m.status('cublas'); assert not row.usable; "
        "assert not {'numba', 'numba_cuda', 'cuda.core', 'numpy'} & set(sys.modules); print(row.detail)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert re.fullmatch(r"needs [^\n]+\n", said)
    for name in ("cublas", "cublas-tf32"):
        with pytest.raises(BackendError, match=f"the backend '{name}' needs"):
            load(name)
