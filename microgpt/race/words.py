"""The plan of a race from the words of a command line."""

from __future__ import annotations

import contextlib
import difflib
import itertools
from collections.abc import Mapping, Sequence
from typing import Any, get_type_hints

from microgpt.bounds import option_name
from microgpt.config import HINTS, TrainConfig
from microgpt.errors import MicrogptError, UsageError, shown, shown_path
from microgpt.fields import checked
from microgpt.race.plan import DECIDED_HERE, Plan, plan_of

_KINDS = get_type_hints(TrainConfig)
OF_TRAIN_ALONE = ("minutes", "resume", "from", "recipe", "config", "extend_vocabulary")


def texts_and_options(words: Sequence[str]) -> tuple[list[str], dict[str, list[Any]]]:
    """The texts among the words, and the values of each option of `microgpt train`.

    `--seq-len 32,128` and `--seq-len=32,128` give an option two values, and `--token-shift,no-token-shift` is
    how one that is on or off gets both. Raises UsageError.
    """
    texts: list[str] = []
    options: dict[str, list[Any]] = {}
    left = list(words)
    while left:
        word = left.pop(0)
        if not word.startswith("--"):
            texts.append(word)
            continue
        name, has_value, value = word[2:].partition("=")
        found = _switches(name)
        if found and has_value:
            raise UsageError(f"--{name} takes no value")
        if not found:
            following = left.pop(0) if left and not has_value else None
            found = valued(name, value if has_value else following)
        _join(options, found)
    return texts, options


def _join(options: dict[str, list[Any]], found: Mapping[str, list[Any]]) -> None:
    for name in found:
        if name in options:
            raise UsageError(
                f"--{option_name(name)} is given twice: give all its values at once, with commas"
            )
    options |= found


def valued(name: str, values: str | None) -> dict[str, list[Any]]:
    """An option and its values, which commas separate. Raises UsageError, also where there is none."""
    key = "heads" if name == "layouts" else name.replace("-", "_")
    if key in DECIDED_HERE:
        raise UsageError(f"leave --{name} away: {DECIDED_HERE[key]}")
    if key not in _KINDS:
        raise UsageError(f"unknown option {shown_path(f'--{name}')}: {_hint(key)}")
    if _KINDS[key] is bool:
        raise UsageError(f"--{name} takes no value: write {name},no-{name} for both")
    if values is None:
        raise UsageError(f"--{name} needs a value")
    found: list[Any] = []
    for part in values.split(","):
        value: Any = part.strip()
        if not value:
            raise UsageError(f"--{name}: a value is missing; write commas without spaces, as in 1,2")
        kind = str(_KINDS[key])
        with contextlib.suppress(ValueError):  # `checked` says what it should be
            value = int(value) if "int" in kind else float(value) if "float" in kind else value
        try:
            found.append(checked(TrainConfig, {key: value}, f"--{name}")[key])
        except MicrogptError as error:
            raise UsageError(str(error)) from None
    _each_once(name, found)
    return {key: found}


def _hint(key: str) -> str:
    if key in OF_TRAIN_ALONE:
        return "`microgpt train` has it, and a race does not"
    if key in HINTS:
        return HINTS[key]
    names = ["layouts", *map(option_name, _KINDS.keys() - DECIDED_HERE.keys())]
    near = difflib.get_close_matches(option_name(key)[:40], names, 1)
    return f"did you mean --{near[0]}?" if near else "`microgpt train --help` tells which there are"


def _each_once(name: str, values: Sequence[Any]) -> None:
    if len(set(values)) < len(values):
        raise UsageError(f"--{name}: name each value once")


def _switches(name: str) -> dict[str, list[Any]]:
    """The values of options that are on or off, such as `no-token-shift`; empty if it is no such option."""
    found: dict[str, list[Any]] = {}
    for part in name.split(","):
        key = part.removeprefix("no-").replace("-", "_")
        if _KINDS.get(key) is not bool:
            return {}
        found.setdefault(key, []).append(not part.startswith("no-"))
    for values in found.values():
        _each_once(name, values)
    return found


def plan_from(
    texts: Sequence[str], options: Mapping[str, list[Any]], across: Sequence[str], settings: Mapping[str, Any]
) -> Plan:
    """The plan in which every option with several values is one by which entrants differ.

    across    options, as `seq-len=32,128` or `token-shift,no-token-shift`, that are conditions instead: the
              race is held once with each
    settings  the other fields of the plan, as far as they are given
    """
    conditions: dict[str, list[Any]] = {}
    for each in across:
        name, has_value, values = each.removeprefix("--").partition("=")
        switches = {} if has_value else _switches(name)
        if not has_value and not switches:
            raise UsageError(f"--across {shown(each)} should be an option and its values, as seq-len=32,128")
        _join(conditions, switches or valued(name, values))
    for name in conditions:
        if name in options:
            raise UsageError(f"--{option_name(name)} is given twice: once of it with --across")
    varied = {name: values for name, values in options.items() if len(values) > 1}
    return plan_of(
        {
            **settings,
            "texts": list(texts),
            "options": {name: values[0] for name, values in options.items() if len(values) == 1},
            "entrants": _products(varied) if varied else {},
            "conditions": _products(conditions) if conditions else {},
        },
        "the race",
    )


def _products(varied: Mapping[str, list[Any]]) -> dict[str, dict[str, Any]]:
    """Every combination of values, by a name that says them."""
    combinations = [dict(zip(varied, values, strict=True)) for values in itertools.product(*varied.values())]
    return {" ".join(_word(name, value) for name, value in each.items()): each for each in combinations}


def _word(name: str, value: Any) -> str:
    """A value in the name of an entrant or a condition: a word alone, a number with its option."""
    if isinstance(value, bool):
        return option_name(name) if value else f"no-{option_name(name)}"
    return value if isinstance(value, str) else f"{option_name(name)} {value}"
