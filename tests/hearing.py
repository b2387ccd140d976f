"""Signals as a program in the foreground receives them."""

from __future__ import annotations

import signal
from typing import Any


def hear_signals() -> dict[int, Any]:
    """Handle the signals that background processes (Ctrl-C) and processes under `nohup` (hangup) ignore.

    Child processes inherit this. Returns the earlier handlers.
    """
    handlers = {"SIGINT": signal.default_int_handler, "SIGTERM": signal.SIG_DFL, "SIGHUP": signal.SIG_DFL}
    return {
        number: signal.signal(number, handler)
        for name, handler in handlers.items()
        if (number := getattr(signal, name, None)) is not None
    }
