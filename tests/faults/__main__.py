"""All faults in their full numbers: python -m tests.faults [NAME ...] [--tries N] [--seed S]"""

from __future__ import annotations

import argparse
import importlib
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

# what, and how often
FAULTS = {
    "kills": 1000,
    "checkpoints": 20_000,
    "texts": 2000,
    "options": 5000,
    "signals": 500,
    "races": 50,
    "race_kills": 200,
    "rank_kills": 50,
    "caches": 50,
    "full_disks": 100,
    "kernels": 100_000,
    "soak": 60,  # minutes
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"some of {', '.join(FAULTS)}; all without")
    parser.add_argument("--tries", type=int, help="how often, instead of the full number")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(FAULTS)
    if unknown:
        parser.error(f"there is no {', '.join(sorted(unknown))}")
    for name in arguments.names or FAULTS:
        begun = time.monotonic()
        fault = importlib.import_module(f"faults.{name}")
        with tempfile.TemporaryDirectory() as folder:
            said = fault.run(arguments.tries or FAULTS[name], arguments.seed, Path(folder))
        print(f"{name:<12} {time.monotonic() - begun:6.0f} s  {said}", flush=True)


if __name__ == "__main__":
    main()
