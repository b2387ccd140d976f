"""Signals as a program in the foreground hears them."""

from __future__ import annotations

import signal
from typing import Any


def hear_signals() -> dict[int, Any]:
    """Hear what a shell makes its background processes ignore (Ctrl-C) and `nohup` too (a hangup).

    Children inherit it. Returns the handlers from before.
    """
    handlers = {"SIGINT": signal.default_int_handler, "SIGTERM": signal.SIG_DFL, "SIGHUP": signal.SIG_DFL}
    return {
        number: signal.signal(number, handler)
        for name, handler in handlers.items()
        if (number := getattr(signal, name, None)) is not None
    }
