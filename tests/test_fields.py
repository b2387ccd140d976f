"""Dataclasses from foreign values."""

import dataclasses
from collections.abc import Mapping

import pytest

from microgpt.config import TrainConfig
from microgpt.errors import MicrogptError
from microgpt.fields import build, checked


@dataclasses.dataclass(frozen=True)
class Mixed:
    n: int
    x: float
    pairs: tuple[tuple[int, ...], ...]
    flag: bool = False
    maybe: float | None = None


def test_a_dataclass_is_built_by_its_annotations():
    assert build(Mixed, {"n": 1, "x": 2, "pairs": [[1, 2], []]}, "f") == Mixed(1, 2.0, ((1, 2), ()))
    built = build(Mixed, {"n": 1, "x": 2.5, "pairs": [], "flag": True, "maybe": 3}, "f")
    assert built == Mixed(1, 2.5, (), True, 3.0)
    assert type(built.maybe) is float
    assert build(Mixed, {"n": 1, "x": 2.5, "pairs": [], "maybe": None}, "f").maybe is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n": True}, "f: n = True should be a whole number"),
        ({"n": None}, "f: n = None should be a whole number"),
        ({"n": 1.0}, "f: n = 1.0 should be a whole number"),
        ({"x": "1"}, "f: x = '1' should be a number"),
        ({"x": True}, "f: x = True should be a number"),
        ({"x": 10**400}, f"f: x = 1{'0' * 56}... is too large a number"),
        ({"flag": 1}, "f: flag = 1 should be true or false"),
        ({"maybe": "x"}, "f: maybe = 'x' should be a number"),
        ({"pairs": [1]}, "f: pairs = [1] should be lists of whole numbers"),
        ({"pairs": [[1.0]]}, "f: pairs = [[1.0]] should be lists of whole numbers"),
        ({"nn": 1}, "f: unknown key 'nn'; did you mean 'n'?"),
        ({"q": 1}, "f: unknown key 'q'; there are n, x, pairs, flag, maybe"),
    ],
    ids=str,
)
def test_values_of_other_types_are_named(change, message):
    with pytest.raises(MicrogptError) as caught:
        build(Mixed, {"n": 1, "x": 2.5, "pairs": [], **change}, "f")
    assert str(caught.value) == message
    with pytest.raises(MicrogptError, match="f: 'x' is missing"):
        build(Mixed, {"n": 1, "pairs": []}, "f")


@dataclasses.dataclass(frozen=True)
class Collections:
    names: tuple[str, ...]
    numbers: tuple[int, ...]
    table: Mapping[str, int]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"names": "x"}, "f: names = 'x' should be a list of texts in quotes"),
        ({"names": [1]}, "f: names = [1] should be a list of texts in quotes"),
        ({"numbers": ["x"]}, "f: numbers = ['x'] should be a list of whole numbers"),
        ({"table": [1]}, "f: table = [1] should be a table"),
    ],
    ids=str,
)
def test_lists_and_tables_are_named_by_what_they_hold(change, message):
    right = {"names": ["a", "b"], "numbers": [3], "table": {"a": 1}}
    assert build(Collections, right, "f") == Collections(("a", "b"), (3,), {"a": 1})
    with pytest.raises(MicrogptError) as caught:
        build(Collections, right | change, "f")
    assert str(caught.value) == message


def test_toml_takes_dashes_and_whole_numbers_for_real_ones():
    options = {"batch-size": 3, "d_ff": 5, "lr": 1}
    assert checked(TrainConfig, options, "x") == {"batch_size": 3, "d_ff": 5, "lr": 1.0}
