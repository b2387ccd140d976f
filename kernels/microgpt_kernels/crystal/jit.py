"""How kernels are compiled: the decorators for them, and the machine that they are compiled for."""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
from llvmlite import binding
from numba import njit, types
from numba.core.registry import cpu_target
from numba.extending import register_jitable

from microgpt_kernels.cache.numba_code import stored, stored_cfunc

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

# a function that only compiled code calls needs no Python wrapper, and compiles faster without one
INNER = {**OPTIONS, "no_cpython_wrapper": True}
inlined = register_jitable(**INNER)


def kernel(function):
    """Compiles a function of arrays for the types that it is called with, or loads it from the cache."""
    return stored(njit(**OPTIONS)(function))


def external_function(function, symbol, signature):
    """Compiles a function separately, so that other compiled code can call it by the name of a symbol.

    The cache holds the names of symbols, never their addresses.
    """
    if not numba.config.DISABLE_JIT:
        compiled = stored_cfunc(function, signature, OPTIONS)
        binding.add_symbol(symbol, compiled.address)
    return types.ExternalFunction(symbol, signature)


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
