"""Vectors for kernels: the numbers in a vector register as one value. This is explicit SIMD for Numba.

    x = load(matrix, row, column, end)    matrix[row, column:end], up to the number of lanes
    x * y + 0.5, maximum(x, y), exp(x)    on all lanes at once; a plain number is used in every lane
    store(x, matrix, row, column, end)

Most kernels are loops that LLVM turns into vector code by itself. Kernels that work on the columns of a
matrix, or on rows of a few vectors, use these functions instead, so that LLVM need not find out how to sum
over the lanes, how to end a loop, or which arrays may share memory. If the machine's registers are narrower
than a vector, LLVM splits the vector.

Lanes for columns from `end` on, as in the last vector of a row, are loaded as 0 and are not stored. A loop
passes the same end to all its loads and stores, so that it checks only once how much of a row is left. With
the widths of the matrices as bounds, the loops of layer normalisation had up to three times as many branches.

In plain Python a vector is a NumPy array, and everything here works on it.
"""

from __future__ import annotations

import operator

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import lower_builtin, models, register_model, type_callable

from microgpt_kernels.crystal.jit import MACHINE

I32, I64 = ir.IntType(32), ir.IntType(64)


class Vector(types.Type):
    """The Numba type of a vector: the numbers of one dtype that fill a vector register."""

    def __init__(self, dtype: types.Float) -> None:
        self.dtype = dtype
        super().__init__(f"Vector({dtype})")


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager, vector):
        real = manager.lookup(vector.dtype).get_value_type()
        super().__init__(manager, vector, ir.VectorType(real, lanes_of(vector.dtype)))


def lanes_of(dtype: types.Float) -> int:
    """How many numbers of this type fill a vector register."""
    return MACHINE.vector_bytes // (dtype.bitwidth // 8)


def declared(builder, name, result, arguments):
    """The LLVM function of this name. The first call for a name declares it in the module."""
    module = builder.module
    if name in module.globals:
        return module.globals[name]
    return ir.Function(module, ir.FunctionType(result, arguments), name)


def suffix(kind: ir.Type) -> str:
    """How LLVM spells a type in the names of its functions: f32, v16f32."""
    if isinstance(kind, ir.VectorType):
        return f"v{kind.count}{suffix(kind.element)}"
    return "f32" if isinstance(kind, ir.FloatType) else "f64"


def muladd(builder, x, y, z):
    """x * y + z of numbers or vectors, rounded once where the machine has an instruction for it.

    LLVM's fma rounds once on every machine, but on one without such an instruction it calls a function for
    each number.
    """
    name = f"llvm.fmuladd.{suffix(x.type)}"
    return builder.call(declared(builder, name, x.type, [x.type] * 3), [x, y, z])


def splat(builder, value, vector):
    """A vector with the value in every lane."""
    undefined = ir.Constant(vector, ir.Undefined)
    first = builder.insert_element(undefined, value, ir.Constant(I32, 0))
    return builder.shuffle_vector(
        first, undefined, ir.Constant(ir.VectorType(I32, vector.count), [0] * vector.count)
    )


def first_lanes(builder, n, count):
    """The mask of the lanes before lane n."""
    numbers = ir.VectorType(I32, count)
    n = builder.trunc(n, I32)
    return builder.icmp_signed("<", ir.Constant(numbers, list(range(count))), splat(builder, n, numbers))


def read(builder, address, vector, mask=None):
    """Reads a vector that is aligned to its numbers; the lanes outside the mask are 0."""
    address = builder.bitcast(address, ir.PointerType(vector))
    if mask is None:
        loaded = builder.load(address)
        loaded.align = _size(vector)
        return loaded
    masked = declared(
        builder, f"llvm.masked.load.{suffix(vector)}.p0", vector, [address.type, I32, mask.type, vector]
    )
    zero = ir.Constant(vector, [0.0] * vector.count)
    return builder.call(masked, [address, ir.Constant(I32, _size(vector)), mask, zero])


def write(builder, value, address, mask=None):
    """Writes a vector to memory; with a mask, only the lanes in it."""
    vector = value.type
    address = builder.bitcast(address, ir.PointerType(vector))
    if mask is None:
        builder.store(value, address).align = _size(vector)
    else:
        name, types_ = f"llvm.masked.store.{suffix(vector)}.p0", [vector, address.type, I32, mask.type]
        masked = declared(builder, name, ir.VoidType(), types_)
        builder.call(masked, [value, address, ir.Constant(I32, _size(vector)), mask])


def _size(vector):
    return 4 if isinstance(vector.element, ir.FloatType) else 8


# --- the number of lanes, and filling them -----------------------------------------------------------


def lanes(array):
    """How many lanes a vector of the array's numbers has. Compiled code may also pass an address."""
    return MACHINE.vector_bytes // array.itemsize


@type_callable(lanes)
def _type_lanes(context):
    return lambda array: types.intp


@lower_builtin(lanes, types.Array)
@lower_builtin(lanes, types.CPointer)
def _lower_lanes(context, builder, signature, args):
    return cgutils.intp_t(lanes_of(signature.args[0].dtype))


def filled(value, array):
    """A vector of the array's dtype with the same value in each lane."""
    return np.full(lanes(array), value, array.dtype)


@type_callable(filled)
def _type_filled(context):
    return lambda value, array: Vector(array.dtype)


@lower_builtin(filled, types.Number, types.Array)
def _lower_filled(context, builder, signature, args):
    return _as_vector(context, builder, args[0], signature.args[0], signature.return_type)


def _as_vector(context, builder, value, of_type, vector):
    """The value itself if it is a vector, or a vector with the number in every lane."""
    if of_type == vector:
        return value
    real = context.cast(builder, value, of_type, vector.dtype)
    return splat(builder, real, context.get_value_type(vector))


# --- memory ---------------------------------------------------------------------------------------


def load(matrix, row, column, end):
    """A vector of the numbers in a row from a column on; lanes for columns from `end` on are 0."""
    loaded = np.zeros(lanes(matrix), matrix.dtype)
    n = min(end - column, len(loaded))
    loaded[:n] = matrix[row, column : column + n]
    return loaded


def store(vector, matrix, row, column, end):
    """Writes the lanes into a row from a column on, but not into columns from `end` on."""
    n = min(end - column, len(vector))
    matrix[row, column : column + n] = vector[:n]


@type_callable(load)
def _type_load(context):
    return lambda matrix, row, column, end: Vector(matrix.dtype)


@type_callable(store)
def _type_store(context):
    return lambda vector, matrix, row, column, end: types.none


def _place(context, builder, signature, args, first):
    """The address of matrix[row, column], for contiguous rows, and the number of columns up to `end`."""
    matrix_type = signature.args[first]
    matrix = context.make_array(matrix_type)(context, builder, args[first])
    row, column, end = (
        context.cast(builder, args[i], signature.args[i], types.intp) for i in range(first + 1, first + 4)
    )
    n = builder.sub(end, column)
    in_row = builder.mul(column, I64(matrix_type.dtype.bitwidth // 8))
    in_bytes = builder.add(builder.mul(row, builder.extract_value(matrix.strides, 0)), in_row)
    return builder.gep(builder.bitcast(matrix.data, ir.PointerType(ir.IntType(8))), [in_bytes]), n


def _whole_or_part(builder, n, count):
    """A branch that is nearly always taken the same way: cheaper than a mask, which some machines lack."""
    return builder.if_else(builder.icmp_signed(">=", n, I64(count)), likely=True)


@lower_builtin(load, types.Array, types.Integer, types.Integer, types.Integer)
def _lower_load(context, builder, signature, args):
    vector = context.get_value_type(signature.return_type)
    address, n = _place(context, builder, signature, args, 0)
    loaded = []
    with _whole_or_part(builder, n, vector.count) as branches:
        for branch, masked in zip(branches, (False, True), strict=True):
            with branch:
                mask = first_lanes(builder, n, vector.count) if masked else None
                loaded.append((read(builder, address, vector, mask), builder.block))
    result = builder.phi(vector)
    for value, block in loaded:
        result.add_incoming(value, block)
    return result


@lower_builtin(store, Vector, types.Array, types.Integer, types.Integer, types.Integer)
def _lower_store(context, builder, signature, args):
    count = args[0].type.count
    address, n = _place(context, builder, signature, args, 1)
    with _whole_or_part(builder, n, count) as branches:
        for branch, masked in zip(branches, (False, True), strict=True):
            with branch:
                write(builder, args[0], address, first_lanes(builder, n, count) if masked else None)
    return context.get_dummy_value()


# --- arithmetic -----------------------------------------------------------------------------------


def maximum(x, y):
    """The larger of x and y in each lane; y if one of them is NaN."""
    return np.where(x > y, x, y)


def _larger(builder, x, y):
    return builder.select(builder.fcmp_ordered(">", x, y), x, y)


def above_zero(x, condition):
    """x in the lanes where the condition is above 0, and 0 in the others."""
    return np.where(condition > 0, x, np.zeros_like(x))


def _kept(builder, x, condition):
    zero = ir.Constant(x.type, [0.0] * x.type.count)
    return builder.select(builder.fcmp_ordered(">", condition, zero), x, zero)


def sqrt(x):
    """The square root of x in each lane; NaN where x is below 0."""
    return np.sqrt(x)


@type_callable(sqrt)
def _type_sqrt(context):
    return lambda x: x if isinstance(x, Vector) else None


@lower_builtin(sqrt, Vector)
def _lower_sqrt(context, builder, signature, args):
    vector = args[0].type
    return builder.call(declared(builder, f"llvm.sqrt.{suffix(vector)}", vector, [vector]), args)


def _type_binary(context):
    def typer(x, y):
        vector, other = (x, y) if isinstance(x, Vector) else (y, x)
        fits = isinstance(vector, Vector) and (other == vector or isinstance(other, types.Number))
        return vector if fits else None

    return typer


def _lower_binary(emit):
    def lower(context, builder, signature, args):
        vector = signature.return_type
        pairs = zip(args, signature.args, strict=True)
        return emit(builder, *(_as_vector(context, builder, value, t, vector) for value, t in pairs))

    return lower


for _function, _emit in {
    operator.add: ir.IRBuilder.fadd,
    operator.iadd: ir.IRBuilder.fadd,
    operator.sub: ir.IRBuilder.fsub,
    operator.mul: ir.IRBuilder.fmul,
    operator.truediv: ir.IRBuilder.fdiv,
    maximum: _larger,
    above_zero: _kept,
}.items():
    type_callable(_function)(_type_binary)
    for _types in ((Vector, Vector), (Vector, types.Number), (types.Number, Vector)):
        lower_builtin(_function, *_types)(_lower_binary(_emit))


# --- across the lanes -----------------------------------------------------------------------------


def from_lane(x, n, other):
    """x in the lanes from lane n on, and the other number in the lanes before it."""
    return np.where(np.arange(len(x)) < n, x.dtype.type(other), x)


def below_lane(x, n, other):
    """x in the lanes before lane n, and the other number in the lanes from it on."""
    return np.where(np.arange(len(x)) < n, x, x.dtype.type(other))


def _type_lane(context):
    return lambda x, n, other: x


type_callable(from_lane)(_type_lane)
type_callable(below_lane)(_type_lane)


def _parted(context, builder, signature, args):
    """x, the other number as a vector, and the mask of the lanes before lane n."""
    vector, n_type, other_type = signature.args
    other = _as_vector(context, builder, args[2], other_type, vector)
    n = context.cast(builder, args[1], n_type, types.intp)
    return args[0], other, first_lanes(builder, n, args[0].type.count)


@lower_builtin(from_lane, Vector, types.Integer, types.Number)
def _lower_from_lane(context, builder, signature, args):
    x, other, before = _parted(context, builder, signature, args)
    return builder.select(before, other, x)


@lower_builtin(below_lane, Vector, types.Integer, types.Number)
def _lower_below_lane(context, builder, signature, args):
    x, other, before = _parted(context, builder, signature, args)
    return builder.select(before, x, other)


def sum_lanes(x):
    """The sum of all lanes."""
    return x.sum()


def max_lanes(x):
    """The largest of all lanes."""
    return x.max()


def _type_reduction(context):
    return lambda x: x.dtype


type_callable(sum_lanes)(_type_reduction)
type_callable(max_lanes)(_type_reduction)


@lower_builtin(sum_lanes, Vector)
def _lower_sum_lanes(context, builder, signature, args):
    vector = args[0].type
    name = f"llvm.vector.reduce.fadd.{suffix(vector)}"
    reduce = declared(builder, name, vector.element, [vector.element, vector])
    zero = ir.Constant(vector.element, 0.0)
    return builder.call(reduce, [zero, args[0]], fastmath=("reassoc",))


@lower_builtin(max_lanes, Vector)
def _lower_max_lanes(context, builder, signature, args):
    vector = args[0].type
    reduce = declared(builder, f"llvm.vector.reduce.fmax.{suffix(vector)}", vector.element, [vector])
    return builder.call(reduce, [args[0]])
