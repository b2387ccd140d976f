"""Compiles kernels side by side, in this process and in helpers, which share the store with it."""


def compile_all(wanted):
    for kernel, kinds in wanted:
        kernel.entry(kinds)
