"""The plan of a race: what races, on which texts, and how it will be judged, written before the first run."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from microgpt import __version__
from microgpt.bounds import option_name
from microgpt.config import HINTS, TrainConfig, toml_values
from microgpt.errors import MicrogptError, shown, shown_path
from microgpt.fields import checked
from microgpt.text.walk import Walk

# What a race decides for each run, and what does not belong into one
DECIDED_HERE = {
    "file": "the texts of a race stand beside its options",
    "seed": "a race numbers its seeds itself",
    "out": "runs of a race leave no files of their own",
    "threads": "each run of a race has one thread",
    "eval_every": "a race judges at the end of a run",
    "sample_every": "a race takes no samples",
    "snapshots": "runs of a race leave no files of their own",
    "weights": "runs of a race begin with random weights",
    **dict.fromkeys(
        ("replicas", "local_steps", "outer_lr", "outer_momentum"), "each run of a race trains a single model"
    ),
}
HELD_OUT = 0.1  # of the text, where nothing else is said
MOST_SEEDS = 100_000
# The smallest and the largest value
_BOUNDS: dict[str, tuple[float, float]] = {
    "seeds": (1, MOST_SEEDS),
    "tuning_seeds": (0, MOST_SEEDS),
    "rates": (1, 25),
    "epochs": (1e-6, 1e12),
    "smallest_difference": (1e-6, 1e12),
}

# The options of an entrant in a condition, whether its rate is looked for, and whether its steps are open
_Raced = tuple[TrainConfig, bool, bool]


class Condition(NamedTuple):
    """All entrants race against each other once in each condition: on each text, with each set of options."""

    name: str
    text: str
    options: Mapping[str, Any]


@dataclass(frozen=True)
class Plan:
    """What is settled before the first run. The fields are the keys of the TOML file.

    texts                the texts to train on; the end of each is held out, and judges
    sha256, characters   of each text; empty in a plan that no race has begun with
    seeds                how many judge each entrant, with the rate that was best for it
    tuning_seeds         how many other ones choose its rate
    rates                how many rates each entrant begins with, a factor of sqrt(2) apart, around that of
                         the rule; more are added on the side where the best one is the last
    epochs               how often the text is read, where the options do not say `steps`
    smallest_difference  in bits per character; smaller ones are of no interest
    equal_seconds        whether entrants also race with as many steps as take the time of the first one's
    options              of every run, as for `microgpt train`
    entrants             the options of each entrant, by its name
    conditions           the race is held once with each of these options, by their name
    """

    texts: tuple[str, ...] = ()
    sha256: tuple[str, ...] = ()
    characters: tuple[int, ...] = ()
    seeds: int = 40
    tuning_seeds: int = 10
    rates: int = 5
    epochs: float = 1.0
    smallest_difference: float = 0.005
    equal_seconds: bool = True
    options: Mapping[str, Any] = field(default_factory=dict)
    entrants: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    conditions: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.texts:
            raise MicrogptError("a race needs a text: microgpt race FILE --layouts uniform,exponential")
        if len(set(self.texts)) < len(self.texts):
            raise MicrogptError("a race names each text once")
        if "-" in self.texts:
            raise MicrogptError("a race needs its texts in files, which each of its processes reads")
        for facts in (self.sha256, self.characters):
            if len(facts) not in (0, len(self.texts)):
                raise MicrogptError("a plan has one of sha256 and of characters for each text, or none")
        if len(self.entrants) < 2:
            raise MicrogptError(
                "a race needs at least two entrants: name several layouts, like --layouts "
                "uniform,exponential, or several values of another option of `microgpt train`"
            )
        for name in (*self.entrants, *self.conditions):
            if not name.strip() or not name.isprintable():
                raise MicrogptError(f"{shown(name)} cannot be the name of an entrant or a condition")
        for name, (least, most) in _BOUNDS.items():
            value = getattr(self, name)
            if not least <= value <= most:
                raise MicrogptError(
                    f"--{option_name(name)} must be between {least:g} and {most:g}, not {shown(value)}"
                )
        names = [condition.name for condition in self.places()]
        for name in names:
            if names.count(name) > 1:
                raise MicrogptError(f"two conditions would be called {shown(name)}: give one another name")
        held: dict[tuple[_Raced, ...], str] = {}
        for condition in self.places():
            what = self._checked(condition)
            if what in held:
                raise MicrogptError(f"the conditions {held[what]} and {condition.name} are the same")
            held[what] = condition.name

    def _checked(self, condition: Condition) -> tuple[_Raced, ...]:
        """What races in this condition. Raises MicrogptError where the entrants cannot race against each
        other."""
        configs = {entrant: self.config(condition, entrant) for entrant in self.entrants}
        if len({config.val_fraction for config in configs.values()}) > 1:
            raise MicrogptError(
                "entrants are judged by the same text, so --val-fraction must be the same for all of them"
            )
        alike: dict[_Raced, str] = {}
        for entrant, config in configs.items():
            for name in condition.options.keys() & self.entrants[entrant].keys():
                raise MicrogptError(
                    f"{option_name(name)} is an option of the condition {condition.name} and of the entrant "
                    f"{entrant}: leave one of them away"
                )
            is_tuned = self.is_tuned(condition, entrant)
            if is_tuned and config.min_lr:
                raise MicrogptError(
                    "a race tries several rates, and --min-lr above 0 goes with one: leave it away, or give "
                    "--lr too"
                )
            is_open = not self.characters and "steps" not in self._given(condition, entrant)
            what = dataclasses.replace(config.resolved(), memory_cap="none"), is_tuned, is_open
            if what in alike:
                raise MicrogptError(f"the entrants {alike[what]} and {entrant} are the same")
            alike[what] = entrant
        return tuple(alike)

    @property
    def first(self) -> str:
        """The entrant whose time the others may take, too, where seconds are to be equal."""
        return next(iter(self.entrants))

    def places(self) -> list[Condition]:
        """The conditions of all texts, in order."""
        conditions = self.conditions or {"": {}}
        return [
            Condition(self._name(text, name), text, options)
            for text, (name, options) in itertools.product(self.texts, conditions.items())
        ]

    def _name(self, text: str, condition: str) -> str:
        """What the condition is called: by its text only if there are several."""
        stem = Path(text).stem
        if sum(Path(other).stem == stem for other in self.texts) > 1:
            stem = text
        parts = [stem] if len(self.texts) > 1 or not condition else []
        return ", ".join([*parts, *([condition] if condition else [])])

    def _given(self, condition: Condition, entrant: str) -> dict[str, Any]:
        """The options that the plan gives an entrant in this condition."""
        return {**self.options, **condition.options, **self.entrants[entrant]}

    def config(self, condition: Condition, entrant: str, **others: Any) -> TrainConfig:
        """The options of a run, whose rate and seed are still open unless `others` have them."""
        options = {"val_fraction": HELD_OUT, **self._given(condition, entrant), **others}
        config = TrainConfig(file=condition.text, threads=1, **options)
        if config.val_fraction == 0:
            raise MicrogptError("a race judges by text that was held out: --val-fraction must be above 0")
        if "steps" in options or not self.characters:
            return config
        return dataclasses.replace(config, steps=self._steps_of_epochs(config))

    def _steps_of_epochs(self, config: TrainConfig) -> int:
        n_tokens = self.characters[self.texts.index(config.file)]
        n_tokens -= round(n_tokens * config.val_fraction)
        walk = Walk(n_tokens, config.seq_len, config.stride or config.seq_len, config.batch_size)
        return max(1, round(self.epochs * walk.steps_per_epoch))

    def is_tuned(self, condition: Condition, entrant: str) -> bool:
        """Whether the race looks for the best rate: not where the options give one, or no seeds for it."""
        return self.tuning_seeds > 0 and self._given(condition, entrant).get("lr") is None

    @property
    def with_given_rates(self) -> list[str]:
        """The entrants that race at a given rate while others have their best one; the same ones in each
        condition, since an option of a condition is none of an entrant."""
        condition = self.places()[0]
        given = [entrant for entrant in self.entrants if not self.is_tuned(condition, entrant)]
        return given if len(given) < len(self.entrants) else []

    @cached_property
    def digest(self) -> str:
        """What tells this plan from any other one; of the order of the entrants, the first one counts."""
        text = json.dumps([self.first, dataclasses.asdict(self)], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


# One line above each key of the file
COMMENTS = {
    "texts": "the end of each text is held out, and judges: --val-fraction",
    "seeds": "runs of each entrant that are judged, at its best rate; all entrants have the same seeds, "
    "so the same\n# initial values and the same order of the text",
    "tuning_seeds": "other seeds, on which each entrant's rate is chosen",
    "rates": "tried at first, a factor of sqrt(2) apart; more follow where the best is the last on its side",
    "smallest_difference": "bits per character; smaller differences are of no interest",
    "equal_seconds": "whether entrants race once more with the steps that take as long as the first one's",
}
JUDGED = """\
# Judged by the bits per character of the whole held-out text, at the end of each run. Of two entrants one is
# called better where both tests agree: the 95% BCa bootstrap interval of the paired differences leaves out 0,
# and the sign-flip permutation test is below 5% after Holm's adjustment for all pairs of a condition.
"""


def to_toml(plan: Plan) -> str:
    """The plan as a file for people to read, and for `read` to read back."""
    import tomli_w

    lines = ["# The plan of a race. If it is changed after the first run, the report says so.\n", JUDGED]
    options = {key: value for key, value in dataclasses.asdict(plan).items() if not isinstance(value, dict)}
    for key, value in options.items():
        if key in COMMENTS:
            lines.append(f"\n# {COMMENTS[key]}\n")
        lines.append(tomli_w.dumps({key: value}))
    lines.append("\n# options of `microgpt train`: of every run, and of each entrant\n")
    tables = {"options": plan.options, "entrants": plan.entrants, "conditions": plan.conditions}
    lines.append(tomli_w.dumps({name: table for name, table in tables.items() if table}))
    given = {
        name for table in (plan.options, *plan.entrants.values(), *plan.conditions.values()) for name in table
    }
    lines.append(f"\n# All other options are those of microgpt {__version__}:\n")
    for option in dataclasses.fields(TrainConfig):
        if option.name not in given | DECIDED_HERE.keys() and option.default is not None:
            value = HELD_OUT if option.name == "val_fraction" else option.default
            lines.append(f"# {option.name} = {value}\n")
    return "".join(lines)


def read(path: Path) -> Plan:
    """The plan in a TOML file. Raises MicrogptError where it is not one."""
    name = shown_path(path)
    values = toml_values(path, "the plan", "plan")
    try:
        return plan_of(values, name)
    except MicrogptError as error:
        raise MicrogptError(str(error) if str(error).startswith(name) else f"{name}: {error}") from None


def plan_of(values: Mapping[str, Any], source: str) -> Plan:
    """The plan with these values, checked by name and type. Raises MicrogptError, which begins with the
    source where a name or a type is wrong."""
    fields = checked(Plan, values, source)
    for name in ("entrants", "conditions"):
        tables = fields.get(name, {})
        fields[name] = {key: _options(each, f"{source}, {shown(key)}") for key, each in tables.items()}
    fields["options"] = _options(fields.get("options", {}), source)
    return Plan(**fields)


def _options(values: Any, source: str) -> dict[str, Any]:
    if not isinstance(values, Mapping):
        raise MicrogptError(f"{source} should be a table of options")
    options = checked(TrainConfig, values, source, HINTS)
    for name in options:
        if name in DECIDED_HERE:
            raise MicrogptError(f"{source}: leave {option_name(name)} away: {DECIDED_HERE[name]}")
    return options


def differences(before: Plan, after: Plan) -> Iterator[str]:
    """What differs between two plans, for people to read."""
    old, new = (dataclasses.asdict(plan) | {"first entrant": plan.first} for plan in (before, after))
    for key in old:
        if isinstance(old[key], dict) and isinstance(new[key], dict):
            for name in {**old[key], **new[key]}:
                before, after = (table.get(name, "nothing") for table in (old[key], new[key]))
                if before != after:
                    yield f"{key} {name}: {_short(before)} there, {_short(after)} here"
        elif old[key] != new[key]:
            yield f"{key} {_short(old[key])} there, {_short(new[key])} here"


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 100 else f"{text[:97]}..."
