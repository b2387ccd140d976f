"""What the tests of bad input share: an error is one sentence."""

import pytest

from microgpt.errors import MicrogptError


def error_of(function, *args):
    """The message of the error that the function raises."""
    with pytest.raises(MicrogptError) as caught:
        function(*args)
    assert "\n" not in str(caught.value)
    return str(caught.value)
