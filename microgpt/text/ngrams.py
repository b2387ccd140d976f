"""n-gram models of a text: its counts up to an order K, and interpolated Kneser-Ney probabilities.

With h the last n - 1 characters, and h' those without the oldest of them,

    p_n(w | h) = (c(hw) - D_n(c(hw))) / c(h) + r(h) / c(h) * p_(n-1)(w | h')       p_0(w) = 1 / V
    c(h) = sum_w c(hw)        r(h) = sum_w D_n(c(hw))

where D_n(0) = 0, and p_n = p_(n-1) where h never occurred. At the highest order, c(hw) is how often hw
occurs. Below it, it is a continuation count: how many different characters precede hw (Kneser & Ney 1995, in
its interpolated form). Each order has three discounts ("modified", Chen & Goodman 1999). They follow from its
counts of counts: n_c is the number of its n-grams that have the count c.

    Y = n_1 / (n_1 + 2 n_2)
    D(1) = 1 - 2 Y n_2 / n_1    D(2) = 2 - 3 Y n_3 / n_2    D(3 and more) = 3 - 4 Y n_4 / n_3

In small texts and at low orders, where nearly all counts are large, this may divide by nothing or lie outside
0 < D(c) < c; then D(c) is c / 2, as in KenLM.

What precedes a text is a symbol of its own, repeated: so one n-gram of each order ends at every character.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from microgpt.arrays import Array, IdArray, blocks
from microgpt.machine.budget import Budget

Integers = NDArray[np.integer[Any]]
Floats = NDArray[np.float64]

LARGEST_KEY = np.iinfo(np.int64).max
BLOCK_SIZE = 1 << 21  # positions that are counted at once: their keys take 16 MiB
ROWS_BYTES = 8 << 20  # of probabilities that are computed at once
REMEDY = "use n-grams of a lower order"
# The weight of n-grams beside a network where none has been fitted.
UNFITTED_WEIGHT = 0.5


class Counts(NamedTuple):
    """The different n-grams of a text, and how often each occurs.

    keys    (n,) int64, ascending: the n-gram as a number of base V + 1, its last character the last digit;
            the digit of a character is its id + 1, and 0 stands for what precedes the text
    counts  (n,) int32
    """

    keys: NDArray[np.int64]
    counts: NDArray[np.int32]


class NGrams(NamedTuple):
    """An n-gram model as arrays, which a compiled kernel can read as they are.

    Each context of 0 to order - 1 characters is a node, and those of m characters are the nodes
    first[m]:first[m + 1]. Node 0 is the empty context. For node i:

    keys      (n_nodes,) int64: the context, as in `Counts`; ascending among those of one length
    shorter   (n_nodes,) int32: the node of the context without its oldest character; -1 for node 0
    begin     (n_nodes + 1,) int64: its successors are begin[i]:begin[i + 1]
    total     (n_nodes,) int32: c(h), the sum of its successors' counts
    reserved  (n_nodes,) float64: r(h), the sum of their discounts

    symbols   (n_successors,) unsigned integers: the characters that follow, ascending for each node
    counts    (n_successors,) int32: c(hw)

    discounts  (order, 4) float64: D_n(c) at [n - 1, min(c, 3)], for the successors of n - 1 characters
    """

    V: int
    order: int
    first: NDArray[np.int64]
    keys: NDArray[np.int64]
    shorter: NDArray[np.int32]
    begin: NDArray[np.int64]
    total: NDArray[np.int32]
    reserved: Floats
    symbols: IdArray
    counts: NDArray[np.int32]
    discounts: Floats

    def nodes(
        self, ids: IdArray, before: IdArray | None = None, *, from_the_start: bool = False
    ) -> NDArray[np.int32]:
        """The node (n,) of the longest known context before each character of a text, ids (n,) below V.

        before          what precedes the text: its last order - 1 characters are seen
        from_the_start  the text is the one that was counted, from its first character; else nothing is known
                        of what precedes it
        """
        nodes = np.empty(len(ids), np.int32)
        known = (0 if before is None else len(before)) if not from_the_start else self.order
        for low, high in blocks(0, len(ids)):
            keys = _keys(ids, low - 1, high - 1, self.V, self.order - 1, before)
            at = np.zeros(high - low, np.int32)
            left = np.arange(high - low)
            for m in range(self.order - 1, 0, -1):
                reaching = left if low + known >= m else left[left >= m - low - known]
                wanted = keys[reaching] % (self.V + 1) ** m
                of_length = self.keys[self.first[m] : self.first[m + 1]]
                places = np.minimum(np.searchsorted(of_length, wanted), len(of_length) - 1)
                found = of_length[places] == wanted
                at[reaching[found]] = self.first[m] + places[found]
                left = left[at[left] == 0]
            nodes[low:high] = at
        return nodes

    def probabilities(self, nodes: Integers, left_out: IdArray | None = None) -> Floats:
        """The whole distribution (n, V) after each of the contexts, nodes (n,): each row sums to 1.

        left_out  (n,): the characters that follow in the text that was counted. Each row is then that of the
                  text without this one occurrence, as `_left_out` describes. The nodes have to be those of
                  `nodes(text, from_the_start=True)`.
        """
        n = len(nodes)
        path = self._path(nodes)
        counts, gone = self._left_out(path, left_out)
        p = np.full((1, self.V), 1 / self.V)
        row = np.zeros(n, np.int64)  # of p, for each context
        for m in range(self.order):
            # contexts that agree so far share a row
            node, known = path[m], path[m] >= 0
            total = np.where(known, self.total[node], 0) - gone[m]
            changed = total > 0
            label = np.where(gone[m], len(self.keys) + np.arange(n), node)
            _, one, inverse = np.unique(
                np.where(changed, label, -1 - row), return_index=True, return_inverse=True
            )
            p = p[row[one]]
            row = inverse.reshape(-1)
            places = np.flatnonzero(changed[one])
            one = one[places]
            node, count, without = node[one], counts[m, one], gone[m, one]
            c = total[one].astype(np.float64)
            discount = self.discounts[m]
            change = np.where(without, discount[np.minimum(count, 3)] - discount[np.minimum(count - 1, 3)], 0)
            p[places] *= ((self.reserved[node] - change) / c)[:, None]
            degree = self.begin[node + 1] - self.begin[node]
            of_row = np.repeat(np.arange(len(one)), degree)
            successor = np.arange(len(of_row)) + np.repeat(
                self.begin[node] - np.cumsum(degree) + degree, degree
            )
            seen = self.counts[successor]
            p[places[of_row], self.symbols[successor]] += (seen - discount[np.minimum(seen, 3)]) / c[of_row]
            if left_out is not None:
                p[places, left_out[one]] += np.where(without, change - 1, 0) / c
        return p[row]

    def losses(self, nodes: Integers, following: IdArray, *, left_out: bool = False) -> Floats:
        """Minus the log-probability (n,), in nats, of the character that follows each of the contexts.

        nodes, following  (n,) each
        left_out          without this one occurrence in the text that was counted, as in `probabilities`
        """
        losses = np.empty(len(nodes))
        for low, high in blocks(0, len(nodes)):
            part = slice(low, high)
            path = self._path(nodes[part])
            wanted = following[part]
            if left_out:
                counts, gone = self._left_out(path, wanted)
            p = np.full(len(wanted), 1 / self.V)
            for m in range(self.order):
                node = path[m]
                seen = counts[m] if left_out else self._counts_of(node, wanted)
                discounted = self.discounts[m][np.minimum(seen, 3)]
                total = np.where(node >= 0, self.total[node], 0)
                reserved = self.reserved[node]
                if left_out:
                    total = total - gone[m]
                    seen = seen - gone[m]
                    fewer = self.discounts[m][np.minimum(seen, 3)]
                    reserved = reserved + fewer - discounted
                    discounted = fewer
                np.divide(seen - discounted + reserved * p, total, out=p, where=total > 0)
            losses[part] = -np.log(p)
        return losses

    def next(self, text: Sequence[int]) -> Floats:
        """The distribution (V,) of what follows a text, ids below V: `probabilities` of a single context, of
        which the last order - 1 characters are seen, and nothing is known of what precedes the text."""
        path = [self._last_node(text)]
        while path[-1] > 0:
            path.append(int(self.shorter[path[-1]]))
        p = np.full(self.V, 1 / self.V)
        for node, discount in zip(reversed(path), self.discounts, strict=False):
            successors = slice(self.begin[node], self.begin[node + 1])
            counts, total = self.counts[successors], self.total[node]
            p *= self.reserved[node] / total
            p[self.symbols[successors]] += (counts - discount[np.minimum(counts, 3)]) / total
        return p

    def grams(self) -> Counts:
        """The n-grams of the highest order: `kneser_ney` makes this model of them."""
        first = self.first[-2]
        begin = self.begin[first:]
        keys = np.repeat(self.keys[first:], np.diff(begin))
        keys *= self.V + 1
        keys += self.symbols[begin[0] :]
        keys += 1
        return Counts(keys, self.counts[begin[0] :])

    def parts(self, n: int) -> Iterator[slice]:
        """The parts of n contexts whose distributions are computed at once: ROWS_BYTES hold them."""
        size = max(1, ROWS_BYTES // (8 * self.V))
        return (slice(low, min(low + size, n)) for low in range(0, n, size))

    @property
    def n_bytes(self) -> int:
        return sum(array.nbytes for array in self if isinstance(array, np.ndarray))

    @property
    def n_grams(self) -> int:
        """How many different n-grams of the highest order there are."""
        return int(self.begin[-1] - self.begin[self.first[-2]])

    def _last_node(self, text: Sequence[int]) -> int:
        """The node of the longest known context that ends a text."""
        key, unit, keys = 0, 1, []
        for symbol in reversed(text[-self.order :]):
            key += (symbol + 1) * unit
            unit *= self.V + 1
            keys.append(key)
        for m in range(min(len(keys), self.order - 1), 0, -1):
            of_length = self.keys[self.first[m] : self.first[m + 1]]
            place = int(of_length.searchsorted(keys[m - 1]))
            if place < len(of_length) and of_length[place] == keys[m - 1]:
                return int(self.first[m]) + place
        return 0

    def _path(self, nodes: Integers) -> NDArray[np.int64]:
        """The nodes (order, n) of each context and of its shorter ones, by length; -1 beyond the longest."""
        path = np.full((self.order, len(nodes)), -1, np.int64)
        at = nodes.astype(np.int64)
        for m in range(self.order - 1, -1, -1):
            here = at >= self.first[m]
            path[m, here] = at[here]
            at[here] = self.shorter[at[here]]
        return path

    def _counts_of(self, nodes: Integers, symbols: IdArray) -> NDArray[np.int64]:
        """The count (n,) of a symbol after a node, by bisection; 0 after the node -1."""
        low, end = self.begin[nodes], self.begin[nodes + 1]
        end = np.where(nodes < 0, low, end)
        high = end.copy()
        while (left := low < high).any():
            middle = (low + high) // 2
            above = left & (self.symbols[np.minimum(middle, len(self.symbols) - 1)] < symbols)
            low = np.where(above, middle + 1, low)
            high = np.where(left & ~above, middle, high)
        place = np.minimum(low, len(self.symbols) - 1)
        counts: NDArray[np.int64] = np.where(
            (low < end) & (self.symbols[place] == symbols), self.counts[place], 0
        )
        return counts.astype(np.int64)

    def _left_out(
        self, path: NDArray[np.int64], left_out: IdArray | None
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """The counts (order, n) of the characters that follow, and which of them are one less without them.

        To leave an occurrence out is to remove the n-grams of all orders that end there. The highest order
        counts one less. Where nothing is left of an n-gram, the next lower order has one continuation less,
        and so on. The discounts stay those of the whole text.
        """
        counts, gone = np.zeros(path.shape, np.int64), np.zeros(path.shape, np.bool_)
        if left_out is not None:
            one_less = np.ones(path.shape[1], np.bool_)
            for m in range(self.order - 1, -1, -1):
                counts[m] = self._counts_of(path[m], left_out)
                gone[m] = one_less
                one_less = one_less & (counts[m] == 1)
            if not (counts > 0).all():
                raise ValueError("only what was counted can be left out")
        return counts, gone


def highest_order(V: int, wanted: int) -> int:
    """The highest order, `wanted` at the most, whose n-grams of V different characters fit into keys."""
    order = 1
    while order < wanted and (V + 1) ** (order + 1) <= LARGEST_KEY:
        order += 1
    return order


class Memory(NamedTuple):
    """Bytes that `fit` books, and as many as it needs for a moment while it works."""

    held: int
    moment: int


def memory_of(grams: Sequence[int], V: int) -> Memory:
    """The most that a model takes of so many different n-grams, of order 1, 2 and so on to its own."""
    # each context is an n-gram that goes on, or all of it precedes the text
    contexts = [1, *(gram + 1 for gram in grams[:-1])]
    successor = np.min_scalar_type(V - 1).itemsize + 4
    levels = [28 * context + successor * gram for context, gram in zip(contexts, grams, strict=True)]
    arrays = 8 * (1 + len(grams) + 1) + 4 * 8 * len(grams)  # the end of `begin`, `first`, and the discounts
    merging = 3 * (8 + 4) * 2 * grams[-1]
    return Memory(sum(levels) + 4 * sum(contexts) + arrays, max(2 * sum(levels), merging))


def ngram_name(order: int) -> str:
    return {1: "unigram", 2: "bigram", 3: "trigram"}.get(order, f"{order}-gram")


def mixture(order: int, weight: float) -> str:
    """What is interpolated with what, as users read it."""
    return f"p = {round(1 - weight, 3):g} network + {round(weight, 3):g} {ngram_name(order)}s"


def count(ids: IdArray, V: int, order: int, budget: Budget | None = None) -> Counts:
    """The n-grams of this order that end at each character of a text, ids (n,) below V, n < 2**31.

    Raises MicrogptError where they do not fit into what the budget has left, for as long as they are counted.
    """
    runs: list[Counts] = []
    for low in range(0, len(ids), BLOCK_SIZE):
        keys = np.sort(_keys(ids, low, min(low + BLOCK_SIZE, len(ids)), V, order))
        first = _firsts(keys)
        runs.append(Counts(keys[first], np.diff(first, append=len(keys)).astype(np.int32)))
        # runs of falling lengths: each n-gram is moved a few times only
        last = low + BLOCK_SIZE >= len(ids)
        while len(runs) > 1 and (last or len(runs[-2].keys) < 2 * len(runs[-1].keys)):
            later, earlier = runs.pop(), runs.pop()
            keys = np.concatenate([earlier.keys, later.keys])
            counts = np.concatenate([earlier.counts, later.counts])
            # beside the two runs: both together, their order, and the result
            _free(budget).book(3 * keys.nbytes + 3 * counts.nbytes, f"counting {order}-grams", REMEDY)
            runs.append(_merged(keys, counts))
    return runs[0]


def shortened(counts: Counts, V: int, order: int) -> Counts:
    """The n-grams of order - 1, from those of `order`."""
    return _merged(counts.keys % (V + 1) ** (order - 1), counts.counts)


def kneser_ney(grams: Counts, V: int, order: int, budget: Budget | None = None) -> NGrams:
    """The model of the n-grams of its highest order. Raises MicrogptError where it exceeds the budget."""
    base = V + 1
    discounts = np.zeros((order, 4))
    levels: list[tuple[Array, ...]] = []
    free = _free(budget)
    keys, counts = grams
    for n in range(order, 0, -1):
        discounts[n - 1] = _discounts(counts)
        contexts = keys // base
        symbols = (keys % base - 1).astype(np.min_scalar_type(V - 1))
        begin = _firsts(contexts)
        total = np.add.reduceat(counts, begin, dtype=np.int32)
        reserved = np.add.reduceat(discounts[n - 1][np.minimum(counts, 3)], begin)
        levels.append((contexts[begin], begin, total, reserved, symbols, counts))
        # it is there twice when the levels are put together
        free.book(2 * sum(array.nbytes for array in levels[-1]), f"the {n}-grams of the text", REMEDY)
        if n > 1:
            keys = np.sort(keys % base ** (n - 1))
            first = _firsts(keys)
            counts = np.diff(first, append=len(keys)).astype(np.int32)
            keys = keys[first]
    levels.reverse()
    first = np.cumsum([0, *(len(level[0]) for level in levels)])
    successors = np.cumsum([0, *(len(level[4]) for level in levels)])
    shorter = [np.full(1, -1, np.int32)]
    for m in range(1, order):
        there = np.searchsorted(levels[m - 1][0], levels[m][0] % base ** (m - 1))
        shorter.append((first[m - 1] + there).astype(np.int32))
    begins = [level[1] + at for level, at in zip(levels, successors, strict=False)]
    column = [np.concatenate(parts) for parts in zip(*levels, strict=True)]
    model = NGrams(
        V=V,
        order=order,
        first=first,
        keys=column[0],
        shorter=np.concatenate(shorter),
        begin=np.concatenate([*begins, successors[-1:]]),
        total=column[2],
        reserved=column[3],
        symbols=column[4],
        counts=column[5],
        discounts=discounts,
    )
    if budget is not None:
        budget.book(model.n_bytes, f"the {order}-gram model of the text", REMEDY)
    return model


def fit(ids: IdArray, V: int, order: int, budget: Budget | None = None) -> NGrams:
    """The Kneser-Ney model of a text, ids (n,), 1 <= n < 2**31, of V different characters.

    order  `highest_order(V, order)` at the most
    """
    return kneser_ney(count(ids, V, order, budget), V, order, budget)


def _keys(
    ids: IdArray, low: int, high: int, V: int, length: int, before: IdArray | None = None
) -> NDArray[np.int64]:
    """The key of the `length` characters that end at each of the places low:high of a text."""
    digits = np.zeros(length + high - low, np.int64)  # from the place low - length + 1, but one more
    start = low - length
    if before is not None and start < 0:
        part = before[max(0, len(before) + start) :]
        digits[-start - len(part) : -start] = part
        digits[-start - len(part) : -start] += 1
    inside = max(start, 0)
    digits[inside - start :] = ids[inside:high]
    digits[inside - start :] += 1
    keys = np.zeros(high - low, np.int64)
    for j in range(1, length + 1):
        keys *= V + 1
        keys += digits[j : j + high - low]
    return keys


def _free(budget: Budget | None) -> Budget:
    """What the budget has left, to try what is needed for a while only."""
    return Budget(None if budget is None or budget.cap is None else max(0, budget.cap - budget.held))


def _firsts(ascending: Integers) -> NDArray[np.int64]:
    """The place of the first of each group of equal numbers."""
    new = np.empty(len(ascending), np.bool_)
    new[0] = True
    np.not_equal(ascending[1:], ascending[:-1], out=new[1:])
    return np.flatnonzero(new)


def _merged(keys: NDArray[np.int64], counts: NDArray[np.int32]) -> Counts:
    """The different ones of these keys, and the sums of their counts."""
    order = np.argsort(keys, kind="stable")  # a merge, where these are two ascending runs
    keys = keys[order]
    first = _firsts(keys)
    return Counts(keys[first], np.add.reduceat(counts[order], first, dtype=np.int32))


def _discounts(counts: NDArray[np.int32]) -> Floats:
    """D(0), D(1), D(2) and D(3 or more), from the number of n-grams with each count."""
    n = np.bincount(counts[counts <= 4], minlength=5).astype(np.float64)
    discounts = np.zeros(4)
    for c in (1, 2, 3):
        discounts[c] = c / 2
        if n[c] and n[1]:
            estimate = c - (c + 1) * n[1] / (n[1] + 2 * n[2]) * n[c + 1] / n[c]
            if 0 < estimate < c:
                discounts[c] = estimate
    return discounts
