"""Whether `ulimit -v` and `ulimit -d` leave enough memory to start in.

With too little of it OpenBLAS and LLVM do not raise errors: they end the process, or try again for ever. So
the limits are checked before these libraries are imported.
"""

from __future__ import annotations

from microgpt.errors import MicrogptError

# The most address space (VmPeak) that small models took with OPENBLAS_NUM_THREADS=1: 540,000 KiB where all
# code had been compiled before, and 620,508 KiB where none had; 856,028 KiB with two threads and an
# evaluation, and 969,152 KiB so in float64 on openblas. Each further thread of OpenBLAS, used or not, takes
# 41,000 KiB in NumPy and as much in SciPy.
NEEDED = 1 << 30
# The most of it that was data (VmData), also with two threads and an evaluation: 213,344 KiB on crystal where
# all code had been compiled before, 408,352 KiB where none had, and 441,132 KiB so in float64 on openblas.
NEEDED_DATA = 1 << 29


def check_address_space() -> None:
    """Raise MicrogptError where this process may not have as much memory as it will need."""
    try:
        import resource
    except ModuleNotFoundError:  # Windows has no such limits
        return
    for number, needed, what, option in (
        (resource.RLIMIT_AS, NEEDED, "address space", "-v"),
        (resource.RLIMIT_DATA, NEEDED_DATA, "data", "-d"),
    ):
        limit, _ = resource.getrlimit(number)
        if limit != resource.RLIM_INFINITY and limit < needed:
            raise MicrogptError(
                f"this shell allows {limit >> 10} KiB of {what}, but Python, its libraries and their "
                f"compiler need {needed >> 10} KiB: say `ulimit {option} unlimited`, or this number and the "
                "memory that the model takes"
            )
