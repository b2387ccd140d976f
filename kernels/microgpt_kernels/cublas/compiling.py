"""How a step is compiled: it is run once, recorded as a CUDA graph, and from then on replayed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from microgpt_kernels.cublas import device
from microgpt_kernels.cublas.graph import Graph


def compile(step, n_counters=0):
    """steps(n, state): n times step(state), as replays of one graph."""
    if n_counters == 0:
        return Steps(step)
    return Steps(lambda state: step(state, *(state.clock[i] for i in range(n_counters))))


class Steps:
    """Runs a step n times. The first runs kernel by kernel, which loads them; the others replay its graph.

    Launching a kernel costs the host more time than a short kernel takes; a whole graph is one launch. A step
    that reads counters from the GPU, as generation does, cannot be recorded and always runs kernel by kernel.
    With n = 0 all kernels of the step are compiled and loaded, and nothing is launched.
    """

    def __init__(self, step: Callable[[Any], None]) -> None:
        self._step = step
        self._state: Any = None
        self._graph: Graph | None = None

    def __call__(self, n: int, state: Any) -> None:
        if n == 0:
            with device.current().rehearsal():
                self._step(state)
            return
        if state is not self._state:
            self._state, self._graph = state, None
        if self._graph is None:
            n -= 1
            self._first(state)
        if self._graph is None:
            self.eager(n, state)
            return
        for _ in range(n):
            self._graph.replay()

    def eager(self, n: int, state: Any) -> None:
        """The same without a graph, kernel by kernel, for comparison in tests."""
        for _ in range(n):
            self._step(state)

    def _first(self, state: Any) -> None:
        """Run a step, and record it unless the host has read a number from the GPU meanwhile."""
        gpu = device.current()
        n_reads = gpu.n_reads
        self._step(state)
        if gpu.n_reads == n_reads:
            self._graph = Graph(gpu, lambda: self._step(state))
