"""Whether `ulimit -v` leaves enough address space to start in.

With too little of it OpenBLAS and LLVM do not raise errors: they end the process, or try again for ever. So
this is asked before they are imported.
"""

from __future__ import annotations

from microgpt.errors import MicrogptError

# The most address space (VmPeak) that small models took with OPENBLAS_NUM_THREADS=1: 540,000 KiB where all
# code had been compiled before, and 620,508 KiB where none had; 856,028 KiB with two threads and an
# evaluation, and 969,152 KiB so in float64 on openblas. Each further thread of OpenBLAS, used or not, takes
# 41,000 KiB in NumPy and as much in SciPy.
NEEDED = 1 << 30


def check_address_space() -> None:
    """Raise MicrogptError where this process may not have as much address space as it will need."""
    try:
        import resource
    except ModuleNotFoundError:  # Windows has no such limit
        return
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY and limit < NEEDED:
        raise MicrogptError(
            f"this shell allows {limit >> 10} KiB of address space, but Python, its libraries and their "
            f"compiler need {NEEDED >> 10} KiB: say `ulimit -v unlimited`, or this number and the memory "
            "that the model takes"
        )
