"""A process for each program. One runs at a time; the others wait for a message from the main process."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import signal
import time
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

from microgpt.arrays import Array
from microgpt.errors import MicrogptError

from .problem import Problem
from .systems import AdamState, System, cores, environment


class Runner:
    """A program on a number of threads, in a process of its own. Raises MicrogptError where it cannot run."""

    def __init__(self, system: System, problem: Problem, threads: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, system, problem, threads), daemon=True)
        self.process.start()
        theirs.close()
        self.steps = 1

    def run(self, n: int) -> tuple[float, Array]:
        """The seconds that n more steps took, and their losses."""
        return self._ask(n)

    def state(self) -> AdamState:
        """The parameters and Adam's moments after the steps so far."""
        return self._ask("state")

    def _ask(self, question: int | str) -> Any:
        with suppress(BrokenPipeError):  # the process has ended, and its reason is read below
            self.pipe.send(question)
        try:
            answer = self.pipe.recv()
        except EOFError:
            self.process.join()
            raise MicrogptError(f"its process ended with exit code {self.process.exitcode}") from None
        if isinstance(answer, str):
            raise MicrogptError(answer)
        return answer

    def settle(self, seconds: float) -> None:
        """Choose how many steps a turn has, so that it takes about this many seconds."""
        while (taken := self.run(self.steps)[0]) < seconds / 4:
            self.steps *= 2
        self.steps = max(1, round(self.steps * seconds / taken))

    def rate(self) -> float:
        """Steps a second, of one turn."""
        return self.steps / self.run(self.steps)[0]

    def close(self) -> None:
        self.pipe.close()
        self.process.join()


def _serve(pipe: Connection, system: System, problem: Problem, threads: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the driver receives it as well, and closes the pipe
    os.dup2(2, 1)  # keeps what libraries print out of the results
    # before any of the libraries is imported
    os.environ.update(environment(threads))
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores(threads))
    try:
        module = importlib.import_module(f".{system.module}", __package__)
        program = module.program(problem, threads, system.variant)
        while True:
            asked = pipe.recv()
            if asked == "state":
                pipe.send(program.state())
                continue
            begin = time.perf_counter()
            losses = program.advance(asked)
            pipe.send((time.perf_counter() - begin, losses))
    except (EOFError, BrokenPipeError):
        pass  # the driver has gone
    except Exception as error:
        pipe.send(_reason(error))


def _reason(error: Exception) -> str:
    """Why a program cannot run, in a sentence."""
    if isinstance(error, MicrogptError):
        return str(error)
    if isinstance(error, ModuleNotFoundError):
        return f"needs the package {error.name!r}: pip install 'microgpt-numba[peers]'"
    first_line = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {first_line}"
