"""A CUDA graph: work that is recorded once, and that the host then repeats with a single launch."""

from __future__ import annotations

import gc
from collections.abc import Callable
from contextlib import suppress

from microgpt_kernels.cublas.device import Device, lost


class Graph:
    """All that `work` launches on a GPU. It is recorded now, and done at each replay.

    Numbers that are passed by value are part of the graph. What changes from replay to replay must lie
    in the GPU's memory, and so must all arrays for as long as the graph is in use.
    """

    def __init__(self, gpu: Device, work: Callable[[], None]) -> None:
        self._gpu = gpu
        builder = gpu.stream.create_graph_builder()
        # if the garbage collector freed an array meanwhile, the graph would free it again at each replay
        collects = gc.isenabled()
        gc.disable()
        builder.begin_building()
        try:
            work()
        except BaseException:
            with suppress(Exception):  # an error here would hide the first one
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
        """Launch the whole graph. Raises BackendError if the GPU has failed."""
        try:
            self._graph.launch(self._gpu.stream)
        except Exception as error:
            raise lost(error) from error
