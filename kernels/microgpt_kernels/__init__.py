"""The numerical kernels: they know arrays, and nothing of configurations or layers."""

from __future__ import annotations

import importlib
import os
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
        raise BackendError(f"there is no backend {name[:60]!r}; there are {', '.join(BACKENDS)}")
    if name.startswith("cublas"):
        from microgpt_kernels import nvidia

        nvidia.check(name)  # before anything heavy is imported
    if name != "reference":
        _check_threads()
    try:
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


def _check_threads() -> None:
    """Numba takes a number of threads from here as it is imported, and has no words for a wrong one."""
    value = os.environ.get("NUMBA_NUM_THREADS", "1")
    try:
        right = int(value) >= 1
    except ValueError:
        right = False
    if not right:
        raise BackendError(
            f"NUMBA_NUM_THREADS is {value!r}; set it to a number of threads, 1 or more, or unset it"
        )


def unusable_package(error: Exception) -> str | None:
    """The package whose import has failed with this error, and what to do; None for any other error."""
    import traceback  # it takes a while, and is seldom needed

    if isinstance(error, ModuleNotFoundError) and error.name and "." not in error.name:
        return f"the package {error.name!r}: pip install {error.name}"
    modules = [
        frame.f_globals.get("__name__", "")
        for frame, _ in traceback.walk_tb(error.__traceback__)
        if frame.f_code.co_name == "<module>"
    ]
    if isinstance(error, ImportError) and error.name:
        modules.append(error.name)
    packages = [module.partition(".")[0] for module in modules]
    others = [package for package in packages if package not in ("microgpt", "microgpt_kernels")]
    if not others:
        return None
    package = others[-1]  # the innermost: others fail only because of it
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    reason = next((line.strip() for line in str(cause).splitlines() if line.strip()), type(cause).__name__)
    installed = "numba" if package == "llvmlite" else package  # which brings the version that it can use
    return (
        f"the package {package!r}, and the one that is installed cannot be imported "
        f"({reason.rstrip('.')}): pip install --force-reinstall {installed}"
    )


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
