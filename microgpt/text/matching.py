"""Matching statistics: for each character of a short text, the longest piece that ends with it and that a
long text has too.

The short text, the pattern, becomes its suffix automaton (Blumer et al. 1985, "The smallest automaton
recognizing the subwords of a text"). A state of it stands for all pieces of the pattern that end at the same
places; each of them is the end of the next longer one. The link of a state leads to the longest piece that
is the end of all of them and also ends elsewhere. The long text then walks through the automaton: at each of
its characters, the state and a length tell the longest piece of the pattern that ends there (Chang and Lawler
1994, "Sublinear approximate string matching and biological applications"). So the long text is read once.

Where a state cannot go on with a character, its links lead to one that can. Here they are followed in
advance, for every state and character: then a step is one look into a table, and NumPy takes it at thousands
of places of the text at once. Each of these walks through a lane, a stretch of the text, and on beyond its
end until no piece is left that began in the lane.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from microgpt.arrays import Array, IdArray
from microgpt.errors import MicrogptError

Integers = npt.NDArray[np.int64]
# told how many characters of the long text are done, and how many there are
Progress = Callable[[int, int], None]

TABLE_BYTES = 256 << 20  # that the tables of an automaton may take
# Characters of the long text that are walked through at a time: few at first, while most pieces are new
FIRST_BLOCK, BLOCK = 1 << 16, 1 << 22
# Characters of a lane, powers of two: as many as the pattern has, so that walking on costs little, but not so
# many that there are too few lanes
SHORTEST_LANE, LONGEST_LANE = 1 << 9, 1 << 12


class Matches(NamedTuple):
    """For each of n characters, the longest piece that ends with it and that the other text has as well.

    lengths  (n,)  its characters; 0 where the other text lacks even this character
    places   (n,)  where it first begins in the other text; -1 where there is none
    """

    lengths: Integers
    places: Integers


class Automaton(NamedTuple):
    """The suffix automaton of a pattern of n characters, with S <= 2n states; state 0 is that of no piece.

    columns  (id + 2,)  of each id up to the highest of the pattern; 0 for those that it lacks
    step     (S, C)     the state after one more character, that of a column; by the links, if need be
    reach    (S, C)     the most characters that a piece can have after this step; 0 if not even the new one
    longest  (S,)       the length of the longest piece of each state
    link     (S,)       its link; of state 0 itself
    ends     (n,)       the state of everything up to each character
    """

    columns: Array
    step: npt.NDArray[np.int32]
    reach: npt.NDArray[np.int32]
    longest: npt.NDArray[np.int32]
    link: npt.NDArray[np.int32]
    ends: Integers


class Found(NamedTuple):
    """What has been found of each state, where that was the state of the longest piece that ends at a place.

    length  (S,)  the length of the longest piece that was found of it; 0 for none
    place   (S,)  the first place at which that one ends: that of the next character
    first   (S,)  the first place at which any piece of it ends; beyond the text for none
    """

    length: npt.NDArray[np.int32]
    place: Integers
    first: Integers


def matching_statistics(pattern: IdArray, text: IdArray, progress: Progress | None = None) -> Matches:
    """The matches of each character of a pattern, ids (n,), in a text, ids (N,); ids are at least 0.

    With C different characters in the pattern it takes O(nC + N) time, or O(nC + nN) where nearly all of the
    text repeats the pattern, and beside the two texts 16(C + 1) bytes for each character of the pattern and
    about 100 MB. Raises MicrogptError where the former exceed TABLE_BYTES.
    """
    if not len(pattern):
        return Matches(np.zeros(0, np.int64), np.zeros(0, np.int64))
    automaton = build(pattern)
    n_states, N = len(automaton.longest), len(text)
    found = Found(
        np.zeros(n_states, np.int32), np.full(n_states, N + 1, np.int64), np.full(n_states, N + 1, np.int64)
    )
    lane = min(max(SHORTEST_LANE, 1 << (len(pattern) - 1).bit_length()), LONGEST_LANE)
    low, size = 0, max(FIRST_BLOCK, lane)
    while low < N:
        high = min(low + size, N)
        _add(found, list(_walk(automaton, text, low, high, lane, found.length)))
        if progress is not None:
            progress(high, N)
        low, size = high, min(2 * size, BLOCK)
    return _of_each_character(automaton, found)


def build(pattern: IdArray) -> Automaton:
    """The automaton of a pattern, ids (n,), n >= 1. Raises MicrogptError where it exceeds TABLE_BYTES."""
    symbols, column = np.unique(pattern, return_inverse=True)
    n, C = len(pattern), len(symbols) + 1
    if 2 * n * C * 8 > TABLE_BYTES:
        raise MicrogptError(
            f"{n:,} characters, {C - 1:,} of them different, are too many to be looked up at once: at most "
            f"{TABLE_BYTES // (16 * C):,} can be"
        )
    # no step leads to state 0 but for want of another: 0 stands for a step that is not there
    step = np.zeros((2 * n, C), np.int32)
    longest, link, ends, last = [0], [-1], [], 0
    for c in (column.reshape(-1) + 1).tolist():
        state = len(longest)
        longest.append(longest[last] + 1)
        link.append(0)
        at = last
        while at >= 0 and not step[at, c]:
            step[at, c] = state
            at = link[at]
        if at >= 0:
            there = int(step[at, c])
            if longest[there] > longest[at] + 1:
                # the shorter pieces of that state end here as well, the longer ones do not: they part
                shorter = len(longest)
                longest.append(longest[at] + 1)
                link.append(link[there])
                step[shorter] = step[there]
                link[there] = shorter
                while at >= 0 and step[at, c] == there:
                    step[at, c] = shorter
                    at = link[at]
                there = shorter
            link[state] = there
        ends.append(state)
        last = state
    link[0] = 0
    step = step[: len(longest)]
    reach = np.zeros_like(step)
    for state in np.argsort(longest, kind="stable").tolist():
        there = step[state] > 0
        reach[state] = np.where(there, longest[state] + 1, reach[link[state]])
        step[state] = np.where(there, step[state], step[link[state]])
    columns = np.zeros(int(symbols[-1]) + 2, np.min_scalar_type(C - 1))
    columns[symbols] = np.arange(1, C)
    return Automaton(
        columns, step, reach, np.array(longest, np.int32), np.array(link, np.int32), np.array(ends, np.int64)
    )


def _walk(
    a: Automaton, text: IdArray, low: int, high: int, lane: int, known: npt.NDArray[np.int32]
) -> Iterator[tuple[Array, Array, Integers]]:
    """Yields what low:high of the text has of each state that is longer than what is known: the states, the
    lengths, and the places at which these pieces end, (k,) each.

    lane   characters of a lane: a block that does not end with the text consists of whole lanes
    known  (S,)  lengths, which stay as they are meanwhile: so the first of several equal ones is not missed
    """
    C = a.step.shape[1]
    step, reach = a.step.reshape(-1), a.reach.reshape(-1)
    n_lanes = -(-(high - low) // lane)
    column = np.zeros(n_lanes * lane, a.columns.dtype)  # beyond the text: characters that the pattern lacks
    a.columns.take(text[low:high], out=column[: high - low], mode="clip")
    ends = low + lane * np.arange(1, n_lanes + 1)
    state, length = np.zeros(n_lanes, np.int32), np.zeros(n_lanes, np.int32)
    index = np.empty(n_lanes, np.int64)
    bound, best = np.empty(n_lanes, np.int32), np.empty(n_lanes, np.int32)
    longer = np.empty(n_lanes, np.bool_)
    for j, now in enumerate(np.ascontiguousarray(column.reshape(n_lanes, lane).T), 1 - lane):
        np.multiply(state, C, out=index)
        index += now
        step.take(index, out=state, mode="clip")
        reach.take(index, out=bound, mode="clip")
        length += 1
        np.minimum(length, bound, out=length)
        known.take(state, out=best, mode="clip")
        if np.greater(length, best, out=longer).any():
            new = np.flatnonzero(longer)
            yield state[new], length[new], ends[new] + j
    beyond = 0
    while True:
        # of a piece that is longer than what lies beyond, the first character is in the lane
        going = np.flatnonzero((length > beyond) & (ends + beyond < len(text)))
        if not len(going):
            return
        ends, state, length = ends[going], state[going], length[going]
        index = state.astype(np.int64) * C + a.columns.take(text[ends + beyond], mode="clip")
        state, length = step[index], np.minimum(length + 1, reach[index])
        beyond += 1
        new = np.flatnonzero(length > known[state])
        yield state[new], length[new], ends[new] + beyond


def _add(found: Found, new: list[tuple[Array, Array, Integers]]) -> None:
    """Take in what `_walk` has found in the next block."""
    if not new:
        return
    state, length, place = (np.concatenate(parts) for parts in zip(*new, strict=True))
    np.minimum.at(found.first, state, place)
    order = np.lexsort((place, -length, state))
    order = order[np.diff(state[order], prepend=-1) > 0]  # of each state the longest, and of these the first
    found.length[state[order]] = length[order]
    found.place[state[order]] = place[order]


def _of_each_character(a: Automaton, found: Found) -> Matches:
    """From what was found of each state to the characters of the pattern."""
    longest, link = a.longest.tolist(), a.link.tolist()
    length, place, first = (array.tolist() for array in found)
    by_length = np.argsort(a.longest, kind="stable")[1:].tolist()
    for state in reversed(by_length):
        # where a piece of a state ends, all pieces of its link end as well
        if length[state]:
            other = link[state]
            whole = length[other] == longest[other]
            place[other] = min(place[other], first[state]) if whole else first[state]
            length[other] = longest[other]
            first[other] = min(first[other], first[state])
    for state in by_length:
        if not length[state]:
            length[state], place[state] = length[link[state]], place[link[state]]
    lengths = np.array(length, np.int64)[a.ends]
    return Matches(lengths, np.where(lengths > 0, np.array(place, np.int64)[a.ends] - lengths, -1))
