"""The record table of docs/records.md: what is reached on the last tenth of tinyshakespeare, and how soon.

    python -m benchmarks.records TEXT [--seeds 5] [--only NAME,...] [--seconds 60,...]

Every row is `microgpt train TEXT --minutes ...` with the options of one of the RECORDS, once for each seed.
Machines differ, so the seconds are those of a machine whose OpenBLAS does 100 GFLOP/s on one core: the rate
of this machine's OpenBLAS is measured, and a run is given 100 / rate of a second here for each of them. What
a row says that its runs took is converted back in the same way. Compilation is not counted; counting n-grams
and judging the model are.

The loss is that of the whole last tenth after the last step. It is looked at only then, except that of a
model with n-grams one number, their weight, is fitted on it. A row is a record where its mean is lower than
that of the row before by so much that (before - mean) * sqrt(seeds) >= 3.09 standard deviations, the larger
one of both rows': by chance that happens once in a thousand times (the rule of modded-nanogpt).
"""

from __future__ import annotations

import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from threadpoolctl import threadpool_limits

from microgpt.checkpoint.saved import load_state
from microgpt.errors import MicrogptError, UsageError
from microgpt.machine.cores import available_cores

from .peers import peak
from .peers.problem import Problem
from .peers.systems import PEAK_SIZE

GFLOPS = 100.0  # of one core of the machine whose seconds are told
CORES = 2
SIGMAS = 3.09

# by name: what was changed, and the options that say so
BY_HAND = "--heads 5x16 --d-model 80 --n-layers 4 --d-ff 320 --seq-len 128 --batch-size 8 --weight-decay 0.1"
RELU = "--ngrams 0 --activation relu --no-token-shift"
RECORDS = {
    "by-hand": f"{RELU} --init small --schedule cosine --min-lr 0 --lr 0.004 {BY_HAND}",
    "relu": RELU,
    "squared": "--ngrams 0 --no-token-shift",
    "network": "--ngrams 0",
    "minutes": "",
}


@dataclass(frozen=True)
class Run:
    """How one run ended."""

    loss: float  # of the held-out text, in nats per character
    seconds: float  # here
    steps: int
    tflop: float  # in matrix products
    model: str


def rate() -> float:
    """The GFLOP/s of this machine's OpenBLAS on one core: the median of a second."""
    if "OPENBLAS_CORETYPE" in os.environ:
        raise UsageError("OPENBLAS_CORETYPE slows OpenBLAS down, by which this machine is measured: unset it")
    problem = Problem(Path(), {})
    rates = []
    with threadpool_limits(limits=1):
        advance = peak.program(problem, 1, "").advance
        advance(2)
        end = time.perf_counter() + 1
        while time.perf_counter() < end:
            begin = time.perf_counter()
            advance(1)
            rates.append(2 * PEAK_SIZE**3 / 1e9 / (time.perf_counter() - begin))
    return statistics.median(rates)


def train(text: Path, options: str, seconds: float, seed: int) -> Run:
    """One run of `microgpt train`, for so many seconds here."""
    with tempfile.TemporaryDirectory() as work:
        out = Path(work) / "run"
        command = [sys.executable, "-m", "microgpt", "train", str(text), "--minutes", repr(seconds / 60)]
        command += [
            "--seed",
            str(seed),
            "--val-fraction",
            "0.1",
            *options.split(),
            "--out",
            str(out),
            "--json",
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise MicrogptError(f"{' '.join(command)}: {done.stderr.strip()}")
        result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        state = load_state(out)
    config, architecture = state.config, state.architecture
    return Run(
        loss=result["val_loss"],
        seconds=result["elapsed_s"],
        steps=config.steps,
        tflop=config.steps * architecture.flop_per_step(config.batch_size) / 1e12,
        model=f"B{config.batch_size} T{config.seq_len} C{config.d_model} L{config.n_layers} "
        f"F{architecture.d_ff}",
    )


@dataclass(frozen=True)
class Row:
    """All runs of a record for one time; seconds as the table has them."""

    name: str
    runs: list[Run]
    rate: float  # GFLOP/s, of this machine while they ran

    @property
    def losses(self) -> list[float]:
        return [run.loss for run in self.runs]

    @property
    def mean(self) -> float:
        return statistics.mean(self.losses)

    @property
    def deviation(self) -> float:
        return statistics.stdev(self.losses)

    @property
    def seconds(self) -> float:
        return statistics.mean(run.seconds for run in self.runs) * self.rate / GFLOPS

    def is_below(self, before: Row) -> bool:
        """Whether it is a record where `before` was the last one."""
        deviation = max(self.deviation, before.deviation)
        return (before.mean - self.mean) * math.sqrt(len(self.runs)) >= SIGMAS * deviation

    def __str__(self) -> str:
        steps, tflop = (
            statistics.mean(getattr(run, name) for run in self.runs) for name in ("steps", "tflop")
        )
        return (
            f"| {self.seconds:.1f} | {self.name} | {self.runs[0].model} | {self.mean:.4f} "
            f"| {self.deviation:.4f} | {len(self.runs)} | {steps:,.0f} | {tflop:.2f} | {self.rate:.0f} |"
        )


HEADING = (
    "| seconds | record | model | mean loss | deviation | seeds | steps | TFLOP | GFLOP/s of a core here |\n"
    "|---|---|---|---|---|---|---|---|---|"
)


def measure(text: Path, name: str, seconds: float, seeds: int) -> Row:
    before = rate()
    runs = [train(text, RECORDS[name], seconds * GFLOPS / before, seed) for seed in range(1, seeds + 1)]
    return Row(name, runs, (before + rate()) / 2)


def main(
    text: Annotated[Path, typer.Argument(help="Tinyshakespeare: `microgpt corpus shakespeare` brings it.")],
    seeds: Annotated[int, typer.Option(min=2, help="Runs for each row.")] = 5,
    only: Annotated[str, typer.Option(help="Which records.", show_default="all")] = ",".join(RECORDS),
    seconds: Annotated[str, typer.Option(help="How long the runs are, each in rows of its own.")] = "60",
) -> None:
    """Run the records again, and print the rows of the table."""
    try:
        names, times = only.split(","), [float(number) for number in seconds.split(",")]
        if unknown := set(names) - RECORDS.keys():
            raise UsageError(f"--only: there is no {min(unknown)!r}; there are {', '.join(RECORDS)}")
        if available_cores() < CORES:
            raise UsageError(f"the records are those of {CORES} cores; this machine has {available_cores()}")
        print(HEADING)
        for time_given in times:
            last: Row | None = None
            for name in names:
                row = measure(text, name, time_given, seeds)
                print(row, "a record" if last is not None and row.is_below(last) else "", flush=True)
                last = row
    except MicrogptError as error:
        print(f"records: {error}", file=sys.stderr)
        raise typer.Exit(error.exit_code) from None


if __name__ == "__main__":
    typer.run(main)
