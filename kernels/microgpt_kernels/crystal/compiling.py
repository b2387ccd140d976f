"""How a step is compiled: merged into one function, which runs any number of steps before it returns."""

import marshal
import sys

import numba
from numba import njit
from numba.extending import register_jitable

from microgpt_kernels.crystal.jit import INNER, kernel

# only the loop over shards becomes parallel, and nothing that Numba finds by itself
PARALLEL = {
    "prange": True, "comprehension": False, "reduction": False, "inplace_binop": False, "setitem": False,
    "numpy": False, "stencil": False, "fusion": False,
}  # fmt: skip


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
