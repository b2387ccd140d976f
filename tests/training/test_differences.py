"""A difference between options is said in the words of the command line."""

from microgpt.training.differences import said


def test_a_difference_is_said_with_the_name_of_the_option():
    assert said("seq_len", 16, 8) == "--seq-len was 16 and is now 8"
    assert said("order", "sequential", "shuffled") == "--order was 'sequential' and is now 'shuffled'"


def test_an_option_without_a_value_is_said_by_its_two_names():
    assert said("token_shift", False, True) == "it was --no-token-shift and is now --token-shift"
    assert said("token_shift", True, False) == "it was --token-shift and is now --no-token-shift"
