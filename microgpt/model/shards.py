"""How a batch is shared out: into shards, whose gradients are added up as a binary tree, and into groups.

A shard is a few sequences of the batch, whose gradients one thread computes. The number of shards follows
from the batch alone, and their gradients are always added in the same order: of n shards, the left branch of
the tree adds the first m, where m is the largest power of two below n. So one seed gives one loss curve, bit
for bit, however many threads there are.

A group is a whole branch of the tree: shards that a thread computes one after another and adds up itself. So
gradients need memory for each group, and not for each shard.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

# The gradient of a shard takes six operations a row for each parameter; then it is added, which moves 12
# bytes for each. With this many rows, adding should take a few percent of the time.
LEAST_ROWS = 512
# The shards of a small batch that has as many sequences, since even a small machine has as many cores.
FEW = 4
# The part of the time that threads may wait for each other because groups are whole branches of the tree.
MOST_WAITING = 1 / 8


def number_of_shards(batch_size: int, seq_len: int, most: int) -> int:
    """The number of shards of a batch: at most one a sequence, and `most`, which the backend allows.

    Nothing else decides it, so that one seed gives one loss curve whatever the number of threads.
    """
    return min(batch_size, most, max(FEW, batch_size * seq_len // LEAST_ROWS))


def of_rank(n_shards: int, rank: int, n_ranks: int) -> range:
    """The shards of one of several processes: a branch of the tree, or none if there are fewer branches."""
    size = 1
    while -(-n_shards // size) > n_ranks:
        size *= 2
    return range(n_shards)[rank * size : (rank + 1) * size]


class Sharing(NamedTuple):
    """A process's shards in groups. Each group has slots for gradients of a shard and for sums that wait."""

    n_shards: int  # of the whole batch
    first: int  # of this process
    stop: int
    shards_per_group: int  # a power of two; the last group may have fewer

    @property
    def n_groups(self) -> int:
        return -(-(self.stop - self.first) // self.shards_per_group)

    @property
    def slots_per_group(self) -> int:
        return self.shards_per_group.bit_length()

    @property
    def n_slots(self) -> int:
        return self.n_groups * self.slots_per_group

    def shards(self, group: int) -> range:
        """The shards of a group, in their order."""
        return range(self.first, self.stop)[group * self.shards_per_group :][: self.shards_per_group]

    def sequences(self, shard: int, batch_size: int) -> tuple[int, int]:
        """The first of the batch's sequences that is in a shard, and the first one after it."""
        return shard * batch_size // self.n_shards, (shard + 1) * batch_size // self.n_shards

    def own_sequences(self, batch_size: int) -> tuple[int, int]:
        """The same of all shards of this process."""
        return self.first * batch_size // self.n_shards, self.stop * batch_size // self.n_shards

    def slot(self, shard: int) -> int:
        """Where the gradients of a shard are computed: after the sums that wait for it."""
        group, place = divmod(shard - self.first, self.shards_per_group)
        # the shards before it consist of branches, one for each binary 1, and the sum of each branch waits
        return group * self.slots_per_group + place.bit_count()

    def additions(self, shard: int) -> Iterator[tuple[int, int]]:
        """Which slots are to be added once a shard is done: pairs (into, other)."""
        group, place = divmod(shard - self.first, self.shards_per_group)
        is_last = shard == self.shards(group)[-1]
        first, slot = group * self.slots_per_group, self.slot(shard)
        while slot > first and (is_last or place % 2):
            yield slot - 1, slot
            slot, place = slot - 1, place // 2


def sharing(n_shards: int, own: range, n_threads: int) -> Sharing:
    """The largest groups of a process's own shards that keep all its threads busy; FEW are not grouped."""
    n = len(own)
    most = -(-n // n_threads) * (1 + MOST_WAITING)  # shards of a thread
    sizes = [1 << i for i in range(n.bit_length() + 1)] if n > FEW else [1]
    shared = (Sharing(n_shards, own.start, own.stop, size) for size in sizes)
    return max(s for s in shared if -(-s.n_groups // n_threads) * s.shards_per_group <= most)
