"""The GPU: its memory, its one stream of work, and graphs of work recorded from that stream."""

from __future__ import annotations

import functools
import gc
from collections.abc import Callable
from contextlib import suppress
from types import ModuleType
from typing import Any

import numpy as np

from microgpt_kernels import BackendError
from microgpt_kernels.cublas import blas as cublas
from microgpt_kernels.cublas import jit
from microgpt_kernels.cublas.array import Array

# for what a kernel leaves to the next: the sums of parts of an array, the order of rows
PARTIAL_BYTES = 16 << 20
# of a launch, in its one dimension
MOST_BLOCKS = 2**31 - 1


class Device:
    """One GPU. All that it is asked to do happens one after the other.

    core, driver  cuda.core, cuda.bindings.driver
    blas          blas.Cublas
    """

    def __init__(self, core: ModuleType, driver: ModuleType, blas: Any) -> None:
        self.core, self.driver, self.blas = core, driver, blas
        self.gpu = core.Device()
        self.gpu.set_current()
        self.stream = self.gpu.create_stream()  # one that waits for no other
        blas.set_stream(int(self.stream.handle))
        # its own would be allocated in the midst of a capture
        self._blas_workspace = self.zeros((cublas.WORKSPACE_BYTES,), np.uint8)
        blas.set_workspace(self._blas_workspace.pointer, cublas.WORKSPACE_BYTES)
        self._partial = self.zeros((PARTIAL_BYTES,), np.uint8)
        self._loaded: dict[tuple[jit.Kernel, jit.Signature], Any] = {}
        # while true, kernels are compiled and loaded, and none is launched
        self.rehearsing = False
        # how often the host has waited for a number: what does that cannot be captured
        self.n_reads = 0
        # how often a kernel or a matrix product was asked for
        self.n_asked = 0

    @property
    def capability(self) -> tuple[int, int]:
        """The compute capability: (9, 0) for Hopper."""
        return tuple(self.gpu.compute_capability)

    # --- memory -----------------------------------------------------------------------------------

    def zeros(self, shape: tuple[int, ...], dtype: Any) -> Array:
        """A zeroed array. Raises BackendError where the GPU has no room for it."""
        n_bytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
        if n_bytes == 0:
            return Array(self, None, 0, shape, dtype)
        # the driver's count of free memory leaves out what its pool holds: only the request itself can tell
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
        """Room for what a kernel leaves to the next; whoever asks again takes it over.

        Raises ValueError beyond PARTIAL_BYTES.
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
            self._wait()  # or `values` might be gone before it is read

    def download(self, array: Array) -> np.ndarray:
        """The values of an array once all work asked for so far is done."""
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
        """Until all work asked for is done. Here errors of kernels come to light, whoever made them."""
        try:
            self.stream.sync()
        except Exception as error:
            raise _lost(error) from error

    def _checked(self, answer: tuple[Any, ...]) -> Any:
        """What a function of the driver has answered, without its error code."""
        error, *values = answer
        if int(error) != 0:
            raise BackendError(f"the GPU's driver fails with {error}")
        return values

    # --- work -------------------------------------------------------------------------------------

    def launch(self, kernel: jit.Kernel, n_blocks: int, n_threads: int, arguments: tuple[Any, ...]) -> None:
        """Ask for a kernel: so many blocks of so many threads. No blocks are no work.

        Raises BackendError, for too many blocks before anything is launched.
        """
        if n_blocks > MOST_BLOCKS:
            raise BackendError(
                f"{n_blocks:,} blocks of the kernel {kernel.name} are more than the {MOST_BLOCKS:,} that a "
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

    def capture(self, work: Callable[[], None]) -> Any:
        """A graph of all that `work` asks for, which is not done now."""
        builder = self.stream.create_graph_builder()
        # an array that the collector frees meanwhile would be freed by the graph, again and again
        collects = gc.isenabled()
        gc.disable()
        builder.begin_building()
        try:
            work()
        except BaseException:
            with suppress(Exception):  # it would hide what has gone wrong
                builder.end_building()
            raise
        else:
            builder.end_building()
        finally:
            if collects:
                gc.enable()
        graph = builder.complete()
        graph.upload(self.stream)
        return graph

    def replay(self, graph: Any) -> None:
        """Ask for all that was captured."""
        try:
            graph.launch(self.stream)
        except Exception as error:
            raise _lost(error) from error

    def describe(self) -> str:
        """The GPU and the versions of what drives it."""
        _, total = self._checked(self.driver.cuMemGetInfo())
        major, minor = self.capability
        version = self.blas.version()
        return (
            f"{self.gpu.name}, compute capability {major}.{minor}, {total / 2**30:.0f} GiB, "
            f"cuBLAS {version // 10000}.{version // 100 % 100}"
        )


def _lost(error: Exception) -> BackendError:
    """Whoever asks the GPU next hears of an error that a kernel has made."""
    return BackendError(f"the GPU has failed, and what it held is lost: {error}")


@functools.cache
def current() -> Device:
    """The GPU of this process: the first that CUDA_VISIBLE_DEVICES leaves."""
    import cuda.core
    from cuda.bindings import driver

    return Device(cuda.core, driver, cublas.load())
