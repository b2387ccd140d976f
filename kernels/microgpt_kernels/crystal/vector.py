"""The four things that Numba's own loops cannot say: written as LLVM vector instructions.

`exp` of a real number that the compiler can vectorise, `pointer` and `shift` for addresses, `make_tile` for
the register tile of a matrix product, and `transpose_block`. LLVM splits a vector where the machine's
registers are narrower, so all of it runs everywhere.
"""

from __future__ import annotations

import math

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload

from microgpt_kernels.crystal.jit import INNER, VECTOR_BYTES

I1, I32, I64 = ir.IntType(1), ir.IntType(32), ir.IntType(64)


def lanes_of(dtype: types.Float) -> int:
    """How many numbers of this type fill a vector register."""
    return VECTOR_BYTES // (dtype.bitwidth // 8)


def _suffix(dtype: types.Float, lanes: int) -> str:
    return f"v{lanes}f{dtype.bitwidth}"


def _function(builder, name, result, arguments):
    """Declare an LLVM function in this module, once."""
    module = builder.module
    if name in module.globals:
        return module.globals[name]
    return ir.Function(module, ir.FunctionType(result, arguments), name)


# --- addresses ------------------------------------------------------------------------------------


@intrinsic
def pointer(typingctx, array):
    """The address of an array's first element."""

    def codegen(context, builder, signature, args):
        return context.make_array(signature.args[0])(context, builder, args[0]).data

    return types.CPointer(array.dtype)(array), codegen


@intrinsic
def shift(typingctx, address, elements):
    """The address so many elements further on."""

    def codegen(context, builder, signature, args):
        return builder.gep(args[0], [args[1]])

    return address(address, types.intp), codegen


# --- the exponential ------------------------------------------------------------------------------


def exp(x):
    """e^x in the type of x; compiled for float32 to a polynomial, which vectorises as `math.exp` does not."""
    return np.exp(x)


LOG2_E = 1 / math.log(2)
# ln 2 in two parts, the first with its last 12 bits clear, so that a whole number times it is exact
LN2_HIGH = float((np.float32(math.log(2)).view(np.uint32) & np.uint32(0xFFFFF000)).view(np.float32))
LN2_LOW = math.log(2) - LN2_HIGH


@intrinsic
def _exp32(typingctx, x):
    """e^x = 2^n e^r with n = round(x / ln 2): a polynomial in r, its exponent bits moved by n."""

    def codegen(context, builder, signature, args):
        (x,) = args
        f32 = ir.FloatType()
        const = lambda value: ir.Constant(f32, float(np.float32(value)))  # noqa: E731
        call = lambda name, *xs: builder.call(_function(builder, name, f32, [f32] * len(xs)), xs)  # noqa: E731
        inside = call("llvm.minnum.f32", call("llvm.maxnum.f32", x, const(-104.0)), const(89.0))
        n = call("llvm.rint.f32", builder.fmul(inside, const(LOG2_E)))
        r = call("llvm.fma.f32", n, const(-LN2_HIGH), inside)
        r = call("llvm.fma.f32", n, const(-LN2_LOW), r)
        power = const(1 / math.factorial(7))
        for i in range(6, -1, -1):
            power = call("llvm.fma.f32", power, r, const(1 / math.factorial(i)))
        # 2^n as two factors: alone it would leave the range of exponents at both ends. With a flag of its own
        # a product gets none of Numba's: reassoc would multiply the factors first
        n = builder.fptosi(n, I32)
        half = builder.ashr(n, ir.Constant(I32, 1))
        for part in (half, builder.sub(n, half)):
            bits = builder.shl(builder.add(part, ir.Constant(I32, 127)), ir.Constant(I32, 23))
            power = builder.fmul(power, builder.bitcast(bits, f32), flags=("nsz",))
        # NaN stays NaN: min and max above have dropped it
        return builder.select(builder.fcmp_unordered("uno", x, x), x, power)

    return types.float32(types.float32), codegen


@overload(exp, jit_options=INNER)
def _exp(x):
    if x == types.float32:
        return lambda x: _exp32(x)
    return lambda x: math.exp(x)


# --- the register tile ----------------------------------------------------------------------------


def _at(builder, address, elements, vector):
    """The address of the vector that starts so many elements on."""
    return builder.bitcast(builder.gep(address, [elements]), ir.PointerType(vector))


def _splat(builder, value, vector):
    undefined = ir.Constant(vector, ir.Undefined)
    first = builder.insert_element(undefined, value, ir.Constant(I32, 0))
    return builder.shuffle_vector(
        first, undefined, ir.Constant(ir.VectorType(I32, vector.count), [0] * vector.count)
    )


def make_tile(height: int, n_vectors: int, masked: bool, narrowing: int = 1):
    """A tile of `height` rows by `n_vectors` vectors of c = start + a @ b, held in registers.

    tile(c, c_row, a, a_row, a_col, b, b_row, k, start, start_row, columns) walks k once. Rows of b and c are
    contiguous; a may have any strides, so a transposed a costs nothing. Strides count elements. A negative
    start_row means to start from zero. A masked tile touches only the first `columns` columns; its vectors
    are `narrowing` times shorter than a register.
    """

    @intrinsic
    def tile(typingctx, c, c_row, a, a_row, a_col, b, b_row, k, start, start_row, columns):
        dtype = c.dtype
        lanes = max(1, lanes_of(dtype) // narrowing)

        def codegen(context, builder, signature, args):
            c, c_row, a, a_row, a_col, b, b_row, k_end, start, start_row, columns = args
            real = c.type.pointee if hasattr(c.type, "pointee") else context.get_data_type(dtype)
            vector, mask_type = ir.VectorType(real, lanes), ir.VectorType(I1, lanes)
            index_type = ir.VectorType(I64, lanes)
            suffix = _suffix(dtype, lanes)
            const = lambda value: ir.Constant(I64, value)  # noqa: E731
            zero, align = ir.Constant(vector, [0.0] * lanes), dtype.bitwidth // 8
            fma = _function(builder, f"llvm.fma.{suffix}", vector, [vector] * 3)
            if masked:
                pv = ir.PointerType(vector)
                load_masked = _function(
                    builder, f"llvm.masked.load.{suffix}.p0", vector, [pv, I32, mask_type, vector]
                )
                store_masked = _function(
                    builder, f"llvm.masked.store.{suffix}.p0", ir.VoidType(), [vector, pv, I32, mask_type]
                )
                numbers = ir.Constant(index_type, list(range(lanes)))
                mask = builder.icmp_signed("<", numbers, _splat(builder, columns, index_type))

            def load(address, j):
                place = _at(builder, address, const(j * lanes), vector)
                if masked:
                    return builder.call(load_masked, [place, ir.Constant(I32, align), mask, zero])
                value = builder.load(place)
                value.align = align
                return value

            def store(value, address, j):
                place = _at(builder, address, const(j * lanes), vector)
                if masked:
                    builder.call(store_masked, [value, place, ir.Constant(I32, align), mask])
                else:
                    builder.store(value, place).align = align

            def row(address, i, stride):
                return builder.gep(address, [builder.mul(const(i), stride)])

            rows, vectors = range(height), range(n_vectors)
            entry = builder.block
            read_start, loop, done = (builder.append_basic_block(n) for n in ("start", "loop", "done"))
            a_rows = [row(a, i, a_row) for i in rows]
            builder.cbranch(builder.icmp_signed("<", start_row, const(0)), loop, read_start)

            builder.position_at_end(read_start)
            begun = [[load(row(start, i, start_row), j) for j in vectors] for i in rows]
            builder.branch(loop)

            builder.position_at_end(loop)
            k = builder.phi(I64)
            sums = [[builder.phi(vector) for _ in vectors] for _ in rows]
            b_k = builder.gep(b, [builder.mul(k, b_row)])
            b_vectors = [load(b_k, j) for j in vectors]
            a_k = builder.mul(k, a_col)
            added = []
            for i in rows:
                a_ik = _splat(builder, builder.load(builder.gep(a_rows[i], [a_k])), vector)
                added.append([builder.call(fma, [a_ik, b_vectors[j], sums[i][j]]) for j in vectors])
            k_next = builder.add(k, const(1))
            for block, first, values in (
                (entry, const(0), None),
                (read_start, const(0), begun),
                (loop, k_next, added),
            ):
                k.add_incoming(first, block)
                for i in rows:
                    for j in vectors:
                        sums[i][j].add_incoming(values[i][j] if values else zero, block)
            builder.cbranch(builder.icmp_signed("<", k_next, k_end), loop, done)

            builder.position_at_end(done)
            for i in rows:
                for j in vectors:
                    store(added[i][j], row(c, i, c_row), j)
            return context.get_dummy_value()

        n = types.intp
        return types.void(c, n, a, n, n, b, n, n, start, n, n), codegen

    return tile


# --- the transposed block -------------------------------------------------------------------------


@intrinsic
def transpose_block(typingctx, out, out_row, inp, inp_row):
    """A block as wide and high as a vector has lanes, transposed in registers.

    Interleaving row i with row i + n/2, for all i, log2(n) times over, is a transposition.
    """
    lanes = lanes_of(out.dtype)

    def codegen(context, builder, signature, args):
        out, out_row, inp, inp_row = args
        vector = ir.VectorType(context.get_data_type(signature.args[0].dtype), lanes)
        align = signature.args[0].dtype.bitwidth // 8
        half = lanes // 2

        def place(address, stride, i):
            return _at(builder, address, builder.mul(ir.Constant(I64, i), stride), vector)

        def shuffle(x, y, offset):
            order = [n // 2 + offset + (lanes if n % 2 else 0) for n in range(lanes)]
            return builder.shuffle_vector(x, y, ir.Constant(ir.VectorType(I32, lanes), order))

        rows = []
        for i in range(lanes):
            rows.append(builder.load(place(inp, inp_row, i)))
            rows[-1].align = align
        for _ in range(lanes.bit_length() - 1):
            rows = [shuffle(rows[i], rows[i + half], o) for i in range(half) for o in (0, half)]
        for i in range(lanes):
            builder.store(rows[i], place(out, out_row, i)).align = align
        return context.get_dummy_value()

    return types.void(out, types.intp, inp, types.intp), codegen
