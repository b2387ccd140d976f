"""How a value is shown in a table."""

from __future__ import annotations

from typing import Any

from microgpt.terminal.harmless import harmless


def cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4f}"
    return "" if value is None else harmless(str(value))
