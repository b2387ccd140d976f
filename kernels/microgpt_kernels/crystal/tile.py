"""The inner loops of a matrix product, written as LLVM vector instructions, so that every register is used.

`make_tile` makes the register tile of a product, `dot_block` multiplies rows by rows, and `transpose_block`
transposes a square. They work on addresses, which `pointer` and `shift` compute.
"""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from microgpt_kernels.crystal.jit import MACHINE
from microgpt_kernels.crystal.vector import (
    I32,
    I64,
    first_lanes,
    lanes_of,
    muladd,
    read,
    splat,
    write,
)

# --- addresses ------------------------------------------------------------------------------------


@intrinsic
def pointer(typingctx, array):
    """The address of an array's first element."""

    def codegen(context, builder, signature, args):
        return context.make_array(signature.args[0])(context, builder, args[0]).data

    return types.CPointer(array.dtype)(array), codegen


@intrinsic
def shift(typingctx, address, elements):
    """The address of the element that comes `elements` after the one at this address."""

    def codegen(context, builder, signature, args):
        return builder.gep(args[0], [args[1]])

    return address(address, types.intp), codegen


# --- the register tile ----------------------------------------------------------------------------


# How many vectors of sums are kept in registers; the other registers hold vectors of b and a number of a.
SUMS = 16 if MACHINE.n_registers == 32 else 12


def make_tile(height: int, n_vectors: int, masked: bool):
    """A tile of `height` rows by `n_vectors` vectors of c = start + a @ b, held in registers.

    tile(c, c_row, a, a_row, a_col, b, b_row, k, start, start_row, columns) goes through k once. Rows of b
    and c are contiguous; a may have any strides, so a transposed a costs nothing. Strides count elements. A
    negative start_row means that the sums start from zero. A masked tile touches only the first `columns`
    columns.

    Each addition to a sum has to wait for the one before it. So a small tile, which has few sums, handles
    several values of k at once, with separate sums for each.
    """
    n_steps = min(4, SUMS // (height * n_vectors))

    @intrinsic
    def tile(typingctx, c, c_row, a, a_row, a_col, b, b_row, k, start, start_row, columns):
        dtype = c.dtype
        lanes = lanes_of(dtype)

        def codegen(context, builder, signature, args):
            c, c_row, a, a_row, a_col, b, b_row, k_end, start, start_row, columns = args
            vector = ir.VectorType(context.get_data_type(dtype), lanes)
            mask = first_lanes(builder, columns, lanes) if masked else None
            places = [(i, j) for i in range(height) for j in range(n_vectors)]
            # variables on the stack, initially zero, which LLVM moves to registers
            sums = [
                {place: cgutils.alloca_once_value(builder, vector([0.0] * lanes)) for place in places}
                for _ in range(n_steps)
            ]
            a_rows = [builder.gep(a, [builder.mul(I64(i), a_row)]) for i in range(height)]

            def element(matrix, row, i, j):
                return builder.gep(matrix, [builder.add(builder.mul(I64(i), row), I64(j * lanes))])

            def step(k, sums):
                b_k = builder.gep(b, [builder.mul(k, b_row)])
                b_vectors = [read(builder, element(b_k, b_row, 0, j), vector, mask) for j in range(n_vectors)]
                a_k = builder.mul(k, a_col)
                for i in range(height):
                    a_ik = splat(builder, builder.load(builder.gep(a_rows[i], [a_k])), vector)
                    for j in range(n_vectors):
                        total = muladd(builder, a_ik, b_vectors[j], builder.load(sums[i, j]))
                        builder.store(total, sums[i, j])

            with builder.if_then(builder.icmp_signed(">=", start_row, I64(0))):
                for i, j in places:
                    begun = read(builder, element(start, start_row, i, j), vector, mask)
                    builder.store(begun, sums[0][i, j])
            k_whole = builder.sub(k_end, builder.srem(k_end, I64(n_steps)))
            with cgutils.for_range_slice(builder, I64(0), k_whole, I64(n_steps), I64) as (k, _):
                for n, of_step in enumerate(sums):
                    step(builder.add(k, I64(n)), of_step)
            if n_steps > 1:
                with cgutils.for_range_slice(builder, k_whole, k_end, I64(1), I64) as (k, _):
                    step(k, sums[0])
            for i, j in places:
                total, *others = (builder.load(of_step[i, j]) for of_step in sums)
                for other in others:
                    total = builder.fadd(total, other)
                write(builder, total, element(c, c_row, i, j), mask)
            return context.get_dummy_value()

        n = types.intp
        return types.void(c, n, a, n, n, b, n, n, start, n, n), codegen

    return tile


# --- rows times rows ------------------------------------------------------------------------------


@intrinsic
def dot_block(typingctx, out, a, a_row, b, k, add):
    """out[i] (+)= sum_k a[i, k] * b[k] for W rows of a, as many as a vector has lanes; k is a multiple of W.

    Each row has a vector of sums. At the end pairs of neighbouring lanes are added, which makes one vector of
    two, until a single vector is left that holds the sum of each row.
    """
    lanes = lanes_of(out.dtype)

    def codegen(context, builder, signature, args):
        out, a, a_row, b, k_end, add = args
        vector = ir.VectorType(context.get_data_type(signature.args[0].dtype), lanes)
        rows = [builder.gep(a, [builder.mul(I64(i), a_row)]) for i in range(lanes)]
        entry, loop, done = builder.block, *(builder.append_basic_block(n) for n in ("loop", "done"))
        builder.branch(loop)

        builder.position_at_end(loop)
        k = builder.phi(I64)
        sums = [builder.phi(vector) for _ in rows]
        b_k = read(builder, builder.gep(b, [k]), vector)
        added = [
            muladd(builder, read(builder, builder.gep(row, [k]), vector), b_k, total)
            for row, total in zip(rows, sums, strict=True)
        ]
        k_next = builder.add(k, I64(lanes))
        zero = vector([0.0] * lanes)
        for phi, first, later in zip([k, *sums], [I64(0)] + [zero] * lanes, [k_next, *added], strict=True):
            phi.add_incoming(first, entry)
            phi.add_incoming(later, loop)
        builder.cbranch(builder.icmp_signed("<", k_next, k_end), loop, done)

        builder.position_at_end(done)
        even, odd = (ir.Constant(ir.VectorType(I32, lanes), list(range(o, 2 * lanes, 2))) for o in (0, 1))
        while len(added) > 1:
            added = [
                builder.fadd(builder.shuffle_vector(x, y, even), builder.shuffle_vector(x, y, odd))
                for x, y in zip(added[::2], added[1::2], strict=True)
            ]
        before = builder.select(add, read(builder, out, vector), zero)
        write(builder, builder.fadd(before, added[0]), out)
        return context.get_dummy_value()

    return types.void(out, a, types.intp, b, types.intp, types.boolean), codegen


# --- the transposed block -------------------------------------------------------------------------


@intrinsic
def transpose_block(typingctx, out, out_row, inp, inp_row):
    """Transposes a square block, with as many rows and columns as a vector has lanes, in registers.

    Interleaving row i with row i + n/2 for all i, and doing so log2(n) times, transposes the n rows.
    """
    lanes = lanes_of(out.dtype)

    def codegen(context, builder, signature, args):
        out, out_row, inp, inp_row = args
        vector = ir.VectorType(context.get_data_type(signature.args[0].dtype), lanes)
        half = lanes // 2

        def place(address, stride, i):
            return builder.gep(address, [builder.mul(I64(i), stride)])

        def shuffle(x, y, offset):
            order = [n // 2 + offset + (lanes if n % 2 else 0) for n in range(lanes)]
            return builder.shuffle_vector(x, y, ir.Constant(ir.VectorType(I32, lanes), order))

        rows = [read(builder, place(inp, inp_row, i), vector) for i in range(lanes)]
        for _ in range(lanes.bit_length() - 1):
            rows = [shuffle(rows[i], rows[i + half], o) for i in range(half) for o in (0, half)]
        for i in range(lanes):
            write(builder, rows[i], place(out, out_row, i))
        return context.get_dummy_value()

    return types.void(out, types.intp, inp, types.intp), codegen
