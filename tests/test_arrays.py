"""Long arrays, worked through in blocks."""

import numpy as np

from microgpt.arrays import BLOCK, all_finite


def test_whether_all_is_finite_is_found_in_any_block():
    array = np.zeros((3, BLOCK), np.float32)
    assert all_finite(array)
    for place in ((0, 0), (1, 5), (2, BLOCK - 1)):
        for value in (np.nan, np.inf, -np.inf):
            array[place] = value
            assert not all_finite(array)
        array[place] = 0
    assert all_finite(np.zeros(0))
