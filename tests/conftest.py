"""Settings that must be there before Numba is imported; what tests need: a GPU, a simulated one, signals."""

import os
import signal

import pytest
from hearing import hear_signals

cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
if cores == 1:
    # the tests of threads need two of them, if only by turns
    os.environ.setdefault("NUMBA_NUM_THREADS", "2")


def pytest_runtest_setup(item):
    """Skip from one place for all: the summary has one line for each reason, with how many tests it is."""
    from gpu import MARKS, unavailable

    for name, mark in MARKS.items():
        if item.get_closest_marker(mark) and (reason := unavailable(name)):
            pytest.skip(reason)


@pytest.fixture
def signals():
    """Signals as in the foreground, whatever the tests were started by."""
    before = hear_signals()
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
