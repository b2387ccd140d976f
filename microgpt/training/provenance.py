"""What a run began with, for a line of starts.jsonl: its text, its machine and its versions."""

from __future__ import annotations

import platform
import time
from types import ModuleType
from typing import Any

import numpy as np

from microgpt import __version__
from microgpt.machine.cores import available_cores
from microgpt.machine.processor import processor_name
from microgpt.training.reporter import Summary


def provenance(summary: Summary, k: ModuleType, elapsed: float) -> dict[str, Any]:
    """The entries of the line, of a run with the backend k that has trained for `elapsed` seconds before."""
    return {
        "step": summary.step,
        "elapsed_s": elapsed,
        "at": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "characters": summary.characters,
        "validation_characters": summary.validation_characters,
        "vocabulary": summary.vocabulary,
        "parameters": summary.parameters,
        "uniform_entropy": summary.uniform_entropy,
        "unigram_entropy": summary.unigram_entropy,
        "bigram_entropy": summary.bigram_entropy,
        "known_entropy": summary.known_entropy,
        "processes": summary.processes,
        "threads": summary.threads,
        "shards": summary.shards,
        "memory": summary.memory,
        "processor": processor_name(),
        "cores": available_cores(),
        "system": f"{platform.system()} {platform.machine()}",
        "backend": k.describe(),
        "microgpt": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
    }
