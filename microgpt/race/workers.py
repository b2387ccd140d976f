"""The processes that train for a race: one for each core of this machine, or those that mpiexec starts."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import Connection
from typing import Any, NamedTuple, TypeVar, cast

from microgpt.errors import MicrogptError, UsageError
from microgpt.machine.cores import available_cores
from microgpt.machine.team import PASSING_ON_SECONDS
from microgpt.terminal import interruption
from microgpt.terminal.mpiexec import n_ranks

T = TypeVar("T")

# A process that the system ends, as when the memory is used up, is started again; but not for ever.
MOST_LOSSES = 8
LOOK_SECONDS = 0.1


class _Call(NamedTuple):
    executor: Executor
    function: Callable[[Any], Any]
    argument: Any


class Workers:
    """Calls functions in other processes. One that ends unexpectedly is replaced, and its call repeated.

    number  how many calls run at once
    """

    def __init__(self, start: Callable[[], Executor], number: int) -> None:
        self._start, self.number = start, number
        self._executor = start()
        self._calls: dict[Future[Any], _Call] = {}
        self._losses = 0

    def submit(self, function: Callable[[T], Any], argument: T) -> None:
        """Call the function with this argument in one of the processes."""
        executor = self._executor
        try:
            with _hidden_from_signals():  # processes that start here do not hear Ctrl-C before they ignore it
                future = executor.submit(function, argument)
        except BrokenProcessPool:
            self._replace(executor)
            self.submit(function, argument)
        else:
            self._calls[future] = _Call(executor, function, argument)

    def done(self) -> list[Any]:
        """What has been returned since the last call, after a moment at the most.

        Raises what a function has raised, and MicrogptError where processes end again and again.
        """
        finished, _ = wait(self._calls, LOOK_SECONDS, FIRST_COMPLETED)
        results = []
        # what has been returned comes first, and is not lost where another call has raised something
        for future in [each for each in finished if each.exception() is None] or finished:
            call = self._calls.pop(future)
            try:
                results.append(future.result())
            except BrokenProcessPool:
                self._replace(call.executor)
                self.submit(call.function, call.argument)
        if results:
            self._losses = 0
        return results

    def _replace(self, broken: Executor) -> None:
        """Begin with new processes, unless that was done since the others have ended."""
        if broken is not self._executor:
            return
        self._losses += 1
        if self._losses > MOST_LOSSES:
            raise MicrogptError(
                "the processes of the race end before they have done anything: there may be too little "
                "memory; use fewer --processes"
            )
        broken.shutdown(wait=False, cancel_futures=True)
        self._executor = self._start()

    @property
    def n_waiting(self) -> int:
        """How many calls have not returned yet."""
        return len(self._calls)

    def cancel(self) -> None:
        """Give up what has not begun."""
        for future in self._calls:
            future.cancel()

    def close(self) -> None:
        """Wait until the processes have ended."""
        self._executor.shutdown(wait=True, cancel_futures=True)


@contextlib.contextmanager
def processes(number: int | None) -> Iterator[Workers]:
    """Processes on this machine, one for each core that this one may use if no number is given.

    At the end of the block, and at the end of this process, however it ends, they end too.
    """
    from microgpt.race.worker import begin

    cores = available_cores()
    if number is not None and number < 1:
        raise UsageError(f"--processes must be at least 1, not {number}")
    if number is not None and number > cores:
        raise MicrogptError(f"--processes {number}: this machine has {cores} cores to give")
    context = multiprocessing.get_context("spawn")
    ends: list[Connection] = []

    def end() -> None:
        """End what has been started, whatever it is doing."""
        while ends:
            ends.pop().close()

    def start() -> Executor:
        end()  # of processes that are replaced, some may still be at work
        leading, mine = context.Pipe(duplex=False)
        ends.extend((leading, mine))
        return ProcessPoolExecutor(number or cores, context, initializer=begin, initargs=(leading,))

    workers = Workers(start, number or cores)
    try:
        yield workers
    finally:
        end()
        workers.close()


@contextlib.contextmanager
def mpi_ranks() -> Iterator[Workers | None]:
    """The processes that mpiexec has started, all but the first, which leads and gets the workers.

    The others work within `with` until the first one has left it; they get None.
    """
    try:
        from mpi4py import MPI
        from mpi4py.futures import MPICommExecutor
    except ImportError as error:
        raise MicrogptError(
            f"mpiexec has started {n_ranks()} processes, but mpi4py cannot be imported ({error}): "
            "pip install 'microgpt-numba[mpi]'"
        ) from None
    if MPI.COMM_WORLD.Get_rank() > 0:
        interruption.ignore()  # mpiexec tells all of them of Ctrl-C, and the first one ends the others
    with MPICommExecutor(MPI.COMM_WORLD, root=0) as executor:
        if executor is None:
            yield None
            return
        workers = Workers(lambda: cast(Executor, executor), MPI.COMM_WORLD.Get_size() - 1)
        code = interruption.INTERRUPTED
        try:
            yield workers
        except MicrogptError as error:
            if not workers.n_waiting:
                raise
            print(f"microgpt: {error}", file=sys.stderr)
            code = error.exit_code
        except BaseException:
            workers.cancel()
            raise
        if workers.n_waiting:  # what runs is not waited for, and MPI has no other way to end it
            sys.stdout.flush()
            sys.stderr.flush()
            time.sleep(PASSING_ON_SECONDS)
            MPI.COMM_WORLD.Abort(code)


@contextlib.contextmanager
def _hidden_from_signals() -> Iterator[None]:
    """Keep Ctrl-C from the processes and threads that start in this block; this one hears it afterwards."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
