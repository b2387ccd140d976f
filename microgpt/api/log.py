"""Messages for the user while something runs: they go to the logger `microgpt`.

Python shows them on standard error, unless `logging` is set up otherwise.
"""

from __future__ import annotations

import logging

LOG = logging.getLogger("microgpt")


class Log:
    """Sends messages to the logger; that something takes a while is said once."""

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
