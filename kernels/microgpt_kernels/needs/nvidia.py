"""An NVIDIA GPU, a driver for it, and packages that the driver supports."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from importlib import metadata
from importlib.util import find_spec

from microgpt_kernels.errors import BackendError

# the modules that the backend imports, and the package that contains each
PACKAGES = {"numba_cuda": "numba-cuda", "cuda.core": "cuda-core", "cuda.pathfinder": "cuda-pathfinder"}
OLDEST_CAPABILITY_OF_CUDA_13 = (7, 5)  # the oldest GPUs that CUDA 13 compiles for
OLDEST_CUDA = 12  # the oldest version for which there is an extra
NO_DEVICE = 100  # the driver's error code if it finds no GPU
REMEDY = "pip install 'microgpt-numba[cuda{}]'"


def open_driver() -> ctypes.CDLL:
    """The driver's library. Raises OSError if there is none."""
    return ctypes.CDLL("nvcuda.dll" if os.name == "nt" else "libcuda.so.1")


def check(backend: str, driver_library: Callable[[], ctypes.CDLL] = open_driver) -> None:
    """Raises BackendError with the first thing that is missing and how to get it."""
    missing = _missing(driver_library)
    if missing:
        raise BackendError(f"the backend {backend!r} needs {missing}")


def _missing(driver_library: Callable[[], ctypes.CDLL]) -> str | None:
    try:
        library = driver_library()
    except OSError:
        return "an NVIDIA GPU, and this machine has no NVIDIA driver; use crystal or openblas"
    return _missing_gpu(library) or _missing_package() or _missing_version(library) or _missing_cublas()


def _missing_gpu(library: ctypes.CDLL) -> str | None:
    error = library.cuInit(0)
    n_devices = ctypes.c_int()
    if error == 0:
        error = library.cuDeviceGetCount(ctypes.byref(n_devices))
    if error == NO_DEVICE or (error == 0 and n_devices.value == 0):
        hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
        why = f" (CUDA_VISIBLE_DEVICES is {hidden!r})" if hidden is not None else ""
        return f"an NVIDIA GPU, and the driver shows none{why}; use crystal or openblas"
    if error:
        return f"an NVIDIA driver that works, and this one fails with CUDA error {error}; reinstall it"
    return None


def _missing_package() -> str | None:
    for module, package in PACKAGES.items():
        if not _is_installed(module):
            return f"the package {package!r}: {REMEDY.format(13)}, or cuda12 for an older driver"
    return None


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # the package around the module is missing, too
        return False


def _missing_version(library: ctypes.CDLL) -> str | None:
    supported, needed = driver_version(library), toolkit_version()
    if supported // 1000 < needed:
        way_out = f", or {REMEDY.format(supported // 1000)}" if supported // 1000 >= OLDEST_CUDA else ""
        return (
            f"a newer NVIDIA driver: this one supports CUDA {_spelled(supported)}, and the packages "
            f"installed here are those of CUDA {needed}; update the driver{way_out}"
        )
    major, minor = capability(library)
    if needed >= 13 and (major, minor) < OLDEST_CAPABILITY_OF_CUDA_13:
        return f"older packages for this GPU of compute capability {major}.{minor}: {REMEDY.format(12)}"
    return None


def _missing_cublas() -> str | None:
    """What is missing of cuBLAS, or None; it may come with the extra, the CUDA toolkit or another package."""
    from cuda import pathfinder

    try:
        pathfinder.load_nvidia_dynamic_lib("cublas")
    except pathfinder.DynamicLibNotFoundError:
        return "the library cuBLAS: pip install 'cuda-toolkit[cublas]'"
    return None


def driver_version(library: ctypes.CDLL) -> int:
    """The newest CUDA that the driver supports: 12040 for 12.4."""
    version = ctypes.c_int()
    library.cuDriverGetVersion(ctypes.byref(version))
    return version.value


def capability(library: ctypes.CDLL) -> tuple[int, int]:
    """The compute capability of the first GPU."""
    value, found = ctypes.c_int(), []
    for attribute in (75, 76):  # the driver's numbers for major and minor
        library.cuDeviceGetAttribute(ctypes.byref(value), attribute, 0)
        found.append(value.value)
    return found[0], found[1]


def toolkit_version() -> int:
    """The major version of CUDA to which the installed packages belong."""
    for package in ("cuda-toolkit", "cuda-bindings"):
        try:
            return int(metadata.version(package).partition(".")[0])
        except metadata.PackageNotFoundError:
            continue
    return OLDEST_CUDA


def _spelled(version: int) -> str:
    """12040 -> '12.4'"""
    return f"{version // 1000}.{version % 1000 // 10}"
