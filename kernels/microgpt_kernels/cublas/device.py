"""The GPU: its memory, its one stream of work, and the kernels and matrix products launched on it."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import numpy as np

from microgpt_kernels.cublas import blas as cublas
from microgpt_kernels.cublas import jit
from microgpt_kernels.cublas.array import Array
from microgpt_kernels.errors import BackendError

# memory for what one kernel computes for the next: the sums of parts of an array, the order of rows
PARTIAL_BYTES = 16 << 20
# the most blocks that a launch can have, in its one dimension
GRID_LIMIT = 2**31 - 1


class Device:
    """One GPU. It does its work one piece after the other, in the order of the requests.

    core, driver  the modules cuda.core and cuda.bindings.driver
    blas          a handle of cuBLAS (blas.Cublas)
    """

    def __init__(self, core: ModuleType, driver: ModuleType, blas: Any) -> None:
        self.core, self.driver, self.blas = core, driver, blas
        self.gpu = core.Device()
        self.gpu.set_current()
        self.stream = self.gpu.create_stream()  # a stream that waits for no other stream
        blas.set_stream(int(self.stream.handle))
        # without this memory, cuBLAS would allocate its workspace while a graph is recorded
        self._blas_workspace = self.zeros((cublas.WORKSPACE_BYTES,), np.uint8)
        blas.set_workspace(self._blas_workspace.pointer, cublas.WORKSPACE_BYTES)
        self._partial = self.zeros((PARTIAL_BYTES,), np.uint8)
        self._loaded: dict[tuple[jit.Kernel, jit.Signature], Any] = {}
        # while this is true, kernels are compiled and loaded, but not launched
        self.rehearsing = False
        # how often the host has waited for a number on the GPU: a step that does so cannot be a graph
        self.n_reads = 0
        # how many kernels and matrix products were requested
        self.n_asked = 0

    @property
    def capability(self) -> tuple[int, int]:
        """The compute capability: (9, 0) for Hopper."""
        return tuple(self.gpu.compute_capability)

    # --- memory -----------------------------------------------------------------------------------

    def zeros(self, shape: tuple[int, ...], dtype: Any) -> Array:
        """An array of zeros. Raises BackendError if the GPU has too little memory for it."""
        n_bytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
        if n_bytes == 0:
            return Array(self, None, 0, shape, dtype)
        # the driver does not count memory in its pool as free: only a request shows whether there is enough
        try:
            buffer = self.gpu.allocate(n_bytes, stream=self.stream)
            buffer.fill(0, stream=self.stream)
        except Exception as error:
            raise BackendError(
                f"out of GPU memory: there is no room for {n_bytes / 2**20:,.1f} MiB more; use a smaller "
                "model, --batch-size or --seq-len"
            ) from error
        return Array(self, buffer, int(buffer.handle), shape, dtype)

    def partial(self, shape: tuple[int, ...], dtype: Any) -> Array:
        """An array for what one kernel computes for the next. All such arrays share PARTIAL_BYTES of memory.

        Raises ValueError for an array that is larger than that.
        """
        room = Array(self, self._partial.buffer, self._partial.pointer, shape, dtype)
        if room.nbytes > PARTIAL_BYTES:
            raise ValueError(
                f"{shape} of {np.dtype(dtype)} exceed the {PARTIAL_BYTES} bytes between two kernels"
            )
        return room

    def upload(self, array: Array, values: np.ndarray) -> None:
        """array = values"""
        values = np.ascontiguousarray(np.broadcast_to(values, array.shape), array.dtype)
        if values.nbytes:
            self._checked(
                self.driver.cuMemcpyHtoDAsync(
                    array.pointer, values.ctypes.data, values.nbytes, self.stream.handle
                )
            )
            self._wait()  # else `values` might be freed before it is read

    def download(self, array: Array) -> np.ndarray:
        """The values of an array, once all work requested so far is done."""
        values = np.empty(array.shape, array.dtype)
        if values.nbytes:
            self._checked(
                self.driver.cuMemcpyDtoHAsync(
                    values.ctypes.data, array.pointer, values.nbytes, self.stream.handle
                )
            )
        self._wait()
        return values

    def read_one(self, array: Array) -> Any:
        """The number in an array of no dimensions."""
        self.n_reads += 1
        return self.download(array)[()]

    def _wait(self) -> None:
        """Wait until all requested work is done. Errors of kernels are reported here."""
        try:
            self.stream.sync()
        except Exception as error:
            raise lost(error) from error

    def _checked(self, answer: tuple[Any, ...]) -> Any:
        """What a function of the driver has returned, without its error code."""
        error, *values = answer
        if int(error) != 0:
            raise BackendError(f"the GPU's driver fails with {error}")
        return values

    # --- work -------------------------------------------------------------------------------------

    def launch(self, kernel: jit.Kernel, n_blocks: int, n_threads: int, arguments: tuple[Any, ...]) -> None:
        """Launch a kernel with n_blocks blocks of n_threads threads. With no blocks, nothing is launched.

        Raises BackendError; for too many blocks it does so in a rehearsal, too.
        """
        if n_blocks > GRID_LIMIT:
            raise BackendError(
                f"{n_blocks:,} blocks of the kernel {kernel.name} are more than the {GRID_LIMIT:,} that a "
                "GPU takes; use a smaller model, --batch-size or --seq-len"
            )
        key = kernel, jit.signature(arguments)
        if key not in self._loaded:
            binary = jit.cubin(*key, self.capability)
            self._loaded[key] = self.core.ObjectCode.from_cubin(binary).get_kernel(kernel.name)
        if self.rehearsing or n_blocks == 0:
            return
        self.n_asked += 1
        config = self.core.LaunchConfig(grid=n_blocks, block=n_threads)
        try:
            self.core.launch(self.stream, config, self._loaded[key], *jit.packed(arguments))
        except Exception as error:
            raise BackendError(f"the GPU has refused the kernel {kernel.name}: {error}") from error

    def multiply(self, math_mode: int, *arguments: Any) -> None:
        """Compute a matrix product in this math mode, with the arguments of `Cublas.gemm`."""
        if self.rehearsing:
            return
        self.n_asked += 1
        self.blas.set_math_mode(math_mode)
        self.blas.gemm(*arguments)

    @contextmanager
    def rehearsal(self) -> Iterator[None]:
        """A context in which kernels are compiled and loaded, but not launched."""
        self.gpu.set_current()  # each thread has its own current GPU, and this may be a new thread
        self.rehearsing = True
        try:
            yield
        finally:
            self.rehearsing = False

    def describe(self) -> str:
        """The name of the GPU, and the versions of the driver and of CUDA's packages."""
        _, total = self._checked(self.driver.cuMemGetInfo())
        major, minor = self.capability
        version = self.blas.version()
        return (
            f"{self.gpu.name}, compute capability {major}.{minor}, {total / 2**30:.0f} GiB, "
            f"cuBLAS {version // 10000}.{version // 100 % 100}"
        )


def lost(error: Exception) -> BackendError:
    """The error of a kernel, which the host learns only from a later call to the GPU."""
    return BackendError(f"the GPU has failed, and what it held is lost: {error}")


@functools.cache
def current() -> Device:
    """The GPU of this process: the first one that CUDA_VISIBLE_DEVICES allows."""
    import cuda.core
    from cuda.bindings import driver

    return Device(cuda.core, driver, cublas.load())
