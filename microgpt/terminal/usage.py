"""Wrong usage in one line, whether the parser of the command line finds it or the program does."""

from __future__ import annotations

import sys
from typing import Any

import typer
from typer.core import TyperGroup

from microgpt.errors import shown, shown_path
from microgpt.terminal.invocation import pasteable
from microgpt.terminal.mpiexec import rank

# Typer does not export the base of its errors by a name.
ParserError: Any = typer.BadParameter.__base__
# What a value should be, by the kind of the error of Pydantic, by which newer versions of Typer read numbers
WANTED = {
    "int_parsing": "a whole number",
    "float_parsing": "a number",
    "greater_than_equal": "at least {ge}",
}


class OneLineErrors(TyperGroup):
    """Commands of which the parser's errors are one line and exit code 2, like those of the program."""

    def main(self, *args: Any, **options: Any) -> Any:
        if not options.get("standalone_mode", True):
            return super().main(*args, **options)
        try:
            sys.exit(super().main(*args, **{**options, "standalone_mode": False}))
        except ParserError as error:
            if rank() == 0:  # all processes of mpiexec have the same command line
                _show(error)
            sys.exit(2)


def _show(error: Any) -> None:
    _put_plainly(error)
    message, context = error.format_message(), error.ctx
    if context is not None and message == context.get_help():  # the program was called without a command
        error.show()
        return
    command = [context.info_name] if context is not None and context.parent is not None else []
    # the message repeats what the user has typed, like the name of a file
    sentence = shown_path(" ".join(message.split()).removesuffix("."))
    typer.echo(
        f"microgpt: {sentence[:1].lower()}{sentence[1:]} ({pasteable(*command, '--help')} says more)",
        err=True,
    )


def _put_plainly(error: Any) -> None:
    """Say what is wrong with a number as the program says it elsewhere."""
    for details in getattr(error.__cause__, "errors", list)():
        if details["type"] in WANTED:
            wanted = WANTED[details["type"]].format(**details.get("ctx", {}))
            error.message = f"{shown(details['input'])} should be {wanted}"
