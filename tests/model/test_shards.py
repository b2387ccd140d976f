import numpy as np
import pytest

from microgpt.model.shards import FEW, LEAST_ROWS, number_of_shards, sharing


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


@pytest.mark.parametrize("n_threads", [1, 2, 3, 4, 7, 64])
@pytest.mark.parametrize("n_shards", [1, 2, 3, 4, 5, 7, 8, 12, 33, 63, 64])
def test_any_sharing_adds_up_the_same_tree(n_shards, n_threads):
    shared = sharing(n_shards, n_threads)
    slots = [None] * shared.n_slots
    done = []
    for group in range(shared.n_groups):
        for shard in shared.shards(group):
            assert slots[shared.slot(shard)] is None
            slots[shared.slot(shard)] = shard
            done.append(shard)
            for into, other in shared.additions(shard):
                slots[into], slots[other] = (slots[into], slots[other]), None
    assert done == list(range(n_shards))
    sums = slots[:: shared.slots_per_group]
    assert len(sums) == shared.n_groups
    assert [slot for slot in slots if slot is not None] == sums

    def joined(places):
        return sums[places] if isinstance(places, int) else tuple(map(joined, places))

    assert joined(tree(shared.n_groups)) == tree(n_shards)


def test_groups_keep_threads_busy_with_little_memory():
    assert sharing(FEW, 1).n_slots == sharing(FEW, 2).n_slots == FEW
    assert (sharing(64, 1).n_slots, sharing(64, 2).n_slots, sharing(64, 64).n_slots) == (7, 12, 64)
    for n_shards in range(1, 65):
        for n_threads in range(1, n_shards + 1):
            shared = sharing(n_shards, n_threads)
            longest = -(-shared.n_groups // n_threads) * shared.shards_per_group
            assert longest <= np.ceil(n_shards / n_threads) * 9 / 8
