"""Repeats recorded calls: the only compiled code of a step besides its kernels."""

from functools import partial

from llvmlite import ir
from numba import prange, types
from numba.extending import intrinsic

from microgpt_kernels.crystal.jit import inlined, kernel

# only the loop over parts runs in parallel; Numba must not look for other parallel code
PARALLEL = {
    "prange": True, "comprehension": False, "reduction": False, "inplace_binop": False, "setitem": False,
    "numpy": False, "stencil": False, "fusion": False,
}  # fmt: skip


@intrinsic
def _call(typingctx, entry, block):
    """Calls an entry with a block, both given by their addresses."""

    def codegen(context, builder, signature, args):
        word = ir.IntType(64)
        kind = ir.FunctionType(ir.VoidType(), [word.as_pointer()])
        function = builder.inttoptr(args[0], kind.as_pointer())
        builder.call(function, [builder.inttoptr(args[1], word.as_pointer())])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), codegen


@inlined
def _set_counted(words, counted, counters):
    for i in range(len(counted)):
        word = counted[i, 1]
        for j in range(counted.shape[1] - 2):
            word += counted[i, 2 + j] * counters[j]
        words[counted[i, 0]] = word


@kernel
def replay(n, calls, parts, sections, words, counted, counters):
    """n times all calls, one after the other.

    calls     (., 2)    int64  read; the addresses of an entry and of its block, which lies in `words`
    parts     (.,)      int64  read; where each part begins in the calls, and where the last one ends
    sections  (.,)      int64  read; the same of the sections in the parts
    words     (.,)      int64  updated; all blocks
    counted   (., 2+K)  int64  read; the places of words that depend on counters, each with the word for
                               counters of 0, and with what it gains by each counter
    counters  (>=K,)    int64  read
    """
    for _ in range(n):
        _set_counted(words, counted, counters)
        for i in range(len(calls)):
            _call(calls[i, 0], calls[i, 1])


@partial(kernel, parallel=PARALLEL)
def replay_in_threads(n, calls, parts, sections, words, counted, counters):
    """The same, where threads share the parts of each section."""
    for _ in range(n):
        _set_counted(words, counted, counters)
        for section in range(len(sections) - 1):
            begin, end = sections[section], sections[section + 1]
            if end == begin + 1:
                for i in range(parts[begin], parts[end]):
                    _call(calls[i, 0], calls[i, 1])
            else:
                for part in prange(begin, end):
                    for i in range(parts[part], parts[part + 1]):
                        _call(calls[i, 0], calls[i, 1])
