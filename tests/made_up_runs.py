"""Directories of runs that nobody has trained: an option file, and logs of made-up losses."""

import json

from microgpt.config import TrainConfig, to_toml
from microgpt.training.logs import SAMPLE_LENGTH

OPTIONS = {"steps": 100, "d_model": 16, "n_layers": 1, "seq_len": 8, "batch_size": 2, "val_fraction": 0.1}
START = {
    "step": 0, "elapsed_s": 0.0, "at": "2026-11-29T06:04:10+0000", "characters": 1000, "vocabulary": 20,
    "parameters": 900, "uniform_entropy": 2.996, "unigram_entropy": 2.7, "bigram_entropy": 2.1,
    "known_entropy": None, "threads": 1, "processor": "a processor", "microgpt": "0.1.0",
}  # fmt: skip


def report(step, **others):
    """A line of metrics.jsonl, with an evaluation each 20 steps."""
    loss = 1 + 2 / step
    return {
        "step": step,
        "chars": 16 * step,
        "loss": loss,
        "smoothed_loss": loss + 0.5,
        "val_loss": loss + 0.1 if step % 20 == 0 else None,
        "lr": 0.01,
        "grad_norm": 0.5 + 1 / step,
        "chars_per_s": 2000.0,
        "elapsed_s": step / 125,
    } | others


def write_run(
    directory, reported=range(5, 101, 5), starts=(START,), samples=((50, "half"), (100, "done")), **options
):
    """Write the files of a run with these reports; returns the directory."""
    directory.mkdir(parents=True)
    config = TrainConfig(file="text.txt", **OPTIONS | options)
    (directory / "config.toml").write_text(to_toml(config), encoding="utf-8")
    lines = {"metrics": map(report, reported), "starts": starts}
    for name, of in lines.items():
        text = "".join(json.dumps(line) + "\n" for line in of)
        (directory / f"{name}.jsonl").write_text(text, encoding="utf-8")
    texts = "".join(f"--- step {step}\n{text:<{SAMPLE_LENGTH}}\n" for step, text in samples)
    (directory / "samples.txt").write_bytes(texts.encode())
    return directory
