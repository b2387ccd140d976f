"""The cuBLAS library. `load` gives an object with nvmath-python's names for its functions.

That is nvmath-python itself where it is installed. Elsewhere it is the class below, which calls the same
library through ctypes: slower to call, which nobody notices once a step is a graph.
"""

from __future__ import annotations

import ctypes
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from microgpt_kernels import BackendError

NO_TRANSPOSE, TRANSPOSE = 0, 1
DEFAULT_MATH, TF32_MATH = 0, 3
# what cuBLAS recommends for Hopper, and more than any other GPU needs
WORKSPACE_BYTES = 32 << 20


def load() -> Any:
    """nvmath-python's bindings, or their twin. Raises BackendError where there is no cuBLAS."""
    from cuda import pathfinder

    try:
        library = pathfinder.load_nvidia_dynamic_lib("cublas")
    except pathfinder.DynamicLibNotFoundError:
        raise BackendError(
            "the backend 'cublas' needs the library cuBLAS: pip install 'cuda-toolkit[cublas]'"
        ) from None
    if find_spec("nvmath") is not None:
        return import_module("nvmath.bindings.cublas")
    return Cublas(ctypes.CDLL(library.abs_path))


class Cublas:
    """The same functions with the same arguments as in nvmath.bindings.cublas: addresses are integers."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self.library = library

    def _call(self, name: str, *arguments: Any) -> None:
        status = getattr(self.library, name)(*arguments)
        if status != 0:
            raise RuntimeError(f"{name} failed with cuBLAS status {status}")

    def create(self) -> int:
        handle = ctypes.c_void_p()
        self._call("cublasCreate_v2", ctypes.byref(handle))
        return handle.value or 0

    def get_version(self, handle: int) -> int:
        version = ctypes.c_int()
        self._call("cublasGetVersion_v2", ctypes.c_void_p(handle), ctypes.byref(version))
        return version.value

    def set_stream(self, handle: int, stream: int) -> None:
        self._call("cublasSetStream_v2", ctypes.c_void_p(handle), ctypes.c_void_p(stream))

    def set_workspace(self, handle: int, workspace: int, n_bytes: int) -> None:
        arguments = ctypes.c_void_p(handle), ctypes.c_void_p(workspace), ctypes.c_size_t(n_bytes)
        self._call("cublasSetWorkspace_v2", *arguments)

    def set_math_mode(self, handle: int, mode: int) -> None:
        self._call("cublasSetMathMode", ctypes.c_void_p(handle), ctypes.c_int(mode))

    def sgemm(self, *arguments: int) -> None:
        self._gemm("cublasSgemm_v2", *arguments)

    def dgemm(self, *arguments: int) -> None:
        self._gemm("cublasDgemm_v2", *arguments)

    def _gemm(
        self, name: str, handle: int, transa: int, transb: int, m: int, n: int, k: int,
        alpha: int, a: int, lda: int, b: int, ldb: int, beta: int, c: int, ldc: int,
    ) -> None:  # fmt: skip
        address, integer = ctypes.c_void_p, ctypes.c_int
        self._call(
            name, address(handle), integer(transa), integer(transb), integer(m), integer(n), integer(k),
            address(alpha), address(a), integer(lda), address(b), integer(ldb),
            address(beta), address(c), integer(ldc),
        )  # fmt: skip
