"""`microgpt backends`: which backends can run here."""

from __future__ import annotations

import json

import microgpt_kernels

from microgpt.console import Display
from microgpt.terminal.fitting import fitted


def backends(*, as_json: bool) -> None:
    """Which backends can run here."""
    display = Display()
    width = max(map(len, microgpt_kernels.BACKENDS))
    for name in microgpt_kernels.BACKENDS:
        if display.live:
            display.working("trying the backends", name)
        row = microgpt_kernels.status(name)
        display.idle()
        if as_json:
            print(json.dumps(row._asdict()))
        else:
            line = f"{row.name:<{width}}  {'yes' if row.usable else 'no':<3}  {row.detail}"
            print(fitted(line, width + len("  yes  ")))
