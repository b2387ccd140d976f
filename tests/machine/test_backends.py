"""A backend is loaded and compiled beside a listener, who hears of the cache only meanwhile."""

import threading

import pytest
from microgpt_kernels.cache import reports
from reporters import Silent

from microgpt.errors import MicrogptError
from microgpt.machine.backends import StoppedError, compiled, load_backend


def test_what_the_cache_says_is_shown_by_the_listener_of_that_time(capsys):
    listener, later = Silent(), Silent()
    assert compiled(listener, lambda: reports.tell_once("heard by the first") or 7) == 7
    assert compiled(later, lambda: reports.tell_once("heard by the second")) is None
    assert (listener.notes, later.notes) == (["heard by the first"], ["heard by the second"])
    reports.tell_once("nobody listens")
    assert capsys.readouterr().err == "nobody listens\n"


def test_an_error_or_a_stop_gives_the_listener_back(capsys):
    listener = Silent()
    with pytest.raises(MicrogptError, match="there is no backend 'blas'"):
        load_backend("blas", listener)
    never = threading.Event()
    with pytest.raises(StoppedError):
        compiled(listener, never.wait, stop=lambda: True)
    never.set()
    reports.tell_once("after both")
    assert (listener.notes, capsys.readouterr().err) == ([], "after both\n")
