"""What the backend runs with, in a line for `microgpt backends`."""

import scipy
from threadpoolctl import threadpool_info

from microgpt_kernels.crystal.describe import describe as describe_compiler


def describe():
    """SciPy's BLAS, and what compiles the other kernels."""
    libraries = {f"{x['internal_api']} {x['version']}" for x in threadpool_info() if x["user_api"] == "blas"}
    return f"SciPy {scipy.__version__} with {' and '.join(sorted(libraries))}; {describe_compiler()}"
