"""The numerical kernels: they know arrays, and nothing of configurations or layers."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import NamedTuple

BACKENDS = ("crystal", "openblas", "cublas", "cublas-tf32", "reference")


class BackendError(Exception):
    """A backend that cannot run here, or does not keep the contract; the message says what is missing."""


def load(name: str) -> ModuleType:
    """The backend's module, checked against the contract. Never another one in its place.

    Raises BackendError.
    """
    from microgpt_kernels import contract

    if name not in BACKENDS:
        raise BackendError(f"there is no backend {name!r}; there are {', '.join(BACKENDS)}")
    if name.startswith("cublas"):
        from microgpt_kernels import nvidia

        nvidia.check(name)  # before anything heavy is imported
    try:
        backend = importlib.import_module(f"microgpt_kernels.{name.replace('-', '_')}")
    except ModuleNotFoundError as error:
        raise BackendError(
            f"the backend {name!r} needs the package {error.name!r}: pip install {error.name}"
        ) from None
    wrong = contract.differences(backend)
    if wrong:
        raise BackendError(f"the backend {name!r} does not keep the contract: {'; '.join(wrong)}")
    return backend


class Status(NamedTuple):
    """Whether a backend can run here, and with what, or why not."""

    name: str
    usable: bool
    detail: str


def status(name: str) -> Status:
    """What `load` would do, in a sentence."""
    try:
        return Status(name, True, load(name).describe())
    except BackendError as error:
        return Status(name, False, str(error).removeprefix(f"the backend {name!r} "))
