"""A run so small that a thousand of them are over soon, with evaluations, samples and epochs as any run."""

from __future__ import annotations

import json
from pathlib import Path

TEXT = "the cat sat on the mat; a dog ate the hat.\n" * 12
OPTIONS = (
    "--recipe", "plain", "--backend", "reference", "--seq-len", "10", "--batch-size", "2", "--d-model", "6",
    "--heads", "1+2+3", "--n-layers", "1", "--order", "shuffled", "--schedule", "cosine", "--lr", "0.01",
    "--weight-decay", "0.1", "--steps", "60", "--val-fraction", "0.1", "--eval-every", "13",
    "--sample-every", "17",
)  # fmt: skip
WEIGHTS = ("model.safetensors", "best.safetensors", "optimizer.safetensors")
TIMES = ("chars_per_s", "elapsed_s")


def write_text(folder: Path) -> Path:
    """The text, in a folder of its own."""
    file = folder / "text.txt"
    file.write_text(TEXT)
    return file


def contents(run: Path) -> dict[str, object]:
    """All that two runs with equal options have in common."""
    reports = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return {
        **{name: (run / name).read_bytes() for name in WEIGHTS},
        "samples.txt": (run / "samples.txt").read_text(),
        "metrics.jsonl": [{k: v for k, v in report.items() if k not in TIMES} for report in reports],
    }
