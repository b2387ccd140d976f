"""How a kernel is compiled: one decorator for all of them, and the machine that they are compiled for."""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
from llvmlite import binding
from numba import njit, types
from numba.core.registry import cpu_target
from numba.extending import register_jitable

from microgpt_kernels.cache.numba_code import stored, stored_cfunc

# reassoc lets sums be split over the lanes of a vector, contract fuses a*b+c, arcp and nsz are cheap.
# Never nnan or ninf: isfinite would stop working. Not a set: it goes into the cache's keys, and the order of
# a set of strings is a new one in every process.
FASTMATH = {"reassoc": True, "contract": True, "arcp": True, "nsz": True}
OPTIONS: dict[str, Any] = {
    # a division that could raise is not vectorised
    "error_model": "numpy",
    "fastmath": FASTMATH,
    "nogil": True,
    # No reference counts: every array belongs to whoever calls, for as long as the call lasts. A step would
    # count up and down a thousand times. And what allocates an array does not compile: a promise, checked.
    "_nrt": False,
    "no_cfunc_wrapper": True,
}

# what only compiled code calls needs no door for Python, and compiles faster without
INNER = {**OPTIONS, "no_cpython_wrapper": True}
inlined = register_jitable(**INNER)


def kernel(function):
    """A function of arrays, compiled for the types that it is called with, or loaded from the cache."""
    return stored(njit(**OPTIONS)(function))


def external_function(function, symbol, signature):
    """A function compiled on its own, for other compiled code to call by the name of a symbol.

    The cache keeps the names of symbols, never their addresses.
    """
    if not numba.config.DISABLE_JIT:
        compiled = stored_cfunc(function, signature, OPTIONS)
        binding.add_symbol(symbol, compiled.address)
    return types.ExternalFunction(symbol, signature)


class Machine(NamedTuple):
    """The vector registers that code is written for: how wide they are, and how many."""

    vector_bytes: int
    n_registers: int


def machine(triple: str, features: str) -> Machine:
    """What a processor has, by LLVM's names: 'arm64-apple-darwin', '+avx,-avx512f'.

    On ARM that is NEON. The vectors of SVE have a width that only the running program learns.
    """
    if triple.startswith(("aarch64", "arm64")):
        return Machine(16, 32)
    present = [name[1:] for name in features.split(",") if name.startswith("+")]
    if any(name.startswith("avx512") for name in present):
        return Machine(64, 32)
    return Machine(32 if any(name.startswith("avx") for name in present) else 16, 16)


def target() -> tuple[str, str]:
    """The triple and the features that Numba compiles for: those of this machine, or NUMBA_CPU_FEATURES."""
    triple, _, features = cpu_target.target_context.codegen().magic_tuple()
    return triple, features


MACHINE = machine(*target())
