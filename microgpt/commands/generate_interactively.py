"""`microgpt generate --interactive`: a text that the user types beside a trained model."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from microgpt.commands.model import open_model
from microgpt.console import Display
from microgpt.errors import MicrogptError, UsageError
from microgpt.interactive import write
from microgpt.terminal.harmless import harmless
from microgpt.terminal.keyboard import keyboard
from microgpt.text.prompt import read_prompt
from microgpt.use.generate import Sampling


def generate_interactively(
    run: Path, prompt: str, prompt_file: Path | None, *, last: bool, backend: str, **sampling: Any
) -> None:
    """Let the user type after the prompt, beside the model; then the whole text goes to standard output."""
    display = Display()
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError("--interactive needs a terminal as its standard input and standard error")
    if not display.live:
        raise UsageError("--interactive rewrites its screen, which this terminal cannot do (TERM says so)")
    try:
        Sampling(**sampling)
    except MicrogptError as error:
        raise UsageError(str(error)) from None
    model = open_model(run, backend, display, last=last)
    if prompt_file is not None:
        prompt = read_prompt(prompt_file)
    draft = model.draft(prompt, **sampling)
    with keyboard() as keys:
        write(draft, keys, display.console)
    print(harmless(draft.text) if sys.stdout.isatty() else draft.text, flush=True)
