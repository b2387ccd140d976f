"""A backend is loaded and compiled beside a listener, who hears of the cache only meanwhile."""

import threading

import pytest
from microgpt_kernels import cache
from reporters import Silent

from microgpt.errors import MicrogptError
from microgpt.machine.backends import StoppedError, compiled, load_backend


def test_what_the_cache_says_is_shown_by_the_listener_of_that_time():
    before, listener, later = cache.tell, Silent(), Silent()
    assert compiled(listener, lambda: cache.tell("damaged") or 7) == 7
    assert compiled(later, lambda: cache.tell("not kept")) is None
    assert (listener.notes, later.notes) == (["damaged"], ["not kept"])
    assert cache.tell is before


def test_an_error_or_a_stop_gives_the_listener_back():
    before = cache.tell
    with pytest.raises(MicrogptError, match="there is no backend 'blas'"):
        load_backend("blas", Silent())
    never = threading.Event()
    with pytest.raises(StoppedError):
        compiled(Silent(), never.wait, stop=lambda: True)
    never.set()
    assert cache.tell is before
