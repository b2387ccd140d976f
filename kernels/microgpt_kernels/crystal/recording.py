"""A step as a list of calls: it is recorded once, in plain Python, and then repeated without Python."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from microgpt_kernels.crystal.entry import Kinds, packed

if TYPE_CHECKING:
    from microgpt_kernels.crystal.jit import Kernel

_of_thread = threading.local()


def recording() -> Recording | None:
    """The recording that goes on in this thread, if there is one."""
    return getattr(_of_thread, "recording", None)


class Recording:
    """The kernel calls of a function, in their order.

    calls     each kernel with the types and the words of its arguments; the caller keeps the arrays
    parts     where each part begins in the calls, and where the last one ends
    sections  where each section begins in the parts, and where the last one ends. Several threads may do the
              parts of a section at the same time.
    """

    def __init__(self, function: Callable[[], None]) -> None:
        self.calls: list[tuple[Kernel, Kinds, np.ndarray]] = []
        self.parts, self.sections = [0], [0]
        self._kinds: dict[Kinds, Kinds] = {}
        _of_thread.recording = self
        try:
            function()
            self._end_section()
        finally:
            _of_thread.recording = None

    def add(self, kernel: Kernel, arguments: tuple[Any, ...]) -> None:
        """Record a call."""
        kinds, words = packed(arguments)
        # equal types are one tuple, and no array is kept: a deep model has tens of thousands of calls
        kinds = self._kinds.setdefault(kinds, kinds)
        self.calls.append((kernel, kinds, np.array(words, np.int64)))

    @contextmanager
    def shared(self):
        """A section of parts, each of which `part` ends."""
        self._end_section()
        yield
        self.sections.append(len(self.parts) - 1)

    def part(self) -> None:
        """End a part."""
        self.parts.append(len(self.calls))

    def _end_section(self) -> None:
        if self.parts[-1] < len(self.calls):
            self.part()
            self.sections.append(len(self.parts) - 1)
