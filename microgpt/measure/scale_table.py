"""What `microgpt bench --scale` prints: the speed on more cores, and from which batch on they help."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from microgpt.config import TrainConfig
from microgpt.console import Display
from microgpt.errors import MicrogptError, UsageError
from microgpt.machine.backends import Listener, load_backend
from microgpt.machine.team import Team
from microgpt.measure.bench import read_ids
from microgpt.measure.scale import MARGIN, Rung, Scale, Speed, Turning, on_all
from microgpt.model.heads import format_layout
from microgpt.recipes import RECIPES
from microgpt.terminal import interruption
from microgpt.training.reporter import Silent


def show(
    steps: int, file: Path | None, backend: str | None, heads: str | None, team: Team | None, *,
    as_json: bool, **options: Any,
) -> None:  # fmt: skip
    """Print what was measured; only the first process prints.

    Raises UsageError and MicrogptError; on the other processes SystemExit in their place.
    """
    if team is None:
        _show(steps, file, backend, heads, None, as_json=as_json, **options)
        return
    if not team.leads:
        interruption.ignore()  # mpiexec tells all processes of Ctrl-C, and ends them with the first one
    failed: MicrogptError | None = None  # on all processes, or on none
    with team.ending_together():
        try:
            _show(steps, file, backend, heads, team, as_json=as_json, **options)
        except MicrogptError as error:
            failed = error
    if failed is not None:
        if team.leads:
            raise failed
        raise SystemExit(failed.exit_code)


def _show(
    steps: int, file: Path | None, backend: str | None, heads: str | None, team: Team | None, *,
    as_json: bool, **options: Any,
) -> None:  # fmt: skip
    scale = _prepared(steps, file, backend, heads, team, options)
    config = scale.config
    sizes = {"B": config.batch_size, **scale.architecture.sizes}
    n_shards = scale.n_shards(config.batch_size)
    rungs = [rung for rung in scale.rungs if rung.cores <= n_shards]
    leads = team is None or team.leads

    def tell(line: str) -> None:
        if leads:
            print(line, flush=True)

    speeds = scale.speeds(config.batch_size, rungs)
    if as_json:
        for speed in speeds:
            tell(json.dumps(asdict(speed)))
    else:
        what = " ".join(f"{letter}{sizes[letter]}" for letter in "BTCLFV")
        tell(f"{config.backend}, {config.dtype}, {what}, heads {format_layout(scale.architecture.heads)}")
        for line in table(speeds):
            tell(line)
        if len(rungs) < len(scale.rungs):
            shards = f"{n_shards} shard{'s' * (n_shards > 1)}"
            tell(f"a batch of {config.batch_size} has {shards}, and more cores have nothing to do")
        if len(scale.rungs) > 1:
            tell(f"\nthe batch size from which on a step is at least {MARGIN} times as fast:")
    for turning in scale.turnings():
        if leads:  # no other process knows the speed-up
            tell(json.dumps(asdict(turning)) if as_json else sentence(turning))


def _prepared(
    steps: int, file: Path | None, backend: str | None, heads: str | None, team: Team | None,
    options: dict[str, Any],
) -> Scale:  # fmt: skip
    if options["threads"] is not None:
        raise UsageError("--scale measures 1, 2, 4 ... threads: leave --threads away")
    name = backend or TrainConfig.backend
    try:
        given = {
            "file": str(file or "tales"),
            "heads": heads or TrainConfig.heads,
            "backend": name,
            **options,
        }
        # with a rate of 0 no weight changes, so nothing can stop being finite
        config = TrainConfig(**RECIPES["plain"] | given | {"lr": 0.0})
    except MicrogptError as error:
        raise UsageError(str(error)) from None
    listener: Listener = Display() if team is None or team.leads else Silent()
    k = on_all(team, lambda: load_backend(name, listener))
    if k.max_shards() == 1:
        raise UsageError(f"--scale measures threads, and {name} has none")
    ids, n_characters = on_all(team, lambda: read_ids(file))
    return Scale(config, k, ids, n_characters, steps, team, listener)


def table(speeds: list[Speed]) -> Iterator[str]:
    """The lines for a terminal."""
    yield f"{'processes':>9} {'threads':>7} {'steps/s':>9} {'speedup':>7} {'efficiency':>10} {'exchange':>18}"
    for s in speeds:
        exchange = "" if s.processes == 1 else f"{s.exchange_us:,.0f} us, {s.exchange_share:.0%}"
        yield (
            f"{s.processes:>9} {s.threads:>7} {s.steps_per_s:>9,.1f} {s.speedup:>7.2f} {s.efficiency:>10.0%} "
            f"{exchange:>18}".rstrip()
        )


def sentence(t: Turning) -> str:
    """The result of one search."""
    more, fewer = Rung(t.processes, t.threads), Rung(t.fewer_processes, t.fewer_threads)
    if t.helps_from is None:
        found = f"none up to {t.largest:,}; {t.limit}"
    else:
        found = f"{t.helps_from:,} ({t.speedup:.2f} times as fast)"
    return f"  on {more} instead of {fewer}: {found}"
