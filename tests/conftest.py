"""Settings that are made before Numba is imported; skipping of GPU tests; fixtures."""

import os
import signal

import pytest
from browser import browse, chromium, shoot  # noqa: F401  (fixtures)
from hearing import hear_signals

cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
if cores == 1:
    # the tests of threads need two threads, even on a machine with one core
    os.environ.setdefault("NUMBA_NUM_THREADS", "2")


def pytest_runtest_setup(item):
    """Skip all tests from one place, so that the summary has one line, with a count, for each reason."""
    from gpu import MARKS, unavailable

    for name, mark in MARKS.items():
        if item.get_closest_marker(mark) and (reason := unavailable(name)):
            pytest.skip(reason)


@pytest.fixture
def signals():
    """Signals are handled as in a foreground process, however the tests were started."""
    before = hear_signals()
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
