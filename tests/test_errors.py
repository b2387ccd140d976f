"""What messages say of values that nobody could read."""

from microgpt.errors import shown


def test_a_value_in_a_message_is_short_and_can_be_printed():
    deep = []
    for _ in range(100_000):
        deep = [deep]
    for value in ("x" * 10**6, 10**5000, "\udcff\0\n", [1] * 10**5, deep, 2.5, None):
        text = shown(value)
        assert len(text) <= 60
        assert text.isprintable()
        text.encode("utf-8")
    assert (shown("it's"), shown(7)) == ('"it\'s"', "7")
    while deep:  # or Python would free it by a recursion too deep for its stack
        deep = deep.pop()
