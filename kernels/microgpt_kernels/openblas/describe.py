"""Describes what the backend runs with, in one line for `microgpt backends`."""

import scipy
from threadpoolctl import threadpool_info

from microgpt_kernels.crystal.describe import describe as describe_compiler


def describe():
    """The versions of SciPy's BLAS and of the compiler of the other kernels."""
    libraries = {f"{x['internal_api']} {x['version']}" for x in threadpool_info() if x["user_api"] == "blas"}
    return f"SciPy {scipy.__version__} with {' and '.join(sorted(libraries))}; {describe_compiler()}"
