"""The options of a run: a frozen dataclass that checks itself, and its TOML form."""

from __future__ import annotations

import dataclasses
import math
import re
import tomllib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from microgpt_kernels import BACKENDS

from microgpt.bounds import check_bounds, one_of, option_name
from microgpt.errors import MicrogptError, shown, shown_path
from microgpt.fields import checked
from microgpt.model.architecture import ACTIVATIONS, ATTENTION_SCALES, DTYPES, INITS, POSITIONS, Architecture
from microgpt.model.heads import format_layout, parse_layout
from microgpt.model.shards import number_of_shards
from microgpt.recipes import FOLLOWING_SIZES, Rates, rates

ORDERS = ("sequential", "shuffled")
SCHEDULES = ("constant", "cosine", "linear")

# The names that options have in other programs.
ELSEWHERE = {
    "lr": ("learning_rate",),
    "steps": ("epochs", "iterations", "max_steps", "max_iters", "n_steps"),
    "seq_len": ("context", "block_size", "context_length"),
    "d_model": ("hidden_size", "n_embd", "embed_dim"),
    "n_layers": ("layers", "n_layer", "depth"),
    "heads": ("n_head", "n_heads", "num_heads"),
    "batch_size": ("batch",),
    "file": ("text", "data", "input"),
}
HINTS = {other: f"here it is {name!r}" for name, others in ELSEWHERE.items() for other in others}


HINTS["dropout"] = "there is none here"


@dataclass(frozen=True)
class TrainConfig:
    """Everything that `microgpt train` can be told; the field names are its options and the keys of TOML."""

    file: str
    steps: int = 1000
    heads: str = "uniform"
    backend: str = "crystal"
    seq_len: int = 128
    stride: int | None = None  # None: seq_len
    batch_size: int = 8
    order: str = "shuffled"
    d_model: int = 64
    n_layers: int = 2
    d_ff: int | None = None  # None: d_model
    positions: str = "rope"
    activation: str = "relu2"
    token_shift: bool = True
    attention_scale: str = "sqrt"
    init: str = "large"
    lr: float | None = None  # None: as `rates` has it, and so the next four
    beta2: float | None = None
    schedule: str = "linear"
    min_lr: float | None = None
    warmup: int | None = None
    clip: float = 1.0  # 0: never
    weight_decay: float = 0.0
    val_fraction: float = 0.0
    eval_every: int | None = None  # None: at the end
    sample_every: int | None = None  # None: at the end
    snapshots: int | None = None  # how many; None: none
    ngrams: int = 0  # the order of the n-grams that the network is interpolated with; 0: none
    seed: int = 1337
    dtype: str = "float32"
    replicas: int | None = None  # of the model, which train by themselves between meetings; None: no replicas
    local_steps: int | None = None  # of each replica from one meeting to the next
    outer_lr: float = 0.7  # of the step that replicas take when they meet
    outer_momentum: float = 0.7
    threads: int | None = None  # None: one for each shard, as far as there are cores; 1 for a small step
    memory_cap: str = "2GiB"
    out: str | None = None  # None: runs/<name of the file>
    weights: str | None = None  # --from: the run whose weights it begins with; None: drawn by the seed

    def __post_init__(self) -> None:
        check_bounds(self)
        for name, choices in (
            ("backend", BACKENDS),
            ("order", ORDERS),
            ("positions", POSITIONS),
            ("activation", ACTIVATIONS),
            ("attention_scale", ATTENTION_SCALES),
            ("init", INITS),
            ("schedule", SCHEDULES),
            ("dtype", DTYPES),
        ):
            one_of(name, getattr(self, name), choices)
        for name in ("file", "out", "weights"):
            if not _is_writable(getattr(self, name) or ""):
                raise MicrogptError(
                    f"the name {shown(getattr(self, name))} cannot be used: it holds a null character, or "
                    "bytes that are not UTF-8"
                )
        if self.stride is not None and self.stride > self.seq_len:
            raise MicrogptError(
                f"--stride {self.stride} would skip characters: it can be at most --seq-len, {self.seq_len}"
            )
        if self.eval_every is not None and self.val_fraction == 0:
            raise MicrogptError("--eval-every needs a text to evaluate on: add --val-fraction 0.1")
        if self.min_lr is not None and self.min_lr > self.rates.lr:
            raise MicrogptError(f"--min-lr {self.min_lr:g} is above --lr {self.rates.lr:g}")
        self._check_replicas()
        self.memory_cap_bytes  # noqa: B018  (raises if it is not a size)
        self.architecture(1)  # raises if the sizes make no model

    def _check_replicas(self) -> None:
        if self.local_steps is None and self.replicas is None:
            for name in ("outer_lr", "outer_momentum"):
                if getattr(self, name) != getattr(TrainConfig, name):
                    option = option_name(name)
                    raise MicrogptError(f"--{option} is for replicas: add --replicas and --local-steps")
        if self.local_steps is None and self.replicas is not None:
            raise MicrogptError(
                "--replicas needs --local-steps: the steps from one of their meetings to the next"
            )
        if self.local_steps is not None and self.replicas is None:
            raise MicrogptError(
                "--local-steps needs --replicas: how many train side by side; with mpiexec, one a process"
            )
        K = self.steps_at_once
        for name in ("steps", "eval_every", "sample_every"):
            value = getattr(self, name)
            if value is not None and value % K:
                below, above = value // K * K, -(-value // K) * K
                ways = f"{below:,} or {above:,}" if below else f"{above:,}"
                raise MicrogptError(
                    f"--{option_name(name)} {value:,} is no multiple of --local-steps {K:,}, so that the "
                    f"replicas do not meet there: take {ways}"
                )

    def architecture(self, vocabulary_size: int) -> Architecture:
        """The architecture of this run's model, for a text with this many distinct characters."""
        return Architecture(
            vocabulary_size=vocabulary_size,
            seq_len=self.seq_len,
            d_model=self.d_model,
            n_layers=self.n_layers,
            d_ff=self.d_ff or self.d_model,
            heads=parse_layout(self.heads, self.d_model, self.n_layers),
            positions=self.positions,
            activation=self.activation,
            token_shift=self.token_shift,
            attention_scale=self.attention_scale,
            dtype=self.dtype,
        )

    def resolved(self) -> TrainConfig:
        """The same run, with a value for every option that was left open to follow others."""
        return dataclasses.replace(
            self,
            heads=format_layout(parse_layout(self.heads, self.d_model, self.n_layers)),
            stride=self.stride or self.seq_len,
            d_ff=self.d_ff or self.d_model,
            out=self.out or str(self.default_out),
            **self.rates._asdict(),
        )

    def settled(self) -> TrainConfig:
        """The same run, with the values that it has taken of options that follow its
        sizes. So it can go on where other steps, or the rules of another version, would give it others."""
        taken: dict[str, Any] = {name: getattr(self.rates, name) for name in FOLLOWING_SIZES}
        return dataclasses.replace(self, **taken)

    def reopened(self) -> TrainConfig:
        """The same run, with each of those options left open that has the value of its rule."""
        followed: dict[str, Any] = {
            name: None
            for name in FOLLOWING_SIZES
            if getattr(self._without(name).rates, name) == getattr(self, name)
        }
        return dataclasses.replace(self, **followed)

    def _without(self, name: str) -> TrainConfig:
        left_open: dict[str, Any] = {name: None}
        return dataclasses.replace(self, **left_open)

    @cached_property
    def rates(self) -> Rates:
        """The rates of this run: those that were given, and for the others what follows from the sizes."""
        return rates(
            self.lr,
            self.min_lr,
            self.warmup,
            self.beta2,
            d_model=self.d_model,
            batch_size=self.batch_size,
            steps=self.steps,
            schedule=self.schedule,
        )

    @property
    def default_out(self) -> Path:
        """Where the results go if nothing else is said."""
        name = "standard-input" if self.file == "-" else Path(self.file).stem
        return Path("runs") / (name.strip(".") or "text")

    def n_shards(self, most: int) -> int:
        """The number of shards into which a backend that allows `most` shards cuts the batch."""
        return number_of_shards(self.batch_size, self.seq_len, most)

    @property
    def steps_at_once(self) -> int:
        """How many steps are taken as one: with replicas, those from one of their meetings to the next."""
        return self.local_steps or 1

    @property
    def memory_cap_bytes(self) -> int | None:
        """The cap in bytes; None for '0' or 'none'."""
        return parse_size(self.memory_cap)

    def learning_rate(self, step: int) -> float:
        """The rate of a step, from 0: a linear warm-up, then constant, or down to min_lr: in a straight line,
        or in half a cosine."""
        highest, lowest, warmup, _ = self.rates
        if step < warmup:
            return highest * (step + 1) / (warmup + 1)
        if self.schedule == "constant":
            return highest
        progress = min(1.0, (step - warmup) / max(1, self.steps - warmup))
        left = 1 - progress if self.schedule == "linear" else 0.5 * (1 + math.cos(math.pi * progress))
        return lowest + left * (highest - lowest)


# Options that there were not in older versions, as those versions did it
BEFORE: dict[str, Any] = {
    "init": "small",
    "activation": "relu",
    "token_shift": False,
    "attention_scale": "sqrt",
    "replicas": None,
    "local_steps": None,
    "outer_lr": 0.7,
    "outer_momentum": 0.7,
}
# What is in the config.toml of every run. Where it is, and one of those options is not, an older version
# wrote the file. The versions without `init` also wrote down the rates, which later ones leave open.
_EVERY_RUN_WROTE = frozenset({"batch_size", "order", "positions", "schedule", "clip", "dtype", "memory_cap"})
_WRITTEN_WITHOUT = {
    "init": _EVERY_RUN_WROTE | {"lr", "beta2", "warmup"},
    "activation": _EVERY_RUN_WROTE,
    "token_shift": _EVERY_RUN_WROTE,
    "attention_scale": _EVERY_RUN_WROTE,
}

# The options that decide what the weights are and mean, so they cannot change later.
SIZES = frozenset(field.name for field in dataclasses.fields(Architecture)) - {"vocabulary_size"}


def parse_size(text: str) -> int | None:
    """'2GiB', '500 MB', '1e9' -> bytes; '0' and 'none' -> None, no limit."""
    if text.strip().lower() in ("0", "none"):
        return None
    match = re.fullmatch(r"\s*([\d.]+(?:e\d+)?)\s*([kmgt]?)(i?)b?\s*", text, re.IGNORECASE)
    try:
        number = float(match[1]) if match else 0.0
    except ValueError:
        number = 0.0
    if not match or not 0 < number < 1e15:
        raise MicrogptError(f"--memory-cap {shown(text)} is not a size; write it like 2GiB, 500MB, or none")
    return int(number * (1024 if match[3] else 1000) ** " kmgt".index(match[2].lower() or " "))


def toml_values(path: Path, what: str, kind: str) -> dict[str, Any]:
    """What is in a TOML file. Raises MicrogptError, which says that `what` cannot be read, or that there is
    no file of this kind."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise MicrogptError(f"there is no {kind} {shown_path(path)}") from None
    except OSError as error:
        raise MicrogptError(f"cannot read {what} {shown_path(path)}: {error.strerror}") from None
    except ValueError as error:  # not UTF-8, not TOML, or a number of thousands of digits
        raise MicrogptError(
            f"{shown_path(path)} is not valid TOML: {str(error).splitlines()[0][:200]}"
        ) from None
    except RecursionError:
        raise MicrogptError(
            f"{shown_path(path)} is not valid TOML: its brackets are nested too deep"
        ) from None


def read_toml(path: Path) -> dict[str, Any]:
    """The options that a TOML file sets, checked by name and type."""
    values = toml_values(path, "the configuration", "configuration file")
    options = checked(TrainConfig, values, str(path), HINTS)
    # a run of version 0.1 wrote down its own directory, which is no other run's
    if "out" in options and Path(options["out"]).absolute() == path.absolute().parent:
        del options["out"]
    for name, others in _WRITTEN_WITHOUT.items():
        if name not in options and options.keys() >= others:
            options[name] = BEFORE[name]
    return options


def to_toml(config: TrainConfig) -> str:
    """The configuration as TOML, for other runs to begin with. Options that were left open stay open, and
    follow the options that they depend on; the run's own directory is left out."""
    import tomli_w

    options = dataclasses.asdict(dataclasses.replace(config, out=None))
    left_open = [name for name, value in options.items() if value is None and name != "out"]
    resolved = dataclasses.asdict(config.resolved())
    comments = [f"# {name} = {_rounded(resolved[name])}" for name in left_open if resolved[name] is not None]
    given = tomli_w.dumps({name: value for name, value in options.items() if value is not None})
    return given + "".join(
        ["# left open, to follow the others; in this run:\n", *(f"{line}\n" for line in comments)]
    )


def _rounded(value: object) -> object:
    return f"{value:.6g}" if isinstance(value, float) else value


def _is_writable(name: str) -> bool:
    """Whether a configuration file can hold this name, and a directory a file that is called so."""
    return "\0" not in name and not any("\ud800" <= character <= "\udfff" for character in name)
