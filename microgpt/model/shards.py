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

# With fewer rows in a shard, adding up the gradients takes longer than what the additional threads save.
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


class Sharing(NamedTuple):
    """Shards in groups. Each group has slots for the gradients of one shard and for the sums that wait."""

    n_shards: int
    shards_per_group: int  # a power of two; the last group may have fewer

    @property
    def n_groups(self) -> int:
        return -(-self.n_shards // self.shards_per_group)

    @property
    def slots_per_group(self) -> int:
        return self.shards_per_group.bit_length()

    @property
    def n_slots(self) -> int:
        return self.n_groups * self.slots_per_group

    def shards(self, group: int) -> range:
        """The shards of a group, in their order."""
        first = group * self.shards_per_group
        return range(first, min(first + self.shards_per_group, self.n_shards))

    def slot(self, shard: int) -> int:
        """Where the gradients of a shard are computed: after the sums that wait for it."""
        group, place = divmod(shard, self.shards_per_group)
        # one sum waits for each of the branches of which the shards before consist: one for each binary 1
        return group * self.slots_per_group + place.bit_count()

    def additions(self, shard: int) -> Iterator[tuple[int, int]]:
        """Which slots are to be added once a shard is done: pairs (into, other)."""
        group, place = divmod(shard, self.shards_per_group)
        is_last = shard == self.shards(group)[-1]
        slot = self.slot(shard)
        first = group * self.slots_per_group
        while slot > first and (is_last or place % 2):
            yield slot - 1, slot
            slot, place = slot - 1, place // 2


def sharing(n_shards: int, n_threads: int) -> Sharing:
    """The largest groups with which all threads are busy; FEW shards are not grouped."""
    if n_shards <= FEW:
        return Sharing(n_shards, 1)
    most = -(-n_shards // n_threads) * (1 + MOST_WAITING)  # shards of a thread
    sizes = (1 << i for i in range(n_shards.bit_length() + 1))
    shared = (Sharing(n_shards, size) for size in sizes)
    return max(s for s in shared if -(-s.n_groups // n_threads) * s.shards_per_group <= most)
