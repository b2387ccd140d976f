"""How a step is compiled: as one function, which runs any number of steps before it returns."""

import marshal
import sys

import numba
from numba import njit
from numba.extending import register_jitable

from microgpt_kernels.crystal.jit import INNER, kernel

# only the loop over shards runs in parallel; Numba must not look for other parallel code
PARALLEL = {
    "prange": True, "comprehension": False, "reduction": False, "inplace_binop": False, "setitem": False,
    "numpy": False, "stencil": False, "fusion": False,
}  # fmt: skip


def _normalised(function):
    """The function with a copy of its code that is the same in every process.

    Keys of the cache contain the pickled contents of closures, including functions. A pickle records which
    equal constants are the same object, and that differs between code that was just compiled and code that
    Python loaded from a .pyc file. Version 0 of marshal does not record it.
    """
    names = function.__globals__  # __file__ is pickled, too, and Python 3.13 interns the file name in code
    if "__file__" in names:
        names["__file__"] = sys.intern(names["__file__"])
    function.__code__ = marshal.loads(marshal.dumps(function.__code__, 0))
    return function


def inline(function):
    """Merges a function that is used inside a step into its callers before anything is compiled.

    LLVM would optimise a callee again with each of its callers: a merged step compiles twice as fast.
    """
    merged = njit(inline="always", **INNER)(_normalised(function))
    if not numba.config.DISABLE_JIT:
        # This name is part of the cache's keys, as are the contents of closures. By default it would be
        # random, and differ from process to process.
        merged._set_uuid(function.__qualname__)
    return merged


def parallel(function):
    """The same for a function with a loop over `shards`, whose iterations may run in separate threads."""
    function.parallel = True  # else the cache could not tell it from the same function without threads
    return register_jitable(parallel=PARALLEL, **INNER)(_normalised(function))


def compile(step):
    """steps(n, state), which runs step(state) n times, compiled as one function that Python calls once."""
    inner = inline(step)

    def steps(n, state):
        for _ in range(n):
            inner(state)

    steps.__qualname__ = f"{step.__module__}.{step.__qualname__}"
    return kernel(steps)
