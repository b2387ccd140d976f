"""What backends need on a machine: a module for each need, whose `check(backend)` raises BackendError.

`loading.py` lists the needs of each backend. Nothing heavy is imported here, so the checks are fast.
"""
