"""Compiles kernels side by side: in this process, and in helpers, from which it gets them through the store.

One process cannot compile two functions at the same time, because Numba lets only one thread compile. Nothing
depends on the helpers: what they have not done in the end, this process does.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Iterable

from loky.backend.context import cpu_count

from microgpt_kernels.cache.numba_code import STORE
from microgpt_kernels.cache.reports import count_compiled, tell_once
from microgpt_kernels.crystal.entry import Kinds
from microgpt_kernels.crystal.jit import Kernel

Job = tuple[Kernel, Kinds]

MOST_HELPERS = 3
# A helper needs most of a second to start: for fewer kernels than these it is not worth it.
JOBS_FOR_A_HELPER = 4


def compile_all(wanted: Iterable[Job]) -> None:
    """Compile kernels for the types of their arguments, unless they are in the store."""
    missing = [job for job in set(wanted) if not job[0].is_stored(job[1])]
    missing.sort(key=_size, reverse=True)  # the last one should be short
    waiting = deque(filter(_is_importable, missing))
    n_helpers = min(MOST_HELPERS, cpu_count() - 1, len(waiting) // JOBS_FOR_A_HELPER)
    helpers = []
    if n_helpers > 0 and STORE.is_writable and sys.executable and not getattr(sys, "frozen", False):
        helpers = [threading.Thread(target=_help, args=(waiting,), daemon=True) for _ in range(n_helpers)]
    for helper in helpers:
        helper.start()
    while waiting or any(helper.is_alive() for helper in helpers):
        try:
            kernel, kinds = waiting.popleft()
        except IndexError:
            helpers.pop().join()  # which may put its kernel back
        else:
            kernel.entry(kinds)
    for kernel, kinds in missing:
        kernel.entry(kinds)


def _is_importable(job: Job) -> bool:
    """Whether a helper finds the kernel by its name."""
    function = job[0].py_func
    found = getattr(sys.modules.get(function.__module__), function.__qualname__, None)
    return found is job[0] and function.__module__ != "__main__"


def _size(job: Job) -> int:
    return len(job[0].py_func.__code__.co_code)


def _help(waiting: deque[Job]) -> None:
    """Let a process compile kernels as long as some wait; one that fails puts its kernel back."""
    job = None
    with tempfile.TemporaryFile() as errors:
        try:
            with _process(errors) as process:
                while waiting:
                    job = waiting.pop()
                    count_compiled()
                    kernel, kinds = job
                    function = kernel.py_func
                    pickle.dump((function.__module__, function.__qualname__, kinds), process.stdin)
                    process.stdin.flush()
                    if not process.stdout.read(1):
                        raise OSError("it ended")
                    job = None
        except (IndexError, OSError) as error:
            if job is not None:
                waiting.append(job)
            if not isinstance(error, IndexError):
                errors.seek(0)
                *_, why = errors.read().decode(errors="replace").splitlines() or [str(error)]
                tell_once(f"the kernels are compiled by one process, because a second one failed: {why}")


def _process(errors):
    """A helper. It ends when its standard input does, and so never outlives this process."""
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "microgpt_kernels.crystal.helper"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        # Ctrl-C is for this process alone
        start_new_session=os.name != "nt",
        creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
    )
