"""What each head is worth in bits: its Shapley value, in the game that all heads of all layers play together.

A coalition is a set of heads that are on, while the others write their mean; its worth is the number of bits
per character by which its loss is lower than that with no head on. If the heads are switched on one after
the other, each saves some bits, and how many depends on those that are on before it. The Shapley value of a
head is the mean of what it saves, over all orders (Shapley 1953). With n heads,

    value_h = sum over all S without h of |S|! (n - |S| - 1)! / n! * (worth(S + h) - worth(S))

The values of all heads add up to the gain of attention, which is the worth of all heads together. The
interaction of two heads g and h is by how much more one of them saves if the other is on, in the same kind of
mean (Owen 1972; Grabisch and Roubens 1999): below 0 they do the same, and above 0 they need each other.

    interaction_gh = sum over all S without g, h of |S|! (n - |S| - 2)! / (n - 1)!
                     * (worth(S + g + h) - worth(S + g) - worth(S + h) + worth(S))

For more than 16 heads there are too many coalitions. Then the mean is over random orders, each of them taken
forwards and backwards: a head that comes early in one comes late in the other, which makes the mean of both
more exact than that of two random ones (Mitchell et al. 2022, arXiv 2104.12199).
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import numpy as np
from scipy import stats  # type: ignore[import-untyped]

from microgpt.arrays import Floats, IdArray
from microgpt.intervals import bca_ends
from microgpt.machine.backends import Listener
from microgpt.xray.coalitions import Coalitions
from microgpt.xray.head import Head

MOST_EXACT = 16  # heads
SECONDS = 60.0
LEVEL = 0.95


@dataclass(frozen=True, eq=False)
class Shapley:
    """The Shapley values of the H heads of a model, in bits per character.

    bits            (H,)    what each head saves
    low, high       (H,)    the interval at 95%: by a BCa bootstrap of the parts of the text; if orders were
                            drawn, with their error added in quadrature. NaN for a text of fewer than 6 chunks
    sampling_error  (H,)    half of the interval at 95% that is due to the orders alone; 0 for exact values
    interactions    (H, H)  of each two heads, and 0 on the diagonal; None where orders were drawn
    n_orders                that were drawn, half of them the reverse of the others; 0 for exact values
    """

    heads: tuple[Head, ...]
    bits: Floats
    low: Floats
    high: Floats
    sampling_error: Floats
    interactions: Floats | None
    n_orders: int
    all_on: float  # the loss with all heads
    all_off: float  # the loss with none of them

    @property
    def gain(self) -> float:
        """Of attention: the bits by which all heads together lower the loss."""
        return self.all_off - self.all_on


def shapley(
    coalitions: Coalitions,
    *,
    seconds: float = SECONDS,
    n_orders: int | None = None,
    seed: int = 0,
    listener: Listener | None = None,
) -> Shapley:
    """The Shapley values of all heads: exact for at most MOST_EXACT heads, else from random orders.

    seconds   for which orders are drawn; at least four are
    n_orders  to draw instead, an even number; they are drawn also where exact values could be computed
    seed      of the orders
    listener  is told how far it is
    """
    shown = _Shown(listener, len(coalitions.heads))
    try:
        if n_orders is None and len(coalitions.heads) <= MOST_EXACT:
            return _exact(coalitions, shown)
        return _sampled(coalitions, shown, seconds, n_orders, seed)
    finally:
        shown.idle()


def shapley_values(worth: Floats) -> Floats:
    """The Shapley values (n, ...) of n players, from the worth (2^n, ...) of every coalition.

    The binary digits of a coalition's number say who is in it; the first one is that of the first player.
    """
    n = len(worth).bit_length() - 1
    # the weights of the coalitions of the others, by the number of their members
    of_size = np.array([1 / (n * math.comb(n - 1, size)) for size in range(n)])
    weights = of_size[np.bitwise_count(np.arange(len(worth) // 2))]
    saved = np.empty((n, *worth.shape[1:]))
    for player in range(n):
        without, joined = _split(worth, player)
        saved[player] = np.tensordot(weights, joined - without, axes=1)
    return saved


def shapley_interactions(worth: Floats) -> Floats:
    """The interactions (n, n) of n players, from the worth (2^n,) of every coalition; 0 on the diagonal.

    That of two players is the value of the one in a game of all but the other, in which a coalition is worth
    what the other would add to it.
    """
    n = len(worth).bit_length() - 1
    interactions = np.zeros((n, n))
    for player in range(n):
        without, joined = _split(worth, player)
        interactions[player, np.arange(n) != player] = shapley_values(joined - without)
    return interactions


def _split(worth: Floats, player: int) -> tuple[Floats, Floats]:
    """The worth (2^(n-1), ...) of the coalitions of the others: without this player, and with it."""
    halves = worth.reshape(1 << player, 2, -1, *worth.shape[1:])
    return tuple(halves[:, i].reshape(-1, *worth.shape[1:]) for i in (0, 1))  # type: ignore[return-value]


def _exact(coalitions: Coalitions, shown: _Shown) -> Shapley:
    losses = coalitions.all_losses(progress=shown.exact)
    saved = shapley_values(-losses)
    return Shapley(
        coalitions.heads,
        saved.mean(axis=1),
        *bca_ends(saved, LEVEL),
        sampling_error=np.zeros(len(saved)),
        interactions=shapley_interactions(-losses.mean(axis=1)),
        n_orders=0,
        all_on=float(losses[-1].mean()),
        all_off=float(losses[0].mean()),
    )


def _sampled(
    coalitions: Coalitions, shown: _Shown, seconds: float, n_orders: int | None, seed: int
) -> Shapley:
    H, random = len(coalitions.heads), np.random.default_rng(seed)
    all_on, all_off = coalitions.losses([True] * H), coalitions.losses([False] * H)
    by_part = np.zeros((H, coalitions.n_parts))  # the sum of what all orders have saved
    by_pair: list[Floats] = []  # the mean (H,) of an order and its reverse
    while _goes_on(len(by_pair), n_orders, shown.seconds(), seconds):
        order = random.permutation(H)
        saved = _saved(coalitions, order, all_on, all_off) + _saved(coalitions, order[::-1], all_on, all_off)
        by_part += saved
        by_pair.append(saved.mean(axis=1) / 2)
        shown.sampled(2 * len(by_pair), n_orders, seconds)
    n_pairs, saved = len(by_pair), by_part / (2 * len(by_pair))
    quantile = float(stats.t.ppf((1 + LEVEL) / 2, n_pairs - 1))
    error = quantile * np.std(by_pair, axis=0, ddof=1) / math.sqrt(n_pairs)
    bits, (low, high) = saved.mean(axis=1), bca_ends(saved, LEVEL)
    return Shapley(
        coalitions.heads,
        bits,
        bits - np.hypot(bits - low, error),
        bits + np.hypot(high - bits, error),
        sampling_error=error,
        interactions=None,
        n_orders=2 * n_pairs,
        all_on=float(all_on.mean()),
        all_off=float(all_off.mean()),
    )


def _goes_on(n_pairs: int, n_orders: int | None, taken: float, seconds: float) -> bool:
    """Whether another order and its reverse are drawn; an error can be told from two pairs on."""
    return n_pairs < 2 or (taken < seconds if n_orders is None else 2 * n_pairs < n_orders)


def _saved(coalitions: Coalitions, order: IdArray, all_on: Floats, all_off: Floats) -> Floats:
    """What each head saves (H, n_parts) if the heads are switched on in this order."""
    on, before = [False] * len(order), all_off
    saved = np.empty((len(order), len(all_off)))
    for h in order:
        on[h] = True
        now = all_on if all(on) else coalitions.losses(on)
        saved[h], before = before - now, now
    return saved


class _Shown:
    """How far it is, for the user."""

    def __init__(self, listener: Listener | None, n_heads: int) -> None:
        self._listener, self._begun = listener, time.monotonic()
        self._what = f"Shapley values of {n_heads} heads"

    def seconds(self) -> float:
        return time.monotonic() - self._begun

    def exact(self, done: int, total: int) -> None:
        left = self.seconds() * (total - done) / done
        self._show(f"{done:,} of {total:,} coalitions, {left:.0f} s left")

    def sampled(self, n: int, n_orders: int | None, seconds: float) -> None:
        end = f"{seconds:.0f} s" if n_orders is None else f"{n_orders:,} orders"
        self._show(f"{n:,} orders in {self.seconds():.0f} s, until {end}")

    def _show(self, so_far: str) -> None:
        if self._listener is not None:
            self._listener.working(self._what, so_far)

    def idle(self) -> None:
        if self._listener is not None:
            self._listener.idle()
