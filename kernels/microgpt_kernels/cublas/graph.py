"""How a step is compiled: run once, then captured as one CUDA graph, then replayed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from microgpt_kernels.cublas import device

shards = range


def inline(function):
    """The function itself: a step is made of launches, whoever makes them."""
    return function


def parallel(function):
    """The function itself: a GPU is parallel enough."""
    return function


def compile(step):
    """steps(n, state): n times step(state), as replays of one graph."""
    return Steps(step)


def max_shards():
    """One: to cut the batch would only make the work smaller."""
    return 1


def set_threads(n_threads):
    """Nothing: the host's part is one thread."""


class Steps:
    """n times a step. The first is run as it is, which loads what it needs; the others replay its graph.

    Launching a kernel costs the host more time than a short kernel takes; a graph is launched at once. What
    changes from step to step must be in the device's memory, as numbers handed over by value are part of the
    graph. A step that reads such memory into the host, as generation does, is not captured.
    """

    def __init__(self, step: Callable[[Any], None]) -> None:
        self._step = step
        self._state: Any = None
        self._graph: Any = None
        self._captures = True

    def __call__(self, n: int, state: Any) -> None:
        if n == 0:
            self._rehearse(state)
            return
        if state is not self._state:
            self._state, self._graph = state, None
        if self._graph is None:
            n -= 1
            self._first(state)
        if not self._captures:
            self.eager(n, state)
            return
        gpu = device.current()
        for _ in range(n):
            gpu.replay(self._graph)

    def eager(self, n: int, state: Any) -> None:
        """The same kernel by kernel: what the graph is tested against."""
        for _ in range(n):
            self._step(state)

    def _first(self, state: Any) -> None:
        gpu = device.current()
        n_reads = gpu.n_reads
        self._step(state)
        self._captures = gpu.n_reads == n_reads
        if self._captures:
            self._graph = gpu.capture(lambda: self._step(state))

    def _rehearse(self, state: Any) -> None:
        """Compile and load every kernel; nothing is launched."""
        gpu = device.current()
        gpu.gpu.set_current()  # that is each thread's own, and a program may compile in another one
        gpu.rehearsing = True
        try:
            self._step(state)
        finally:
            gpu.rehearsing = False
