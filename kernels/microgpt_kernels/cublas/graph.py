"""A CUDA graph: work recorded once, which the host then asks for with a single launch."""

from __future__ import annotations

import gc
from collections.abc import Callable
from contextlib import suppress

from microgpt_kernels.cublas.device import Device, lost


class Graph:
    """All that `work` asks of a GPU. It is recorded now, and done at each replay.

    Numbers that are handed over by value are part of the graph. What changes from replay to replay must lie
    in the GPU's memory, and so must all arrays for as long as the graph is in use.
    """

    def __init__(self, gpu: Device, work: Callable[[], None]) -> None:
        self._gpu = gpu
        builder = gpu.stream.create_graph_builder()
        # if the collector freed an array meanwhile, the graph would free it again at each replay
        collects = gc.isenabled()
        gc.disable()
        builder.begin_building()
        try:
            work()
        except BaseException:
            with suppress(Exception):  # it would hide what has gone wrong
                builder.end_building()
            raise
        else:
            builder.end_building()
        finally:
            if collects:
                gc.enable()
        self._graph = builder.complete()
        self._graph.upload(gpu.stream)

    def replay(self) -> None:
        """Ask for all of it. Raises BackendError where the GPU has failed."""
        try:
            self._graph.launch(self._gpu.stream)
        except Exception as error:
            raise lost(error) from error
