"""`microgpt info`: its options."""

from __future__ import annotations

from microgpt.cli.options import Json, RunPath


def info(run: RunPath, json: Json = False) -> None:
    """What a checkpoint holds."""
    from microgpt.commands.info import info

    info(run, as_json=json)
