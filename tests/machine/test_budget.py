"""What a run may take is counted before it is taken."""

import numpy as np
import pytest
from microgpt_kernels import reference

from microgpt.errors import MicrogptError
from microgpt.machine.budget import ADDRESSABLE, Budget, format_bytes


def test_what_is_booked_adds_up_to_the_cap_and_no_further():
    budget = Budget(1000)
    budget.book(600, "the first", "do less")
    budget.book(400, "the second", "do less")
    assert budget.held == 1000
    with pytest.raises(MicrogptError) as caught:
        budget.book(1, "the last", "do less")
    assert str(caught.value) == (
        "out of memory budget: 1 B for the last do not fit, 1000 B of the 1000 B cap are held; do less, "
        "or raise --memory-cap"
    )
    assert budget.held == 1000


def test_an_array_is_booked_before_it_is_made():
    class Backend:
        def zeros(self, shape, dtype):
            raise AssertionError("it was made")

    with pytest.raises(MicrogptError, match=r"^out of memory budget: 24 B for an array do not fit, 0 B of"):
        Budget(23).zeros(Backend(), (2, 3), np.float32, "an array", "do less")
    budget = Budget(24)
    array = budget.zeros(reference, (2, 3), np.float32, "an array", "do less")
    assert (array.shape, array.dtype, budget.held) == ((2, 3), np.float32, array.nbytes)
    assert not array.any()


def test_without_a_cap_there_is_still_what_a_computer_can_count():
    budget = Budget(None)
    budget.book(ADDRESSABLE, "a great deal", "do less")
    with pytest.raises(MicrogptError, match=r"^no computer has the 1 B that one more would take; do less$"):
        budget.book(1, "one more", "do less")


@pytest.mark.parametrize(
    ("n_bytes", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (100 << 10, "100 KiB"),
        (5 << 20, "5.0 MiB"),
        (2 << 30, "2.0 GiB"),
        (3 << 40, "3072 GiB"),
    ],
)
def test_sizes_are_told_in_words(n_bytes, text):
    assert format_bytes(n_bytes) == text
