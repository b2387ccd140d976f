import numpy as np
import pytest

from microgpt.model.shards import FEW, LEAST_ROWS, number_of_shards, of_rank
from microgpt.model.shards import sharing as shared_by


def sharing(n_shards, n_threads):
    return shared_by(n_shards, range(n_shards), n_threads)


def tree(n):
    """The sum of n things as nested pairs, by the definition of the tree."""

    def branch(first, n):
        left = 1 << (n - 1).bit_length() - 1 if n > 1 else 0
        return (branch(first, left), branch(first + left, n - left)) if left else first

    return branch(0, n)


def test_shards_depend_on_the_batch_alone():
    sizes = (1, 2, 3, 4, 5, 64, 1000)
    assert [number_of_shards(B, 1, 64) for B in sizes] == [1, 2, 3, 4, 4, 4, 4]
    assert [number_of_shards(B, LEAST_ROWS, 64) for B in sizes] == [1, 2, 3, 4, 5, 64, 64]
    assert number_of_shards(64, LEAST_ROWS // 2, 64) == 32
    assert number_of_shards(64, LEAST_ROWS, 1) == 1


def added_up(shared):
    """The sums of the groups as nested pairs, in the order of the groups."""
    slots, done = [None] * shared.n_slots, []
    for group in range(shared.n_groups):
        for shard in shared.shards(group):
            assert slots[shared.slot(shard)] is None
            slots[shared.slot(shard)] = shard
            done.append(shard)
            for into, other in shared.additions(shard):
                slots[into], slots[other] = (slots[into], slots[other]), None
    assert done == list(range(shared.first, shared.stop))
    sums = slots[:: shared.slots_per_group]
    assert [slot for slot in slots if slot is not None] == sums
    return sums


def joined(sums):
    """The tree over these sums."""

    def filled(places):
        return sums[places] if isinstance(places, int) else tuple(map(filled, places))

    return filled(tree(len(sums)))


@pytest.mark.parametrize("n_ranks", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("n_shards", [1, 2, 3, 4, 5, 7, 8, 12, 33, 63, 64])
def test_any_sharing_adds_up_the_same_tree(n_shards, n_ranks):
    for n_threads in (1, 2, 3, 7, 64):
        own = [of_rank(n_shards, rank, n_ranks) for rank in range(n_ranks)]
        assert [shard for shards in own for shard in shards] == list(range(n_shards))
        of_ranks = [joined(added_up(shared_by(n_shards, shards, n_threads))) for shards in own if shards]
        assert joined(of_ranks) == tree(n_shards)


def test_sequences_of_a_batch():
    shared = shared_by(4, of_rank(4, 1, 2), 1)
    assert [shared.sequences(shard, 7) for shard in range(4)] == [(0, 1), (1, 3), (3, 5), (5, 7)]
    assert shared.own_sequences(7) == (3, 7)


def test_groups_keep_threads_busy_with_little_memory():
    assert sharing(FEW, 1).n_slots == sharing(FEW, 2).n_slots == FEW
    assert (sharing(64, 1).n_slots, sharing(64, 2).n_slots, sharing(64, 64).n_slots) == (7, 12, 64)
    for n_shards in range(1, 65):
        for n_threads in range(1, n_shards + 1):
            shared = sharing(n_shards, n_threads)
            longest = -(-shared.n_groups // n_threads) * shared.shards_per_group
            assert longest <= np.ceil(n_shards / n_threads) * 9 / 8
