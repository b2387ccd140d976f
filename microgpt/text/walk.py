"""The walk through a text: which characters each step of training reads and which it predicts.

Chunk i starts at s = i * stride. Its inputs are text[s : s+T], its targets text[s+1 : s+T+1], so input t
predicts the character after it; the last chunk is shorter where the text ends. With stride < T the chunks
overlap, and the first T - stride inputs of every chunk but the first are context only. So every token but the
first, which nothing precedes, is a target exactly once per epoch.

Row b of a batch of B walks the chunks b*n_chunks//B up to (b+1)*n_chunks//B, one a step: the rows start at B
evenly spaced places of the text, because neighbouring chunks in one batch learn visibly worse.

The kernel `batch_fill` copies the chunks; this module has the counts.
"""

import bisect
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from microgpt.errors import MicrogptError

IdArray = NDArray[np.integer[Any]]

BLOCK = 1 << 17  # numbers that are written at once, so that a permutation needs no other memory


@dataclass(frozen=True)
class Walk:
    """The walk of a batch of rows through a text, as counts; raises MicrogptError if there is none."""

    n_tokens: int
    seq_len: int
    stride: int
    batch_size: int

    def __post_init__(self) -> None:
        if self.seq_len < 1 or self.batch_size < 1:
            raise MicrogptError(
                f"--seq-len and --batch-size must be at least 1, not {self.seq_len} and {self.batch_size}"
            )
        if not 1 <= self.stride <= self.seq_len:
            raise MicrogptError(
                f"--stride must be between 1 and the sequence length {self.seq_len}, not {self.stride}: "
                "a longer one would leave characters out"
            )
        if self.n_tokens < 2:
            raise MicrogptError(f"a text needs at least 2 characters to predict one, not {self.n_tokens}")

    @property
    def n_chunks(self) -> int:
        """The fewest chunks in which every token but the first is a target."""
        # the first chunk has seq_len targets, each further one up to stride more
        return 1 + max(0, self.n_targets - self.seq_len + self.stride - 1) // self.stride

    @property
    def steps_per_epoch(self) -> int:
        """Steps until the longest row has walked all its chunks."""
        return -(-self.n_chunks // self.batch_size)

    @property
    def n_targets(self) -> int:
        """Targets in one epoch, each a different token."""
        return self.n_tokens - 1


def shuffle_order(order: IdArray, seed: int, epoch: int) -> None:
    """Writes a permutation of 0..n-1 into order (n,), any integer dtype; it depends on (seed, epoch) alone.

    No generator lives on from epoch to epoch, so a resumed run needs no state to continue exactly.
    """
    for low in range(0, len(order), BLOCK):
        order[low : low + BLOCK] = np.arange(low, min(low + BLOCK, len(order)))
    source = np.random.SeedSequence(seed, spawn_key=(epoch,))
    np.random.Generator(np.random.Philox(source)).shuffle(order)


def minimum_characters(seq_len: int, stride: int, batch_size: int) -> int:
    """The shortest text with a full first chunk and at least one chunk for every row of the batch."""
    full_first_chunk = seq_len + 1
    if batch_size == 1:
        return full_first_chunk
    # the second chunk needs one more character, each further one another stride
    return full_first_chunk + 1 + (batch_size - 2) * stride


def check_long_enough(
    n_characters: int, seq_len: int, stride: int, batch_size: int, what: str, val_fraction: float = 0.0
) -> None:
    """Raises MicrogptError if the text is shorter than `minimum_characters`; says which settings would do.

    what          names the text in the error, such as "the text data/input.txt"
    val_fraction  of that text was held out, and n_characters are the rest
    """
    minimum = minimum_characters(seq_len, stride, batch_size)
    if n_characters >= minimum:
        return

    def longest_seq_len(rows: int) -> int:
        # a shorter sequence also bounds the stride
        return bisect.bisect_right(
            range(1, seq_len), n_characters, key=lambda T: minimum_characters(T, min(stride, T), rows)
        )

    def seq_len_option(T: int) -> str:
        # a stride that the user chose has to follow; the default one does so by itself
        return f"--seq-len {T} --stride {T}" if T < stride < seq_len else f"--seq-len {T}"

    ways = []
    if T := longest_seq_len(batch_size):
        ways.append(seq_len_option(T))
    if B := bisect.bisect_right(
        range(1, batch_size), n_characters, key=lambda rows: minimum_characters(seq_len, stride, rows)
    ):
        ways.append(f"--batch-size {B}")
    if not ways and (T := longest_seq_len(1)):
        ways.append(f"{seq_len_option(T)} --batch-size 1")
    # one more and one less, because the whole was rounded when it was cut
    whole = max(1, n_characters - 1) / (1 - val_fraction)
    enough = math.floor(100 * (1 - (minimum + 1) / whole)) / 100
    if val_fraction and enough * whole >= 2:  # one to predict and one before it
        ways.append(f"--val-fraction {enough}")
    advice = f"; {' or '.join(ways)} would work" if ways else ""
    if val_fraction:
        what = f"the part of {what} that --val-fraction {val_fraction} leaves to train on"
    unit = "character" if n_characters == 1 else "characters"
    chosen_stride = f" --stride {stride}" if stride != seq_len else ""
    raise MicrogptError(
        f"{what} has {n_characters} {unit}, but --seq-len {seq_len}{chosen_stride} --batch-size {batch_size} "
        f"needs at least {minimum}{advice}"
    )


def split(ids: IdArray, val_fraction: float) -> tuple[IdArray, IdArray]:
    """(train, val), views of ids (n,): val is the tail, val_fraction of all tokens, rounded.

    Raises MicrogptError for a fraction outside [0, 1), and for one that leaves either part fewer than the 2
    tokens it takes to predict one; a fraction of 0 gives an empty val.
    """
    if not 0 <= val_fraction < 1:
        raise MicrogptError(f"--val-fraction must be at least 0 and below 1, not {val_fraction}")
    n_train = len(ids) - round(len(ids) * val_fraction)
    train, val = ids[:n_train], ids[n_train:]
    if val_fraction > 0 and min(len(train), len(val)) < 2:
        raise MicrogptError(
            f"--val-fraction {val_fraction} cuts the text of {len(ids)} characters into {len(train)} to "
            f"train on and {len(val)} held out, but each part needs at least 2"
        )
    return train, val
