"""How kernels are compiled: the decorators for them, and the machine that they are compiled for."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numba
import numpy as np
from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.core.ccallback import CFunc
from numba.core.registry import cpu_target
from numba.extending import intrinsic, register_jitable

from microgpt_kernels.cache.numba_code import define_symbols, is_stored, needed_later, stored_cfunc
from microgpt_kernels.crystal.callee import CalleeCompiler
from microgpt_kernels.crystal.entry import EntryCompiler, Kinds, call_entry, packed
from microgpt_kernels.crystal.recording import recording

# reassoc allows a sum to be split over the lanes of a vector, contract allows a*b+c to be fused, arcp allows
# a division to become a multiplication by the reciprocal, and nsz allows the sign of zero to be ignored. nnan
# and ninf must not be used, because isfinite would stop working. This is not a set, since it is part of the
# cache's keys, and the order of a set of strings differs from process to process.
FASTMATH = {"reassoc": True, "contract": True, "arcp": True, "nsz": True}
OPTIONS: dict[str, Any] = {
    # a division that could raise an exception would not be vectorised
    "error_model": "numpy",
    "fastmath": FASTMATH,
    "nogil": True,
    # No reference counts: the caller keeps every array alive during the call, and a step would change counts
    # about a thousand times. Without them a function that allocates an array does not compile, so this also
    # checks that no kernel allocates.
    "_nrt": False,
    "no_cfunc_wrapper": True,
}

# a function that only compiled code calls needs no Python wrapper, and no machine code of its own
INNER = {**OPTIONS, "no_cpython_wrapper": True, "pipeline_class": CalleeCompiler}
inlined = register_jitable(**INNER)


class Kernel:
    """A function of arrays and numbers, compiled for each combination of types that it is called with.

    While a step is recorded, a call becomes a part of the recording, and nothing is computed.
    """

    def __init__(self, function: Callable[..., None], **options: Any) -> None:
        functools.update_wrapper(self, function)
        self.py_func, self._options = function, {**OPTIONS, **options}
        self._entries: dict[Kinds, CFunc] = {}

    def __call__(self, *arguments: Any) -> None:
        recorder = recording()
        if recorder is not None:
            recorder.add(self, arguments)
            return
        kinds, words = packed(arguments)
        block = np.array(words, np.int64)
        call_entry(self.entry(kinds), block.ctypes.data)

    def entry(self, kinds: Kinds) -> int:
        """The address of its entry for these types, which is loaded from the store or compiled now."""
        if kinds not in self._entries:
            self._entries[kinds] = self.compile(kinds)
            define_symbols(self._entries[kinds])
        return self._entries[kinds].address

    def compile(self, kinds: Kinds) -> CFunc:
        """Load its entry from the store, or compile it now. It cannot run yet: see `entry`."""
        return stored_cfunc(self.py_func, types.void(*kinds), self._options, EntryCompiler)

    @staticmethod
    def kinds(*arguments: Any) -> Kinds:
        """The types of arguments."""
        return packed(arguments)[0]

    def is_stored(self, kinds: Kinds) -> bool:
        """Whether `entry` has nothing to compile."""
        return kinds in self._entries or is_stored(self.py_func, types.void(*kinds))


def kernel(function: Callable[..., None], **options: Any) -> Any:
    """Makes a kernel of a function."""
    return function if numba.config.DISABLE_JIT else Kernel(function, **options)


def external_function(function, symbol, signature):
    """Compiles a function separately, so that the code of kernels can call it through the name of a symbol.

    The cache holds names of symbols, never addresses. Code that uses the symbol can be compiled before the
    function is, since the symbol stands for a place in memory, where the function's address is written later.
    """
    if numba.config.DISABLE_JIT:
        return function
    place = ctypes.c_void_p()
    binding.add_symbol(symbol, ctypes.addressof(place))

    def define():
        if not place.value:
            place.value = stored_cfunc(function, signature, OPTIONS).address

    needed_later(symbol, define)

    @intrinsic
    def call(typingctx, *arguments):
        def codegen(context, builder, _, args):
            values = cgutils.unpack_tuple(builder, args[0])
            pairs = zip(values, arguments, signature.args, strict=True)
            values = [context.cast(builder, value, given, wanted) for value, given, wanted in pairs]
            kind = ir.FunctionType(
                context.get_value_type(signature.return_type), [value.type for value in values]
            )
            held = builder.module.globals.get(symbol)
            held = held or ir.GlobalVariable(builder.module, kind.as_pointer(), symbol)
            result = builder.call(builder.load(held), values)
            return context.get_dummy_value() if signature.return_type == types.void else result

        return signature.return_type(types.StarArgTuple.from_types(arguments)), codegen

    return call


class Machine(NamedTuple):
    """The vector registers of the target machine: how wide they are, and how many there are."""

    vector_bytes: int
    n_registers: int


def machine(triple: str, features: str) -> Machine:
    """The vector registers of a processor, given by LLVM's names: 'arm64-apple-darwin', '+avx,-avx512f'.

    On ARM they are those of NEON. The width of SVE's vectors is known only while a program runs.
    """
    if triple.startswith(("aarch64", "arm64")):
        return Machine(16, 32)
    present = [name[1:] for name in features.split(",") if name.startswith("+")]
    if any(name.startswith("avx512") for name in present):
        return Machine(64, 32)
    return Machine(32 if any(name.startswith("avx") for name in present) else 16, 16)


def target() -> tuple[str, str]:
    """LLVM's triple and features for which Numba compiles: this machine's, or NUMBA_CPU_FEATURES."""
    triple, _, features = cpu_target.target_context.codegen().magic_tuple()
    return triple, features


MACHINE = machine(*target())
