"""The numerical kernels. They work on arrays and know nothing about configurations or layers."""

from microgpt_kernels.errors import BackendError
from microgpt_kernels.loading import BACKENDS, Status, load, status
from microgpt_kernels.packages import unusable_package

__all__ = ["BACKENDS", "BackendError", "Status", "load", "status", "unusable_package"]
