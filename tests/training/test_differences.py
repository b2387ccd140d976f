"""A difference between options is said in the words of the command line."""

from microgpt.training.differences import said


def test_a_difference_is_said_with_the_name_of_the_option():
    assert said("seq_len", 16, 8) == "--seq-len was 16 and is now 8"
    assert said("order", "sequential", "shuffled") == "--order was 'sequential' and is now 'shuffled'"


def test_an_option_without_a_value_is_on_or_off():
    assert said("token_shift", False, True) == "--token-shift was off and is now on"
    assert said("token_shift", True, False) == "--token-shift was on and is now off"
