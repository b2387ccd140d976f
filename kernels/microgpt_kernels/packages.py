"""Which package is at fault when an import fails."""

from __future__ import annotations


def unusable_package(error: Exception) -> str | None:
    """The package whose import has failed with this error, and what to do; None for any other error.

    A mistake in an import of our own, such as a misspelt name, is a bug and no package's fault.
    """
    import traceback  # slow to import and seldom needed

    if isinstance(error, ModuleNotFoundError) and error.name and "." not in error.name:
        return None if _is_ours(error.name) else f"the package {error.name!r}: pip install {error.name}"
    modules = [
        frame.f_globals.get("__name__", "")
        for frame, _ in traceback.walk_tb(error.__traceback__)
        if frame.f_code.co_name == "<module>"
    ]
    if isinstance(error, ImportError) and error.name:
        modules.append(error.name)
    others = [module.partition(".")[0] for module in modules if not _is_ours(module)]
    if not others:
        return None
    package = others[-1]  # the last to be imported: the others fail only because of it
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    reason = next((line.strip() for line in str(cause).splitlines() if line.strip()), type(cause).__name__)
    installed = "numba" if package == "llvmlite" else package  # which installs its llvmlite
    return (
        f"the package {package!r}, and the one that is installed cannot be imported "
        f"({reason.rstrip('.')}): pip install --force-reinstall {installed}"
    )


def _is_ours(module: str) -> bool:
    """Whether a module belongs to this project, judged by its name, which may be misspelt."""
    return module.startswith("microgpt")
