"""How Numba gets the machine code of a function from the store, and puts it there.

Numba's own cache keeps an index beside its files, which is wrong after processes have compiled at the same
time; and where it cannot write a folder it takes another one without a word. So Numba is given this cache
instead.

Private names of Numba used here, the same from 0.61 to 0.68: the attribute `_cache` of dispatchers and CFunc,
whose class is `_Cache`; `CompileResult._reduce` and `_rebuild`; `FunctionIdentity._unique_ids`.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import marshal
import os
import pickle
import warnings

import llvmlite
import numba
import numpy as np
from llvmlite import binding
from numba import types
from numba.core.bytecode import FunctionIdentity
from numba.core.caching import _Cache
from numba.core.ccallback import CFunc
from numba.core.compiler import CompileResult
from numba.core.errors import NumbaWarning
from numba.core.serialize import dumps
from numba.core.sigutils import normalize_signature

from microgpt_kernels.cache.reports import count_compiled
from microgpt_kernels.cache.store import Store

STORE = Store(numba.__version__, llvmlite.__version__, np.__version__)
# settings of Numba that change no machine code
HARMLESS_SETTINGS = ("NUMBA_CACHE_DIR=", "NUMBA_NUM_THREADS=", "NUMBA_THREADING_LAYER=")

# Numba tells functions of one name apart by a number, which it counts from 1 in every process. A third
# process can load the code of two others, and the linker would then take the first function of a name for all
# of them. So the count begins at random here.
FunctionIdentity._unique_ids = itertools.count(int.from_bytes(os.urandom(6), "little"))


def stored(dispatcher):
    """A function of Numba's that looks for its machine code in the store before it is compiled."""
    if not numba.config.DISABLE_JIT:
        dispatcher._cache = Stored(dispatcher.py_func)
    return dispatcher


def stored_cfunc(function, signature, options):
    """A C callback, compiled or loaded now."""
    compiled = CFunc(function, normalize_signature(signature), locals={}, options=options)
    compiled._cache = Stored(function)
    compiled.compile()
    return compiled


class Stored(_Cache):
    """What a dispatcher asks for the machine code of its function."""

    def __init__(self, function):
        self._function = function

    def load_overload(self, sig, target_context):
        target_context.refresh()
        key = self._key(sig, target_context)
        loaded = None
        content = STORE.get(key)
        if content is not None:
            try:
                stored_sig, reduced = pickle.loads(content)
                if stored_sig == sig:
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
        STORE.put(self._key(sig, data.target_context), dumps((sig, data._reduce())))

    def _key(self, sig, target_context):
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
        """The function itself, and whatever it has from the functions around it."""
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

    Machine code finds a field by its place. When two fields of one type have changed places, the name of the
    tuple's type is the same as before, and the machine code is wrong.
    """
    if isinstance(kind, types.BaseNamedTuple):
        cls = kind.instance_class
        return cls.__module__, cls.__qualname__, *zip(kind.fields, map(_spelled, kind), strict=True)
    if isinstance(kind, types.BaseTuple):
        return tuple(map(_spelled, kind))
    return repr(kind)


def _machine():
    """What the kernels ask of the processor when they are compiled, and the user's settings of Numba."""
    settings = [f"{name}={value}" for name, value in os.environ.items() if name.startswith("NUMBA_")]
    chosen = sorted(setting for setting in settings if not setting.startswith(HARMLESS_SETTINGS))
    return _features(), chosen


@functools.cache
def _features():
    return binding.get_host_cpu_features().flatten()
