"""Loads a backend by its name: checks its needs before the import, and the contract after it."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import NamedTuple

from microgpt_kernels.errors import BackendError
from microgpt_kernels.packages import unusable_package

# The modules of `needs` whose `check` a backend must pass before it is imported, in this order.
NEEDS = {
    "crystal": ("numba_threads",),
    "openblas": ("numba_threads",),
    "cublas": ("nvidia", "numba_threads"),
    "cublas-tf32": ("nvidia", "numba_threads"),
    "reference": (),
}
BACKENDS = tuple(NEEDS)


def load(name: str) -> ModuleType:
    """The backend's module, checked against the contract; never another backend in its place.

    Raises BackendError.
    """
    from microgpt_kernels import contract

    if name not in NEEDS:
        raise BackendError(f"there is no backend {name[:60]!r}; there are {', '.join(BACKENDS)}")
    try:
        for need in NEEDS[name]:
            importlib.import_module(f"microgpt_kernels.needs.{need}").check(name)
        backend = importlib.import_module(f"microgpt_kernels.{name.replace('-', '_')}")
    except Exception as error:
        package = unusable_package(error)
        if package is None:
            raise
        raise BackendError(f"the backend {name!r} needs {package}") from error
    wrong = contract.differences(backend)
    if wrong:
        raise BackendError(f"the backend {name!r} does not keep the contract: {'; '.join(wrong)}")
    return backend


class Status(NamedTuple):
    """Whether a backend can run here, and what it runs with, or why it cannot."""

    name: str
    usable: bool
    detail: str


def status(name: str) -> Status:
    """Whether `load` would succeed; a sentence says what the backend runs with, or what is missing."""
    try:
        return Status(name, True, load(name).describe())
    except BackendError as error:
        return Status(name, False, str(error).removeprefix(f"the backend {name!r} "))
