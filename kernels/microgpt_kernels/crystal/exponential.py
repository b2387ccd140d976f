"""e^x, for which LLVM has no vector code: a polynomial, whose exponent bits are then raised.

The error is below one unit in the last place, in float32 and float64, for one number and for a vector of
them, and below 1.3 on a processor without fused multiply-add (tests/kernels/test_arithmetic.py goes over the
whole range); infinities and NaN are right too. What would be denormal becomes 0: some processors are a
hundred times as slow with such numbers, and nothing here needs them.
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
    """A floating-point format, and what e^x needs to know of it."""

    real: type
    integer: ir.IntType
    mantissa: int  # bits
    degree: int  # of the Taylor series: what is left out is below a tenth of the last place
    lowest: float  # below, e^x is denormal
    highest: float  # above, it is infinite

    @property
    def rounder(self) -> float:
        """Added to a small number it leaves no room for a fraction: its last bits are the nearest integer."""
        return 1.5 * 2.0**self.mantissa

    @property
    def ln2(self) -> tuple[float, float]:
        """ln 2 in two parts, the first with clear last bits, so that a whole number times it is exact."""
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
    # an operation with a flag of its own gets none of Numba's: reassoc would undo the rounding
    n = builder.fsub(rounded, rounder, flags=("nsz",))
    ln2_high, ln2_low = form.ln2
    r = muladd(builder, n, number(-ln2_low), muladd(builder, n, number(-ln2_high), x))
    # From r^2 / 2! on, neighbouring terms are joined again and again (Estrin's scheme): a shorter chain than
    # Horner's, which the two terms that matter most keep
    terms, power_of_r = [number(1 / math.factorial(i)) for i in range(2, form.degree + 1)], r
    while len(terms) > 1:
        pairs = itertools.zip_longest(terms[::2], terms[1::2])
        terms = [low if high is None else muladd(builder, high, power_of_r, low) for low, high in pairs]
        power_of_r = builder.fmul(power_of_r, power_of_r)
    power = muladd(builder, muladd(builder, terms[0], r, number(1)), r, number(1))
    # times 2^n: n, which is in the last bits of `rounded`, is added to the exponent
    exponent = builder.shl(builder.bitcast(rounded, whole), constant(form.mantissa, whole))
    power = builder.bitcast(builder.add(builder.bitcast(power, whole), exponent), real)
    power = builder.select(builder.fcmp_ordered("<", x, number(form.lowest)), number(0), power)
    # asked so that NaN does not pass for a number
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
