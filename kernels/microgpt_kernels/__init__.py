"""The numerical kernels: they know arrays, and nothing of configurations or layers."""

from microgpt_kernels.errors import BackendError
from microgpt_kernels.loading import BACKENDS, Status, load, status
from microgpt_kernels.packages import unusable_package

__all__ = ["BACKENDS", "BackendError", "Status", "load", "status", "unusable_package"]
