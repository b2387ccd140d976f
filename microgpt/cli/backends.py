"""`microgpt backends`: its options."""

from __future__ import annotations

from microgpt.cli.options import Json


def backends(json: Json = False) -> None:
    """Which backends can run here, and why the others cannot."""
    from microgpt.commands.backends import backends

    backends(as_json=json)
