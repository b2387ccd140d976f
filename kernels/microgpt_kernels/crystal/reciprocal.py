"""1 / x by multiplications and additions, because a processor has only one unit for divisions.

The bits of a number, taken as an integer, are roughly its logarithm, so a constant minus them is roughly the
logarithm of 1 / x. The well-known fast inverse square root uses the same idea. Each of Newton's steps then
squares the error. In float64 more steps would be needed than a division takes, so float64 divides.
"""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.extending import lower_builtin, type_callable

from microgpt_kernels.crystal.vector import I32, muladd

# the bits of a constant for which the largest relative error of the first guess is smallest: 1/8.5
MAGIC = 0x7EF311C3
STEPS = 3


def reciprocal(x):
    """1 / x for a normal x above 0; in float32 to two units in the last place."""
    return x.dtype.type(1) / x


@type_callable(reciprocal)
def _type_reciprocal(context):
    return lambda x: x


@lower_builtin(reciprocal, types.float64)
def _lower_double(context, builder, signature, args):
    return builder.fdiv(ir.Constant(args[0].type, 1.0), args[0])


@lower_builtin(reciprocal, types.float32)
def _lower_single(context, builder, signature, args):
    (x,) = args
    real = x.type
    y = builder.bitcast(builder.sub(ir.Constant(I32, MAGIC), builder.bitcast(x, I32)), real)
    minus_x = builder.fneg(x)
    for _ in range(STEPS):
        missing = muladd(builder, minus_x, y, ir.Constant(real, 1.0))
        y = muladd(builder, y, missing, y)
    return y
