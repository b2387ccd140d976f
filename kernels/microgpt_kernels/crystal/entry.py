"""How compiled code is called: each kernel has an entry, a C function of one address.

The address is that of a block, where the kernel's arguments lie one after the other as numbers of eight
bytes: an array as its address, its shape and its strides, and a real number as a float64. So calls with any
arguments can be kept in a list, and are made from it without Python.

Private names of Numba used here, the same from 0.61 to 0.68: `BaseNativeLowering.lowering_class`,
`Lower.create_cfunc_wrapper`, `numba.np.arrayobj.populate_array`.
"""

from __future__ import annotations

import ctypes
import struct
from functools import cache
from typing import Any

import numpy as np
from llvmlite import ir
from numba import from_dtype, types
from numba.core import cgutils
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import register_pass
from numba.core.lowering import Lower
from numba.core.typed_passes import BaseNativeLowering, NativeLowering, NativeParforLowering
from numba.np.arrayobj import populate_array
from numba.parfors.parfor_lowering import ParforLower

I64 = ir.IntType(64)
Kinds = tuple[Any, ...]  # the Numba types of a kernel's arguments


def packed(arguments: tuple[Any, ...]) -> tuple[Kinds, list[int]]:
    """The Numba types of a kernel's arguments, and the numbers of their block."""
    kinds, words = [], []
    for argument in arguments:
        if isinstance(argument, np.ndarray):
            kinds.append(_array_type(argument.dtype, argument.ndim, argument.flags.c_contiguous))
            words.append(argument.__array_interface__["data"][0])
            words += argument.shape
            words += argument.strides
        elif isinstance(argument, float):
            kinds.append(types.float64)
            words.append(struct.unpack("q", struct.pack("d", argument))[0])
        elif isinstance(argument, (int, np.integer)):
            kinds.append(types.int64)
            words.append(int(argument))
        else:
            raise TypeError(f"a kernel takes arrays and numbers, not {type(argument).__name__}")
    return tuple(kinds), words


_entry_type = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


def call_entry(entry: int, block: int) -> None:
    """Call an entry with a block, both given by their addresses."""
    _entry_type(entry)(block)


@cache
def _array_type(dtype: np.dtype[Any], ndim: int, contiguous: bool) -> types.Array:
    return types.Array(from_dtype(dtype), ndim, "C" if contiguous else "A")


class _WithEntry:
    """Writes an entry in the place of Numba's wrapper for C."""

    def create_cfunc_wrapper(self):
        context, library, fndesc = self.context, self.library, self.fndesc
        convention = context.call_conv
        module = context.create_module("entry")
        function_type = convention.get_function_type(fndesc.restype, fndesc.argtypes)
        function = ir.Function(module, function_type, fndesc.llvm_func_name)
        entry_type = ir.FunctionType(ir.VoidType(), [I64.as_pointer()])
        entry = ir.Function(module, entry_type, fndesc.llvm_cfunc_wrapper_name)
        builder = ir.IRBuilder(entry.append_basic_block("entry"))
        n_read = 0

        def read(n):
            nonlocal n_read
            n_read += n
            (block,) = entry.args
            return [builder.load(builder.gep(block, [I64(i)])) for i in range(n_read - n, n_read)]

        def argument(kind):
            if not isinstance(kind, types.Array):
                (number,) = read(1)
                return builder.bitcast(number, context.get_value_type(kind))
            array = context.make_array(kind)(context, builder)
            (address,) = read(1)
            populate_array(
                array,
                data=builder.inttoptr(address, array.data.type),
                shape=cgutils.pack_array(builder, read(kind.ndim), I64),
                strides=cgutils.pack_array(builder, read(kind.ndim), I64),
                itemsize=context.get_constant(
                    types.intp, context.get_abi_sizeof(context.get_data_type(kind.dtype))
                ),
                meminfo=None,
            )
            return array._getvalue()

        arguments = [argument(kind) for kind in fndesc.argtypes]
        # inlined, it would be compiled a second time
        convention.call_function(
            builder, function, fndesc.restype, fndesc.argtypes, arguments, attrs=("noinline",)
        )
        builder.ret_void()
        library.add_ir_module(module)


class _EntryLower(_WithEntry, Lower):
    pass


class _ParallelEntryLower(_WithEntry, ParforLower):
    pass


@register_pass(mutates_CFG=True, analysis_only=False)
class _EntryLowering(BaseNativeLowering):
    _name = "entry_lowering"
    lowering_class = _EntryLower


@register_pass(mutates_CFG=True, analysis_only=False)
class _ParallelEntryLowering(BaseNativeLowering):
    _name = "parallel_entry_lowering"
    lowering_class = _ParallelEntryLower


_REPLACED = {NativeLowering: _EntryLowering, NativeParforLowering: _ParallelEntryLowering}


class EntryCompiler(CompilerBase):
    """Numba's compiler, except that what C can call is an entry."""

    def define_pipelines(self):
        pipeline = DefaultPassBuilder.define_nopython_pipeline(self.state)
        pipeline.passes = [(_REPLACED.get(each, each), why) for each, why in pipeline.passes]
        pipeline.finalize()
        return [pipeline]
