"""The processes that mpiexec starts for one run, on this machine or on several: what they tell each other."""

from __future__ import annotations

import contextlib
import os
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from microgpt.arrays import Array
from microgpt.errors import MicrogptError
from microgpt.machine.cores import available_cores
from microgpt.terminal.mpiexec import n_ranks

if TYPE_CHECKING:
    from mpi4py import MPI

# How often a process that has nothing to do looks for news: without a pause it would keep a core busy.
LOOK_SECONDS = 0.0005
# What mpiexec has not passed on of the output by then, it drops when the processes are ended.
PASSING_ON_SECONDS = 1.0
END = 0  # the order that ends a process


class Team:
    """These processes, numbered by `rank`. The first one leads: it alone reads options, writes and prints.

    The others hear of the run, and then wait for orders: a number of steps to take, or END.
    """

    def __init__(self, comm: MPI.Comm) -> None:
        self._comm = comm
        self.rank, self.size = comm.Get_rank(), comm.Get_size()
        self._told = self._left = False  # whether the others know of the run; whether they have left it

    @property
    def leads(self) -> bool:
        return self.rank == 0

    def tell(self, what: Any = None) -> Any:
        """What the first process tells the others of the run, on all of them; None if there is no run."""
        self._told = True
        self._wait_for(self._comm.Ibarrier())
        return self._comm.bcast(what)

    def agree(self, problem: str | None) -> None:
        """Raise MicrogptError on all processes if one of them has a problem."""
        self._wait_for(self._comm.Ibarrier())
        problems = self._comm.allgather(problem)
        found = [(rank, what) for rank, what in enumerate(problems) if what is not None]
        if found:
            self._left = True
            rank, what = found[0]
            of_all = len(found) == self.size and len({what for _, what in found}) == 1
            raise MicrogptError(what if of_all else f"the process of rank {rank} cannot take part: {what}")

    def first_of(self, what: str | None) -> str | None:
        """On all processes, what the first one of them has that has anything."""
        return next((each for each in self._comm.allgather(what) if each is not None), None)

    def share(self, array: Array) -> None:
        """Give all processes the values that the first one has in an array."""
        self._comm.Bcast(array)

    def order(self, n_steps: int) -> None:
        """Give the other processes an order."""
        self._comm.Ibcast(np.array([n_steps], np.int64)).Wait()

    def next_order(self) -> int:
        """Wait for the next order."""
        order = np.empty(1, np.int64)
        self._wait_for(self._comm.Ibcast(order))
        return int(order[0])

    def _wait_for(self, request: MPI.Request) -> None:
        while not request.Test():
            time.sleep(LOOK_SECONDS)

    def decided(self, n: int) -> int:
        """On all processes, the number that the first one has decided on."""
        if not self.leads:
            return self.next_order()
        self.order(n)
        return n

    def first(self, n: int) -> Team | None:
        """The first n of these processes as a team; None for the others. All of them ask for it together."""
        from mpi4py import MPI

        belongs = self.rank < n
        comm = self._comm.Split(0 if belongs else MPI.UNDEFINED)
        return Team(comm) if belongs else None

    def exchange_parts(
        self, sent: Array, counts: Sequence[int], received: Array, received_counts: Sequence[int]
    ) -> None:
        """Send each process its part of an array: counts[i] numbers to process i, part after part."""
        self._comm.Alltoallv([sent, counts], [received, received_counts])

    def gather(self, array: Array, counts: Sequence[int]) -> None:
        """Complete an array of which each process has a part, in their order."""
        from mpi4py import MPI

        self._comm.Allgatherv(MPI.IN_PLACE, [array, counts])

    def dismiss(self) -> None:
        """Let the other processes end, whatever they wait for. This one can send nothing any more."""
        from mpi4py import MPI

        if not self._told:
            self.tell(None)
        elif not self._left:
            self.order(END)
        self._left = True
        MPI.Finalize()  # else mpiexec would take the end of this process for a failure, and kill the others

    @contextlib.contextmanager
    def ending_together(self) -> Iterator[None]:
        """End all processes at once if this block fails: the others would wait for this one for ever."""
        try:
            yield
        except BaseException:
            sys.stderr.write(traceback.format_exc())
            sys.stderr.flush()
            time.sleep(PASSING_ON_SECONDS)
            self._comm.Abort(1)


def joined() -> Team | None:
    """The team of this process, whose share of the machine's cores it then uses; None without mpiexec.

    Raises MicrogptError where mpi4py is missing, or was built for another MPI than that of mpiexec.
    """
    n = n_ranks()
    if n == 1:
        return None
    try:
        from mpi4py import MPI
    except ImportError as error:
        raise MicrogptError(
            f"mpiexec has started {n} processes, but mpi4py cannot be imported ({error}): "
            "pip install 'microgpt-numba[mpi]'"
        ) from None
    comm = MPI.COMM_WORLD
    if comm.Get_size() != n:
        library = " ".join(MPI.Get_library_version().splitlines()[0].split(",")[0].split())
        raise MicrogptError(
            f"mpiexec has started {n} processes, but mpi4py, which uses {library}, finds {comm.Get_size()}: "
            "take the mpiexec of that MPI"
        )
    # those on this machine, each with the cores that it may use
    affinities = comm.Split_type(MPI.COMM_TYPE_SHARED).allgather(_affinity())
    n_sharing = affinities.count(_affinity())  # mpiexec may have given each of them cores of its own
    os.environ.setdefault("NUMBA_NUM_THREADS", str(max(1, available_cores() // n_sharing)))
    return Team(comm)


def _affinity() -> frozenset[int] | None:
    return frozenset(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
