"""Dataclasses from mappings that may hold anything: names and types are checked against the annotations."""

from __future__ import annotations

import dataclasses
import difflib
import types
from collections.abc import Mapping
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from microgpt.errors import MicrogptError, shown

T = TypeVar("T")


def build(cls: type[T], values: Mapping[str, Any], source: str) -> T:
    """The dataclass with these values. Raises MicrogptError, which begins with the source, as `checked` does,
    and where a field without a default is missing."""
    options = checked(cls, values, source)
    for field in dataclasses.fields(cls):  # type: ignore[arg-type]
        if field.default is dataclasses.MISSING and field.name not in options:
            raise MicrogptError(f"{source}: {field.name!r} is missing")
    return cls(**options)


def checked(
    cls: type, values: Mapping[str, Any], source: str, hints: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """The values by the names of a dataclass's fields; a dash may stand for an underscore.

    hints  advice for names that are not those of a field

    A value must be of just the type that the field is annotated with; but an int is taken for a float, and a
    list for a tuple; what a mapping holds is not checked. Raises MicrogptError for other types, and for
    unknown names, with the nearest.
    """
    kinds = get_type_hints(cls)
    options: dict[str, Any] = {}
    for key, value in values.items():
        name = key.replace("-", "_")
        if name in options:
            raise MicrogptError(f"{source}: {name} is there twice")
        if name not in kinds:
            near = difflib.get_close_matches(name[:40], kinds, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(kinds)}"
            raise MicrogptError(
                f"{source}: unknown key {shown(key)}; {(hints or {}).get(name.lower(), hint)}"
            )
        try:
            options[name] = _as(kinds[name], value)
        except TypeError:
            raise MicrogptError(f"{source}: {key} = {shown(value)} should be {_words(kinds[name])}") from None
        except OverflowError:
            raise MicrogptError(f"{source}: {key} = {shown(value)} is too large a number") from None
    return options


def _as(kind: Any, value: Any) -> Any:
    """The value, if it is of this kind; raises TypeError."""
    if get_origin(kind) is types.UnionType:
        wanted, _ = get_args(kind)  # the other one is None
        return None if value is None else _as(wanted, value)
    if get_origin(kind) is tuple and type(value) is list:
        return tuple(_as(get_args(kind)[0], each) for each in value)
    if get_origin(kind) is Mapping and isinstance(value, Mapping):
        return value
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise TypeError
    return value


def _words(kind: Any) -> str:
    """What a value should be."""
    if get_origin(kind) is types.UnionType:
        kind = get_args(kind)[0]
    words = {
        int: "a whole number",
        float: "a number",
        str: "text in quotes",
        bool: "true or false",
        tuple[int, ...]: "a list of whole numbers",
        tuple[str, ...]: "a list of texts in quotes",
    }
    if get_origin(kind) is Mapping:
        return "a table"
    return words.get(kind, "lists of whole numbers")
