"""How Numba reads the machine code of functions from the store, and writes it there.

Numba's own cache keeps an index beside its files, which is wrong after processes have compiled at the same
time; and if it cannot write a folder, it uses another one without saying so. So Numba is given this
cache instead.

Private names of Numba used here, the same from 0.61 to 0.68: the attribute `_cache` of dispatchers and CFunc,
whose class is `_Cache`; a library's `_final_module`; `CompileResult._reduce` and `_rebuild`;
`FunctionIdentity._unique_ids`.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import marshal
import os
import pickle
import warnings
from collections.abc import Callable

import llvmlite
import numba
import numpy as np
from llvmlite import binding
from numba import types
from numba.core.bytecode import FunctionIdentity
from numba.core.caching import _Cache
from numba.core.ccallback import CFunc
from numba.core.compiler import Compiler, CompileResult
from numba.core.errors import NumbaWarning
from numba.core.registry import cpu_target
from numba.core.serialize import dumps
from numba.core.sigutils import normalize_signature

from microgpt_kernels.cache.reports import count_compiled
from microgpt_kernels.cache.store import Store

STORE = Store(numba.__version__, llvmlite.__version__, np.__version__)
# settings of Numba that do not change machine code
HARMLESS_SETTINGS = ("NUMBA_CACHE_DIR=", "NUMBA_NUM_THREADS=", "NUMBA_THREADING_LAYER=")

# Numba distinguishes functions of the same name by a number, which it counts from 1 in every process. A
# process may load code that two others have compiled, and the linker would then use the first function of a
# name and number for both. So the count begins at a random number here.
FunctionIdentity._unique_ids = itertools.count(int.from_bytes(os.urandom(6), "little"))


# What defines the symbols that stored code may use, by their names
_DEFINITIONS: dict[str, Callable[[], None]] = {}


def needed_later(symbol: str, define: Callable[[], None]) -> None:
    """Let `define_symbols` call `define` for code that uses the symbol."""
    _DEFINITIONS[symbol] = define


def define_symbols(compiled):
    """Define the symbols that a C callback of `stored_cfunc` uses: before that, it must not be called."""
    for symbol in compiled._cache.symbols:
        _DEFINITIONS[symbol]()


def stored_cfunc(function, signature, options, pipeline=Compiler):
    """A C callback, which is loaded from the store or compiled now."""
    compiled = CFunc(function, normalize_signature(signature), {}, options, pipeline_class=pipeline)
    compiled._cache = Stored(function)
    compiled.compile()
    return compiled


def is_stored(function, signature):
    """Whether the store has a function's code for these types."""
    return STORE.has(Stored(function).key(signature, cpu_target.target_context))


class Stored(_Cache):
    """The cache that a dispatcher uses: it finds and saves the machine code of one function."""

    def __init__(self, function):
        self._function = function
        self.symbols = []  # those that its code uses, of which `needed_later` has a definition

    def load_overload(self, sig, target_context):
        target_context.refresh()
        key = self.key(sig, target_context)
        loaded = None
        content = STORE.get(key)
        if content is not None:
            try:
                stored_sig, symbols, reduced = pickle.loads(content)
                if stored_sig == sig:
                    self.symbols = symbols
                    loaded = CompileResult._rebuild(target_context, *reduced)
            except MemoryError:
                raise
            except Exception as error:
                STORE.discard(type(error).__name__)
        if loaded is None:
            count_compiled()
        return loaded

    def save_overload(self, sig, data):
        if data.library.has_dynamic_globals or data.lifted:
            name = self._function.__qualname__
            warnings.warn(f"{name} cannot be kept: its code holds addresses", NumbaWarning, stacklevel=2)
            return
        named = (each.name for each in data.library._final_module.global_variables)
        self.symbols = sorted(_DEFINITIONS.keys() & named)
        STORE.put(self.key(sig, data.target_context), dumps((sig, self.symbols, data._reduce())))

    def key(self, sig, target_context):
        """All that the machine code depends on, apart from sources and versions, which choose the folder."""
        args, _ = normalize_signature(sig)
        return repr(
            (
                self._function.__module__,
                self._function.__qualname__,
                self._code,
                [_spelled(each) for each in args],
                target_context.codegen().magic_tuple(),
                _machine(),
            )
        )

    @functools.cached_property
    def _code(self):
        """The function's bytecode, and the values that it captures from the functions around it."""
        cells = tuple(cell.cell_contents for cell in self._function.__closure__ or ())
        # version 0 of marshal is the same in every process
        code = marshal.dumps(self._function.__code__, 0)
        return [hashlib.sha256(part).hexdigest() for part in (code, dumps(cells))]

    @property
    def cache_path(self):
        return STORE.folder

    def enable(self):
        raise NotImplementedError

    disable = flush = enable


def _spelled(kind):
    """A type with the names of its fields.

    Machine code finds a field by its position. If two fields of the same type are swapped, the name of the
    tuple's type stays the same, but the old machine code would be wrong.
    """
    if isinstance(kind, types.BaseNamedTuple):
        cls = kind.instance_class
        return cls.__module__, cls.__qualname__, *zip(kind.fields, map(_spelled, kind), strict=True)
    if isinstance(kind, types.BaseTuple):
        return tuple(map(_spelled, kind))
    return repr(kind)


def _machine():
    """The properties of the processor that kernels are compiled for, and the user's settings of Numba."""
    settings = [f"{name}={value}" for name, value in os.environ.items() if name.startswith("NUMBA_")]
    chosen = sorted(setting for setting in settings if not setting.startswith(HARMLESS_SETTINGS))
    return _features(), chosen


@functools.cache
def _features():
    return binding.get_host_cpu_features().flatten()
