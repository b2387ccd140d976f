"""e^x, for which LLVM has no vector code: e^x = 2^n e^r, with a polynomial for e^r.

In float32 and float64, for a number and for a vector, the error is below one unit in the last place, or below
1.3 units on a processor without fused multiply-add (tests/kernels/test_arithmetic.py checks the whole range).
Infinities and NaN are handled too. A result that would be a denormal number becomes 0: some processors are a
hundred times as slow with such numbers, and no kernel needs them.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import lower_builtin, type_callable

from microgpt_kernels.crystal.vector import I32, I64, Vector, muladd


def exp(x):
    """e^x in the type of x: a real number, or a vector of them."""
    return np.exp(x)


@dataclass(frozen=True)
class _Format:
    """A floating-point format, with the numbers about it that e^x needs."""

    real: type
    integer: ir.IntType
    mantissa: int  # bits
    degree: int  # of the Taylor polynomial: its error is below a tenth of a unit in the last place
    lowest: float  # below it, e^x is a denormal number
    highest: float  # above it, e^x is infinite

    @property
    def rounder(self) -> float:
        """A constant so large that adding a small number rounds it to an integer, in the last bits."""
        return 1.5 * 2.0**self.mantissa

    @property
    def ln2(self) -> tuple[float, float]:
        """ln 2 in two parts; the last bits of the first are 0, so its product with an integer is exact."""
        kept = 2.0 ** (self.mantissa - 12)
        high = math.floor(math.log(2) * kept) / kept
        return high, float(Decimal(2).ln() - Decimal(high))


FORMATS = {
    types.float32: _Format(np.float32, I32, 23, 7, -87.33654, 88.72283),
    types.float64: _Format(np.float64, I64, 52, 13, -708.3964185322641, 709.782712893384),
}


def _emit(builder, x, form):
    """e^x = 2^n e^r with n = round(x / ln 2), for a number or a vector."""
    real, whole = x.type, form.integer
    if isinstance(real, ir.VectorType):
        whole = ir.VectorType(whole, real.count)

    def constant(value, kind):
        return ir.Constant(kind, [value] * kind.count if isinstance(kind, ir.VectorType) else value)

    def number(value):
        return constant(float(form.real(value)), real)

    rounder = number(form.rounder)
    rounded = muladd(builder, x, number(1 / math.log(2)), rounder)
    # an operation with an explicit flag gets none of Numba's flags, of which reassoc would undo the rounding
    n = builder.fsub(rounded, rounder, flags=("nsz",))
    ln2_high, ln2_low = form.ln2
    r = muladd(builder, n, number(-ln2_low), muladd(builder, n, number(-ln2_high), x))
    # From r^2 / 2! on, neighbouring terms are combined in pairs (Estrin's scheme), a shorter chain of
    # operations than Horner's scheme, by which the two largest terms, 1 and r, are still added.
    terms, power_of_r = [number(1 / math.factorial(i)) for i in range(2, form.degree + 1)], r
    while len(terms) > 1:
        pairs = itertools.zip_longest(terms[::2], terms[1::2])
        terms = [low if high is None else muladd(builder, high, power_of_r, low) for low, high in pairs]
        power_of_r = builder.fmul(power_of_r, power_of_r)
    power = muladd(builder, muladd(builder, terms[0], r, number(1)), r, number(1))
    # multiply by 2^n: n, which is in the last bits of `rounded`, is added to the exponent
    exponent = builder.shl(builder.bitcast(rounded, whole), constant(form.mantissa, whole))
    power = builder.bitcast(builder.add(builder.bitcast(power, whole), exponent), real)
    power = builder.select(builder.fcmp_ordered("<", x, number(form.lowest)), number(0), power)
    # the comparison is written so that NaN stays NaN
    beyond = builder.fadd(x, number(math.inf), flags=("nsz",))
    return builder.select(builder.fcmp_ordered("<=", x, number(form.highest)), power, beyond)


@type_callable(exp)
def _type_exp(context):
    return lambda x: x if isinstance(x, (types.Float, Vector)) else None


@lower_builtin(exp, types.Float)
@lower_builtin(exp, Vector)
def _lower_exp(context, builder, signature, args):
    kind = signature.args[0]
    return _emit(builder, args[0], FORMATS[kind.dtype if isinstance(kind, Vector) else kind])
