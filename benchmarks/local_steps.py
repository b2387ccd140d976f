"""What a model learns from replicas that seldom meet, beside one model that takes the same characters.

    python -m benchmarks.local_steps TEXT [--replicas 8] [--steps 3000] [--seeds 5] [--momentum 0.7]
                                     [--local-steps 30,100,500] [--json]

For each seed a model is trained with batches of 8 times the number of replicas, and then that number of
replicas with batches of 8: both take the same steps, a multiple of all K, and the same characters. Each has
the learning rate that the rule gives for its batch. The figures are the losses of the held-out tenth of the
text, and for the replicas by what part they are above the one model of the same seed: its mean over the
seeds, with a 95% confidence interval (Student's t).
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scipy.stats import t as student_t

import microgpt

BATCH_SIZE = 8  # of a replica
SIZE: dict[str, Any] = {"seq_len": 32, "heads": "4x16", "val_fraction": 0.1, "threads": 1}


def main() -> None:
    given = _arguments()
    each = [int(K) for K in given.local_steps.split(",")]
    multiple = math.lcm(*each)
    steps = max(multiple, given.steps // multiple * multiple)
    ways: dict[str, dict[str, Any]] = {
        f"K {K}, momentum {momentum:g}": {
            "replicas": given.replicas,
            "local_steps": K,
            "outer_momentum": momentum,
            "batch_size": BATCH_SIZE,
        }
        for K in each
        for momentum in map(float, given.momentum.split(","))
    }
    ways = {"one model": {"batch_size": BATCH_SIZE * given.replicas}, **ways}
    losses: dict[str, list[float]] = {name: [] for name in ways}
    for seed in range(1, given.seeds + 1):
        for name, options in ways.items():
            loss = loss_of(given.text, seed, steps=steps, **options)
            losses[name].append(loss)
            if given.json:
                print(json.dumps({"way": name, "seed": seed, "nats_per_character": loss}), flush=True)
    if not given.json:
        print("\n".join(table(losses)))


def loss_of(text: Path, seed: int, **options: Any) -> float:
    """The loss of the held-out part after training, in nats per character."""
    model = microgpt.train(text, seed=seed, last=True, **SIZE | options)
    loss: float = model.notes["val_loss"]
    return loss


def table(losses: dict[str, list[float]]) -> list[str]:
    """The lines, in Markdown; the first row is what the others are compared with."""
    first, *_ = losses.values()
    lines = ["| way | loss | above one model |", "| --- | --- | --- |"]
    for name, values in losses.items():
        above = [100 * (value / base - 1) for value, base in zip(values, first, strict=True)]
        cell = "" if values is first else _with_interval(above)
        lines.append(f"| {name} | {statistics.fmean(values):.4f} | {cell} |")
    return lines


def _with_interval(values: Sequence[float]) -> str:
    """Their mean in percent, with the borders of its interval."""
    mean, n = statistics.fmean(values), len(values)
    if n == 1:
        return f"{mean:+.2f}%"
    half = student_t.ppf(0.975, n - 1) * statistics.stdev(values) / n**0.5
    return f"{mean:+.2f}% ({mean - half:+.2f} to {mean + half:+.2f})"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.local_steps")
    parser.add_argument("text", type=Path)
    parser.add_argument("--replicas", type=int, default=8)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--local-steps", default="30,100,500")
    parser.add_argument("--momentum", default="0.7")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
