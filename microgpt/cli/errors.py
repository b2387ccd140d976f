"""How the errors of a command end the program: in one sentence and an exit code."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import typer
from microgpt_kernels import BackendError, unusable_package

from microgpt.errors import MicrogptError, shown_path
from microgpt.machine.address_space import check_address_space
from microgpt.terminal.interruption import INTERRUPTED


def ending_in_a_sentence(function: Callable[..., None]) -> Callable[..., None]:
    """The same command, whose errors are one sentence and an exit code."""

    @functools.wraps(function)
    def guarded(*args: Any, **kwargs: Any) -> None:
        try:
            check_address_space()
            function(*args, **kwargs)
        except (MicrogptError, BackendError) as error:
            _stop(str(error), getattr(error, "exit_code", 1))
        except KeyboardInterrupt:
            _stop("interrupted", INTERRUPTED)
        except OSError as error:
            where = f"{shown_path(error.filename)}: " if error.filename else ""
            _stop(f"{where}{error.strerror or error}", 1)
        except ImportError as error:
            package = unusable_package(error)
            if package is None:
                raise
            _stop(f"every command needs {package}", 1)
        except MemoryError as error:
            _stop(f"out of memory: {error}; use a smaller model, --batch-size or --seq-len", 1)
        except RuntimeError as error:
            if "can't start new thread" not in str(error):
                raise
            _stop("the system allows this user no more threads (`ulimit -u`): end other programs", 1)

    return guarded


def _stop(message: str, code: int) -> None:
    typer.echo(f"microgpt: {message}", err=True)
    raise typer.Exit(code)
