"""The numerical kernels: they know arrays, and nothing of configurations or layers."""
