"""How a step is compiled: it is recorded as a list of kernel calls, and the list is then repeated."""

from __future__ import annotations

import numba
import numpy as np

from microgpt_kernels.crystal.recording import Recording
from microgpt_kernels.crystal.replay import replay, replay_in_threads
from microgpt_kernels.crystal.side_by_side import compile_all


def compile(step, n_counters=0):
    """steps(n, state), which does step(state) n times in a single call of compiled code."""
    if numba.config.DISABLE_JIT:
        return _in_python(step, n_counters)
    return Steps(step, n_counters)


def _in_python(step, n_counters):
    def steps(n, state):
        for _ in range(n):
            step(state, *(int(state.clock[i]) for i in range(n_counters)))

    return steps


class Steps:
    """Does a step n times. With n = 0 all its kernels are compiled, and nothing is computed.

    The step is recorded when it first meets a state: it is run in plain Python, in which kernels note their
    arguments instead of computing. So a step consists of nothing but kernel calls.

    A step may have counters, whose values change from step to step: the first numbers of state.clock. It is
    then recorded for a few values of them, and the arguments of its calls for all other values follow from
    these, because addresses and shapes are linear in the borders of slices. In each recording a counter is
    larger than the one after it.
    """

    def __init__(self, step, n_counters):
        self._step, self._n_counters = step, n_counters
        self._state = self._tape = None

    def __call__(self, n, state):
        if state is not self._state:
            self._tape, self._state = self._recorded(state), state
        if n > 0:
            in_threads = self._shared and numba.get_num_threads() > 1
            (replay_in_threads if in_threads else replay)(n, *self._tape)

    def _recorded(self, state):
        """The arguments of `replay`."""
        least = range(self._n_counters)[::-1]

        def raised(count):
            """The recording for the least counters, except that the first `count` of them are one higher."""
            counters = [value + (i < count) for i, value in enumerate(least)]
            return Recording(lambda: self._step(state, *counters))

        first, *others = (raised(count) for count in range(self._n_counters + 1))
        kinds = [(kernel, kinds) for kernel, kinds, _ in first.calls]
        assert all([(kernel, kinds) for kernel, kinds, _ in each.calls] == kinds for each in others)
        words, *later = (np.concatenate([block for *_, block in each.calls]) for each in (first, *others))
        gains = np.diff([words, *later], axis=0)
        zero = words - np.array(least, np.int64) @ gains
        moving = np.flatnonzero(gains.any(axis=0))
        counted = np.stack([moving, zero[moving], *gains[:, moving]], axis=1)

        self._shared = any(np.diff(first.sections) > 1)
        runner = replay_in_threads if self._shared and numba.get_num_threads() > 1 else replay
        parts, sections = np.array(first.parts), np.array(first.sections)
        counters = state.clock if self._n_counters else np.zeros(0, np.int64)
        calls = np.zeros((len(first.calls), 2), np.int64)
        tape = calls, parts, sections, words, counted, counters
        compile_all({*kinds, (runner, runner.kinds(0, *tape))})
        begins = np.cumsum([0, *(len(block) for *_, block in first.calls)])[:-1]
        calls[:, 0] = [kernel.entry(kinds) for kernel, kinds, _ in first.calls]
        calls[:, 1] = words.ctypes.data + 8 * begins
        return tape
