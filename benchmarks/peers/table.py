"""What was measured, as a table or as lines of JSON."""

from __future__ import annotations

import json
import platform
import statistics
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any

from microgpt.machine.processor import processor_name

from .problem import Problem
from .systems import GPU_SYSTEMS, PEAK, PEAK_SIZE, SYSTEMS, ours_beside

THREADS = (
    "n threads: the process may use n cores (by affinity, where the operating system has it), and every "
    "library is told to use n threads; ours shares out whole sequences among them"
)
LIBRARIES = ("numpy", "scipy", "numba", "torch", "jax")


@dataclass
class Rates:
    """The rate of one system in each round, at one size on a number of threads; or why there is none."""

    size: str
    system: str
    threads: int
    rates: list[float] = field(default_factory=list)
    reason: str | None = None

    @property
    def median(self) -> float | None:
        return statistics.median(self.rates) if self.rates else None


def figures(row: Rates, rows: list[Rates], flops: int) -> dict[str, Any]:
    """A row's rates, and their ratios to those of the other rows of its size."""

    def of(system: str, threads: int) -> float | None:
        return next((r.median for r in rows if (r.system, r.threads) == (system, threads)), None)

    def ratio(above: float | None, below: float | None) -> float | None:
        return above / below if above and below else None

    mine = row.median
    gflops = mine and mine * (2 * PEAK_SIZE**3 if row.system == "sgemm" else flops) / 1e9
    peak = of("sgemm", row.threads)
    return {
        "size": row.size,
        "system": row.system,
        "threads": row.threads,
        "steps_per_s": mine,
        "min": min(row.rates, default=None),
        "max": max(row.rates, default=None),
        "ours_is_times_as_fast": None
        if row.system == "sgemm"
        else ratio(of(ours_beside(row.system), row.threads), mine),
        "gflops": gflops,
        "of_peak": ratio(gflops, peak and peak * 2 * PEAK_SIZE**3 / 1e9),
        "times_one_thread": ratio(mine, of(row.system, 1)) if row.threads > 1 else None,
        "reason": row.reason,
    }


def show(rows: list[Rates], problem: Problem, *, as_json: bool) -> None:
    """Print the rows of one size."""
    everything = [figures(row, rows, problem.flops) for row in rows]
    if as_json:
        for values in everything:
            print(json.dumps(values), flush=True)
        return
    config, architecture = problem.config, problem.architecture
    print(
        f"\n{rows[0].size}: batch {config.batch_size}, T {architecture.seq_len}, "
        f"d_model {architecture.d_model}, {architecture.n_layers} layers, d_ff {architecture.d_ff}, "
        f"{problem.n_heads} heads; {problem.flops / 1e6:,.1f} MFLOP a step"
    )
    print(
        f"{'system':<22} {'threads':>7} {'steps/s':>9} {'min to max':>19} {'ours is':>8} "
        f"{'GFLOP/s':>8} {'of peak':>8} {'of 1 thread':>12}"
    )
    for v in everything:
        start = f"{v['system']:<22} {v['threads']:>7} "
        if v["reason"]:
            print(f"{start}  {v['reason']}")
            continue
        spread = f"{number(v['min'])} to {number(v['max'])}"
        print(
            f"{start}{number(v['steps_per_s']):>9} {spread:>19} "
            f"{number(v['ours_is_times_as_fast'], 'x'):>8} {number(v['gflops']):>8} "
            f"{'' if v['of_peak'] is None else format(v['of_peak'], '.0%'):>8} "
            f"{number(v['times_one_thread'], 'x'):>12}",
            flush=True,
        )


def number(value: float | None, unit: str = "") -> str:
    """The number with three digits, or with all digits before the point if there are more."""
    if value is None:
        return ""
    return f"{value:,.{0 if value >= 100 else 1 if value >= 10 else 2}f}{unit}"


def machine() -> dict[str, str]:
    """The machine on which the rates were measured."""
    versions = {"machine": processor_name(), "python": platform.python_version()}
    for library in LIBRARIES:
        try:
            versions[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            versions[library] = "not installed"
    return versions


def notes(systems: list[str]) -> str:
    """How the systems were set up."""
    known = SYSTEMS | GPU_SYSTEMS | {"sgemm": PEAK}
    lines = [f"{name:<22} {known[name].note}" for name in systems]
    return "\n".join(["", THREADS, "", *lines])
