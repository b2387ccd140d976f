"""How a kernel written for numba.cuda becomes machine code for a kind of GPU, and how it gets its arguments.

numba.cuda compiles the kernel to PTX, NVIDIA's linker turns the PTX into a cubin, and the cubin is kept in
a cache, so that a later start compiles nothing. All of this works without a GPU, so tests can examine every
kernel's machine code.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from importlib import metadata
from typing import Any

import numpy as np
from numba import cuda

from microgpt_kernels.cache.reports import count_compiled
from microgpt_kernels.cache.store import Store
from microgpt_kernels.cublas.array import Array

# 'float32[2]' for an array of two dimensions, 'int64' for a number
Signature = tuple[str, ...]

# decorates a function that kernels use; it is merged into each of them
inlined = cuda.jit(device=True, inline="always")


class Kernel:
    """A function that each thread of a launch runs; `cuda.threadIdx` and `cuda.blockIdx` tell which."""

    def __init__(self, function: Callable[..., None]) -> None:
        functools.update_wrapper(self, function)
        self.function, self.name = function, function.__name__

    def launch(self, n_blocks: int, n_threads: int, *arguments: Any) -> None:
        """Run n_blocks blocks of n_threads threads.

        Blocks are counted in one dimension, because a GPU takes at most 65,535 in a second or a third one.

        arguments  arrays, integers, and NumPy's real numbers, since a Python float would be a float64
        """
        device = next(argument.device for argument in arguments if isinstance(argument, Array))
        device.launch(self, n_blocks, n_threads, arguments)


kernel = Kernel


def signature(arguments: tuple[Any, ...]) -> Signature:
    """The types of a kernel's arguments."""
    return tuple(map(_spelled, arguments))


def _spelled(argument: Any) -> str:
    if isinstance(argument, Array):
        return f"{argument.dtype}[{argument.ndim}]"
    if isinstance(argument, np.generic):
        return str(argument.dtype)
    if type(argument) is int:
        return "int64"
    raise TypeError(f"a kernel takes arrays, integers and NumPy's numbers, not {type(argument).__name__}")


def packed(arguments: tuple[Any, ...]) -> list[Any]:
    """The arguments as numba.cuda's kernels expect them.

    An array is passed as numbers of eight bytes: two zeros where its owner could stand, its size, the
    size of an element, its address, its shape and its strides.
    """
    numbers: list[Any] = []
    for argument in arguments:
        if isinstance(argument, Array):
            numbers += [0, 0, argument.size, argument.dtype.itemsize, argument.pointer]
            numbers += [*argument.shape, *argument.strides]
        else:
            numbers.append(argument)
    return numbers


def cubin(kernel: Kernel, types: Signature, capability: tuple[int, int]) -> bytes:
    """A kernel's machine code, from the cache if it is there. Its entry has the kernel's name."""
    store = _store()
    key = f"{kernel.__module__}.{kernel.name}({', '.join(types)}) for {capability}"
    binary = store.get(key)
    if binary is None:
        count_compiled()
        binary, _ = link(kernel.name, ptx(kernel, types, capability), capability)
        store.put(key, binary)
    return binary


@functools.cache
def _store() -> Store:
    packages = ("numba-cuda", "numba", "cuda-core", "cuda-bindings")
    return Store("cubins", *map(metadata.version, packages))


def ptx(kernel: Kernel, types: Signature, capability: tuple[int, int]) -> str:
    """A kernel in NVIDIA's portable assembly. Its entry has the kernel's name."""
    text, _ = cuda.compile(
        kernel.function,
        tuple(map(_numba_type, types)),
        device=False,
        abi="numba",
        cc=capability,
        output="ptx",
    )
    # the name that numba gives the entry contains a number, which depends on what was compiled before
    entry = re.search(r"\.visible \.entry\s+(\S+)\(", text)[1]
    return text.replace(entry, kernel.name)


def _numba_type(spelled: str) -> Any:
    from numba import from_dtype, types

    name, _, rest = spelled.partition("[")
    number = from_dtype(np.dtype(name))
    return types.Array(number, int(rest[:-1]), "C") if rest else number


def link(name: str, text: str, capability: tuple[int, int], *, report: bool = False) -> tuple[bytes, str]:
    """A cubin, and with `report` the assembler's report of registers and spills.

    Only NVIDIA's package for linking can report. Without that package the driver links, and it refuses the
    option.
    """
    from cuda.core import Linker, LinkerOptions, ObjectCode

    options = LinkerOptions(arch="sm_{}{}".format(*capability), ptxas_options=["-v"] if report else None)
    linker = Linker(ObjectCode.from_ptx(text.encode(), name=name), options=options)
    return linker.link("cubin").code, linker.get_info_log()
