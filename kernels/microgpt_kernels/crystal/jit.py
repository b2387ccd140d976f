"""How kernels are compiled: one decorator for all of them."""

from __future__ import annotations

import marshal
import os
import sys
from typing import Any, NamedTuple

# Threads wait for each other three times a step, and by default they spin meanwhile: where other programs
# want the cores as well, two are a tenth as fast as one. A thousand turns are enough on an idle machine
# (docs/trust.md). OpenMP reads this when it is loaded; the user's word goes first.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")

import numba
from llvmlite import binding
from numba import njit, prange, types
from numba.core.registry import cpu_target
from numba.extending import register_jitable

from microgpt_kernels import BackendError
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

# only the loop over shards is to become parallel, nothing that Numba finds by itself
PARALLEL = {
    "prange": True, "comprehension": False, "reduction": False, "inplace_binop": False, "setitem": False,
    "numpy": False, "stencil": False, "fusion": False,
}  # fmt: skip

# what only compiled code calls needs no door for Python, and compiles faster without
INNER = {**OPTIONS, "no_cpython_wrapper": True}
inlined = register_jitable(**INNER)
shards = prange


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


def _normalised(function):
    """The function with a copy of its code that is the same in every process.

    The cache goes by the pickled contents of closures, functions among them. A pickle shows which equal
    constants are one object, and that is not the same in code just compiled as in code that Python had in its
    own cache. Version 0 of marshal knows no such sharing.
    """
    names = function.__globals__  # its __file__ is pickled, too, and Python 3.13 interns what code says of it
    if "__file__" in names:
        names["__file__"] = sys.intern(names["__file__"])
    function.__code__ = marshal.loads(marshal.dumps(function.__code__, 0))
    return function


def inline(function):
    """A function that is used inside a step, merged into whatever calls it before anything is compiled.

    LLVM works through a callee's code once more with each caller: merged, a step compiles twice as fast.
    """
    merged = njit(inline="always", **INNER)(_normalised(function))
    if not numba.config.DISABLE_JIT:
        # The cache goes by the contents of closures, this name and the function's code among them; the
        # random name that a dispatcher has otherwise would be a new one in every process
        merged._set_uuid(function.__qualname__)
    return merged


def parallel(function):
    """The same for a function with a loop over `shards`, whose turns may run in threads of their own."""
    function.parallel = True  # the cache goes by the function's contents, and would take the two for one
    return register_jitable(parallel=PARALLEL, **INNER)(_normalised(function))


def compile(step):
    """steps(n, state): n times step(state), compiled as one function; Python is entered once."""
    inner = inline(step)

    def steps(n, state):
        for _ in range(n):
            inner(state)

    steps.__qualname__ = f"{step.__module__}.{step.__qualname__}"
    return kernel(steps)


def max_shards():
    """As many as the cores of a small machine."""
    return 4


def set_threads(n_threads):
    """How many threads may take shards. Raises BackendError where Numba can start none."""
    try:
        numba.set_num_threads(n_threads)
    except ValueError as error:  # of NUMBA_THREADING_LAYER, mostly
        raise BackendError(f"Numba can start no threads: {str(error).splitlines()[0]}") from None


def describe():
    """What compiles the kernels, and for what."""
    bits, n_threads = 8 * MACHINE.vector_bytes, numba.config.NUMBA_NUM_THREADS
    return f"Numba {numba.__version__}, {bits}-bit vectors, {n_threads} threads"


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
