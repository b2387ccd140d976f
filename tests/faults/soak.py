"""A run with samples and evaluations for as long as an hour: its memory, files and threads do not grow."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any

from hearing import hear_signals

from faults.small import write_text

# after so much of the time everything that a run needs is there
WARM = 0.2
TOLERANCE = 4 << 20  # bytes


class Silent:
    """A reporter that notes what the process has, and presses Ctrl-C when the time is over."""

    def __init__(self, seconds: float) -> None:
        self.begun, self.seconds = time.monotonic(), seconds
        self.seen: list[tuple[float, int, int, int]] = []

    def advanced(self, metrics: dict[str, Any]) -> None:
        import signal

        passed = time.monotonic() - self.begun
        if not self.seen or passed > self.seen[-1][0] + self.seconds / 200:
            with open("/proc/self/statm", encoding="ascii") as file:
                pages = int(file.read().split()[1])
            files = len(os.listdir("/proc/self/fd"))
            self.seen.append((passed, pages * os.sysconf("SC_PAGE_SIZE"), files, threading.active_count()))
        if passed > self.seconds:
            signal.raise_signal(signal.SIGINT)

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments: None


def run(tries: int, seed: int, folder: Path) -> str:
    """`tries` are minutes here. Raises AssertionError; what was done, in a sentence."""
    from microgpt.config import TrainConfig
    from microgpt.training import output
    from microgpt.training.train import train

    hear_signals()
    os.chdir(folder)
    write_text(folder)
    output.CHECKPOINT_SECONDS = 1.0
    reporter = Silent(60.0 * tries)
    config = TrainConfig(
        file="text.txt", seq_len=16, d_model=16, batch_size=4, steps=1_000_000_000, val_fraction=0.1,
        eval_every=1000, sample_every=5000, out="run", threads=2, seed=seed, lr=3e-4,
        schedule="constant",
    )  # fmt: skip
    result = train(config, reporter)  # type: ignore[arg-type]
    settled = [row for row in reporter.seen if row[0] > WARM * reporter.seconds]
    first, last = settled[0], settled[-1]
    assert last[1] - first[1] < TOLERANCE, (first, last)
    assert last[2:] == first[2:], (first, last)
    return (
        f"{tries} minutes, {result.step:,} steps: {first[1] / 2**20:.1f} MiB after a fifth of it and "
        f"{last[1] / 2**20:.1f} MiB at the end, {last[2]} files, {last[3]} threads"
    )
