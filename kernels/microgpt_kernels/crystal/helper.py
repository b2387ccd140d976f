"""A process that compiles kernels for another one, `side_by_side.py`, and leaves them in the store.

It reads jobs from standard input, and writes one byte to standard output for each that is done. When its
input ends, so does the process, even in the midst of a compilation.
"""

import importlib
import os
import pickle
import queue
import sys
import threading
import traceback

# LLVM's recursion is deep, and some systems give a process a small stack
STACK_BYTES = 16 << 20


def main() -> None:
    jobs = queue.SimpleQueue()
    threading.stack_size(STACK_BYTES)
    threading.Thread(target=_compile, args=(jobs,), daemon=True).start()
    while True:
        try:
            job = pickle.load(sys.stdin.buffer)
        except EOFError:
            os._exit(0)
        jobs.put(job)


def _compile(jobs) -> None:
    try:
        while True:
            module, name, kinds = jobs.get()
            getattr(importlib.import_module(module), name).compile(kinds)
            os.write(sys.stdout.fileno(), b".")
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)


if __name__ == "__main__":
    main()
