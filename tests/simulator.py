"""A GPU made of Python, for tests without one: it runs kernels written for numba.cuda, thread by thread.

`Core`, `Driver` and `Blas` have the functions that microgpt_kernels.cublas uses of cuda.core, of
cuda.bindings.driver and of its class Cublas, on the host's memory. They are stricter than a GPU: they refuse
an index out of bounds or below 0, an access outside of what was allocated, a barrier that not all threads
reach, and whatever a graph cannot capture. What was not written is NaN. A thread runs until it reaches a
barrier or exchanges values with its warp, so an order of threads can be chosen: if a result depends on it,
there is a race.
"""

import ctypes
import functools
import types

import greenlet
import numpy as np
from microgpt_kernels.cublas import jit
from microgpt_kernels.cublas.block import WARP
from microgpt_kernels.cublas.device import Device

CAPABILITY = (9, 0)
POISON = 0xFF  # bytes that make a NaN
MARGIN = 256  # bytes around what was allocated
MEMORY_BYTES = 1 << 40  # more than any test asks for


class DivergedError(AssertionError):
    """Not all threads of a block have reached a barrier."""


class Triple:
    def __init__(self, x, y=1, z=1):
        self.x, self.y, self.z = x, y, z


def triple(value):
    return Triple(*value) if isinstance(value, tuple) else Triple(value)


# --- memory -----------------------------------------------------------------------------------------


class Memory:
    """What has been allocated: a buffer is alive as long as its owner."""

    def __init__(self, total):
        self.total, self.blocks, self.freed_in_capture = total, {}, False

    def held(self):
        return sum(self.blocks.values())

    def find(self, address, n_bytes):
        """Whether all of this memory belongs to one buffer."""
        return any(a <= address and address + n_bytes <= a + n for a, n in self.blocks.items())

    def require(self, address, n_bytes):
        assert n_bytes == 0 or self.find(address, n_bytes), "memory that was not allocated"


class Buffer:
    def __init__(self, memory, n_bytes, stream):
        self.memory, self.n_bytes, self.stream = memory, n_bytes, stream
        self.bytes = np.full(n_bytes + 2 * MARGIN, POISON, np.uint8)
        begin = self.bytes.ctypes.data + MARGIN
        self.handle = begin + -begin % MARGIN
        memory.blocks[self.handle] = n_bytes

    def fill(self, value, *, stream):
        stream.refuse_in_capture("fill")
        ctypes.memset(self.handle, value, self.n_bytes)

    def __del__(self):
        self.memory.freed_in_capture |= self.stream.captured is not None
        self.memory.blocks.pop(self.handle, None)


class View:
    """An array as a kernel sees it."""

    def __init__(self, values):
        self.values, self.shape, self.dtype, self.size = values, values.shape, values.dtype, values.size

    def __len__(self):
        return self.shape[0]

    # NumPy refuses what is too large, but takes what is below 0 from the end

    def __getitem__(self, index):
        if type(index) is slice:
            return View(self.values[index])
        if (min(index) if type(index) is tuple else index) < 0:
            raise IndexError(f"index {index} in an array of {self.shape}")
        return self.values[index]

    def __setitem__(self, index, value):
        if (min(index) if type(index) is tuple else index) < 0:
            raise IndexError(f"index {index} in an array of {self.shape}")
        self.values[index] = value


# --- a block of threads -------------------------------------------------------------------------------


class Thread:
    def __init__(self, index):
        self.index, self.waits_at, self.value, self.n_arrays, self.run = (
            Triple(index, 0, 0),
            None,
            None,
            0,
            None,
        )


class Cuda:
    """The object that a kernel uses as `cuda`: one for all threads, of which one runs at a time."""

    def __init__(self):
        self.shared = types.SimpleNamespace(array=self._shared_array)
        self.local = types.SimpleNamespace(array=self._local_array)

    def grid(self, n_dimensions):
        assert n_dimensions == 1
        return self.blockIdx.x * self.blockDim.x + self.threadIdx.x

    def gridsize(self, n_dimensions):
        assert n_dimensions == 1
        return self.gridDim.x * self.blockDim.x

    def syncthreads(self):
        self._wait("the block", None)

    def shfl_xor_sync(self, mask, value, distance):
        assert mask == (1 << WARP) - 1
        return self._wait("the warp", value)[(self.threadIdx.x % WARP) ^ distance]

    def _wait(self, at, value):
        thread = self.thread
        thread.waits_at, thread.value = at, value
        return self.scheduler.switch()

    def _shared_array(self, shape, dtype, alignment=None):
        """The nth shared array that a thread asks for is the same array for all threads."""
        thread = self.thread
        if thread.n_arrays == len(self.shared_arrays):
            self.shared_arrays.append(self._local_array(shape, dtype))
        thread.n_arrays += 1
        return self.shared_arrays[thread.n_arrays - 1]

    def _local_array(self, shape, dtype):
        values = np.empty(shape, dtype)
        values.view(np.uint8).fill(POISON)
        return View(values)

    def run_block(self, function, arguments, n_threads, order):
        self.shared_arrays, self.scheduler = [], greenlet.getcurrent()
        threads = [Thread(i) for i in range(n_threads)]
        for thread in threads:
            thread.run = greenlet.greenlet(lambda: _silently(function, arguments))
        self._continue(threads[::order])
        while running := [thread for thread in threads if not thread.run.dead]:
            if all(thread.waits_at == "the block" for thread in threads if not thread.run.dead):
                if len(running) != n_threads:
                    raise DivergedError("some threads wait for the block, others have ended")
                self._continue(running[::order])
                continue
            for first in range(0, n_threads, WARP):
                warp = threads[first : first + WARP]
                if any(thread.waits_at == "the warp" and not thread.run.dead for thread in warp):
                    if not all(thread.waits_at == "the warp" and not thread.run.dead for thread in warp):
                        raise DivergedError("some lanes wait for their warp, others do not")
                    self._continue(warp[::order], [thread.value for thread in warp])

    def _continue(self, threads, answer=None):
        for thread in threads:
            thread.waits_at, self.thread, self.threadIdx = None, thread, thread.index
            thread.run.switch() if answer is None else thread.run.switch(answer)


def _silently(function, arguments):
    """A GPU says nothing about an infinity. NumPy's settings are each greenlet's own."""
    with np.errstate(all="ignore"):
        function(*arguments)


# --- cuda.core ----------------------------------------------------------------------------------------


class Stream:
    def __init__(self, gpu):
        self.gpu, self.handle, self.captured = gpu, id(self), None

    def refuse_in_capture(self, what):
        assert self.captured is None, f"{what} while a graph is captured"

    def do(self, work):
        if self.captured is None:
            work()
        else:
            self.captured.append(work)

    def sync(self):
        self.refuse_in_capture("a wait for the GPU")

    def create_graph_builder(self):
        return GraphBuilder(self)


class GraphBuilder:
    def __init__(self, stream):
        self.stream, self.work = stream, None

    def begin_building(self):
        self.stream.refuse_in_capture("a capture")
        self.stream.captured = []
        return self

    def end_building(self):
        self.work, self.stream.captured = self.stream.captured, None
        return self

    def complete(self):
        return Graph(self.work)


class Graph:
    def __init__(self, work):
        self.work = work

    def upload(self, stream):
        pass

    def launch(self, stream):
        stream.refuse_in_capture("the launch of a graph")
        for work in self.work:
            work()


class Core:
    """cuda.core, with one GPU. order: 1 or -1, in which the threads run."""

    def __init__(self, memory=MEMORY_BYTES):
        self.memory, self.streams, self.order, self.launches = Memory(memory), {}, 1, []

    def Device(self):  # noqa: N802
        return Gpu(self)

    def LaunchConfig(self, *, grid, block):  # noqa: N802
        return types.SimpleNamespace(grid=triple(grid), block=block)

    class ObjectCode:
        @staticmethod
        def from_cubin(binary):
            kernel, _ = binary

            def get_kernel(name):
                assert name == kernel.name
                return binary

            return types.SimpleNamespace(get_kernel=get_kernel)

    def launch(self, stream, config, binary, *numbers):
        kernel, signature = binary
        grid = config.grid
        assert min(grid.x, grid.y, grid.z) > 0, f"{kernel.name}: an empty grid"
        assert grid.x < 1 << 31, f"{kernel.name}: more blocks than GPUs know"
        assert max(grid.y, grid.z) < 1 << 16, f"{kernel.name}: a grid higher than GPUs know"
        assert 0 < config.block <= 1024
        arguments = self._unpacked(signature, list(numbers))
        stream.do(lambda: self._run(kernel, arguments, grid, config.block))

    def _unpacked(self, signature, numbers):
        arguments = []
        for spelled in signature:
            name, _, rest = spelled.partition("[")
            if not rest:
                arguments.append(numbers.pop(0))
                continue
            dtype, ndim = np.dtype(name), int(rest[:-1])
            nothing, nobody, size, itemsize, address = numbers[:5]
            shape, strides = numbers[5 : 5 + ndim], numbers[5 + ndim : 5 + 2 * ndim]
            del numbers[: 5 + 2 * ndim]
            self.memory.require(address, size * itemsize)
            values = array_at(address, size, dtype).reshape(shape)
            assert (nothing, nobody, itemsize) == (0, 0, dtype.itemsize)
            assert size == 0 or list(values.strides) == strides
            arguments.append(View(values))
        assert not numbers
        return arguments

    def _run(self, kernel, arguments, grid, n_threads):
        self.launches.append(kernel.name)
        cuda, function = compiled(kernel.function)
        cuda.gridDim, cuda.blockDim = grid, Triple(n_threads)
        blocks = [(x, y, z) for z in range(grid.z) for y in range(grid.y) for x in range(grid.x)]
        for block in blocks[:: self.order]:
            cuda.blockIdx = Triple(*block)
            cuda.run_block(function, arguments, n_threads, self.order)


class Gpu:
    name, compute_capability = "a simulated GPU", CAPABILITY

    def __init__(self, core):
        self.core = core

    def set_current(self):
        pass

    def create_stream(self):
        stream = Stream(self)
        self.core.streams[stream.handle] = stream
        return stream

    def allocate(self, n_bytes, *, stream):
        stream.refuse_in_capture("an allocation")
        if self.core.memory.held() + n_bytes > self.core.memory.total:
            raise RuntimeError("CUDA_ERROR_OUT_OF_MEMORY")
        return Buffer(self.core.memory, n_bytes, stream)


def array_at(address, size, dtype):
    if size == 0:
        return np.zeros(0, dtype)
    raw = (ctypes.c_uint8 * (size * dtype.itemsize)).from_address(address)
    return np.frombuffer(raw, dtype)


@functools.cache
def compiled(function):
    """A kernel's function, and the functions it calls, with a `cuda` of its own."""
    cuda, rebuilt = Cuda(), {}

    def rebuild(original):
        if original not in rebuilt:
            known = dict(original.__globals__)
            rebuilt[original] = types.FunctionType(original.__code__, known, original.__name__)
            for name in original.__code__.co_names:
                inner = getattr(known.get(name), "py_func", None)
                if inner is not None:
                    known[name] = rebuild(inner)
            known["cuda"] = cuda
        return rebuilt[original]

    return cuda, rebuild(function)


# --- cuda.bindings.driver and cuBLAS --------------------------------------------------------------------


class Driver:
    def __init__(self, core):
        self.core = core

    def cuMemGetInfo(self):  # noqa: N802
        return 0, self.core.memory.total - self.core.memory.held(), self.core.memory.total

    def cuMemcpyHtoDAsync(self, to, source, n_bytes, stream):  # noqa: N802
        self._copy(to, source, n_bytes, to, stream)
        return (0,)

    def cuMemcpyDtoHAsync(self, to, source, n_bytes, stream):  # noqa: N802
        self._copy(to, source, n_bytes, source, stream)
        return (0,)

    def _copy(self, to, source, n_bytes, on_device, stream):
        self.core.streams[stream].refuse_in_capture("a copy")
        self.core.memory.require(on_device, n_bytes)
        ctypes.memmove(to, source, n_bytes)


class Blas:
    """Column-major matrices, as cuBLAS has them."""

    def __init__(self, core):
        self.core, self.math_modes = core, set()

    def version(self):
        return 130101

    def set_stream(self, stream):
        self.stream = self.core.streams[stream]

    def set_workspace(self, workspace, n_bytes):
        self.core.memory.require(workspace, n_bytes)

    def set_math_mode(self, mode):
        self.math_modes.add(mode)

    def gemm(self, dtype, transpose_a, transpose_b, m, n, k, a, lda, b, ldb, accumulate, c, ldc):
        def matrix(address, rows, columns, leading):
            assert leading >= max(1, rows)
            size = (columns - 1) * leading + rows
            self.core.memory.require(address, size * dtype.itemsize)
            values = array_at(address, size, dtype)
            return np.lib.stride_tricks.as_strided(
                values, (rows, columns), (dtype.itemsize, leading * dtype.itemsize)
            )

        def multiply():
            out = matrix(c, m, n, ldc)
            left = matrix(a, k, m, lda).T if transpose_a else matrix(a, m, k, lda)
            right = matrix(b, n, k, ldb).T if transpose_b else matrix(b, k, n, ldb)
            with np.errstate(all="ignore"):
                out[...] = left @ right + out if accumulate else left @ right

        self.stream.do(multiply)


def simulate(monkeypatch, memory=MEMORY_BYTES):
    """Put a simulated GPU in the place of the real one; its Core is returned with the device."""
    from microgpt_kernels.cublas import device

    core = Core(memory)
    made = Device(core, Driver(core), Blas(core))
    monkeypatch.setattr(device, "current", lambda: made)
    # machine code is the kernel itself
    monkeypatch.setattr(jit, "cubin", lambda kernel, types, capability: (kernel, types))
    return made
