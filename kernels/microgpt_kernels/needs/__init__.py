"""What backends need of a machine: a module for each need, whose `check(backend)` raises BackendError.

`loading.py` says which backend needs what. Nothing heavy is imported here: the answer is there in a moment.
"""
