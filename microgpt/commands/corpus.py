"""`microgpt corpus`: writing the texts that come with the program, and downloading another one."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from microgpt.corpora import corpus as corpora
from microgpt.errors import UsageError, shown
from microgpt.terminal.invocation import pasteable


def corpus(name: str, out: Path, *, as_json: bool) -> None:
    """Write a text."""
    if name == "tales":
        n_bytes = corpora.write_tales(out)
    elif name in corpora.PUZZLES_SHA256:
        n_bytes = corpora.write_puzzles(name, out)
    elif name == "shakespeare":
        from rich.console import Console
        from rich.progress import DownloadColumn, Progress

        console = Console(stderr=True)
        with Progress(
            *Progress.get_default_columns(),
            DownloadColumn(),
            console=console,
            disable=not console.is_terminal,
        ) as progress:
            task = progress.add_task("shakespeare", total=None)
            n_bytes = corpora.download_shakespeare(
                out, lambda done, total: progress.update(task, completed=done, total=total)
            )
    else:
        names = ", ".join(["tales", *corpora.PUZZLES_SHA256])
        raise UsageError(f"there is no corpus {shown(name)}; there are {names} and shakespeare")
    if corpora.is_standard_output(out):
        return
    if as_json:
        print(json.dumps({"corpus": name, "file": str(out), "bytes": n_bytes}))
    else:
        print(f"{out}: {n_bytes:,} bytes; next: {pasteable('train', out)}", file=sys.stderr)
