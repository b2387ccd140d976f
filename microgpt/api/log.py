"""What a user should know meanwhile: it goes to the logger `microgpt`.

Python shows that on standard error, unless `logging` is set up otherwise.
"""

from __future__ import annotations

import logging

LOG = logging.getLogger("microgpt")


class Log:
    """Tells the logger what a user should know, and that something takes a while once."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def note(self, text: str) -> None:
        LOG.warning("%s", text)

    def working(self, what: str, so_far: str) -> None:
        if what not in self._said:
            self._said.add(what)
            self.note(f"{what} ...")

    def idle(self) -> None:
        pass
