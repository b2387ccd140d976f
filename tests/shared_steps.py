"""Training steps of many kinds, alone or in the processes that mpiexec starts; what each one comes to.

`python shared_steps.py EVERY DIRECTORY THREADS...` takes every EVERY-th kind, and writes
DIRECTORY/RANK-THREADS.json for each number of threads.
"""

import hashlib
import itertools
import json
import sys
from pathlib import Path

STEPS = 50
KINDS = list(
    itertools.product((1, 2, 5, 7, 8, 32, 64), ("crystal", "openblas"), ("float32", "float64"))
)  # batch size, backend, dtype


def main():
    from microgpt.machine.team import joined

    team = joined()
    import numpy as np

    from microgpt.model import shards

    shards.LEAST_ROWS = 1  # a shard for each sequence, up to 64
    ids = np.random.default_rng(1).integers(0, 11, 2000).astype(np.uint8)
    every, directory, *numbers = sys.argv[1:]
    for threads in map(int, numbers):
        found = {named(kind): come_to(*kind, threads, ids, team) for kind in KINDS[:: int(every)]}
        file = Path(directory) / f"{0 if team is None else team.rank}-{threads}.json"
        file.write_text(json.dumps(found))


def named(kind):
    return " ".join(map(str, kind))


def come_to(batch_size, backend, dtype, threads, ids, team):
    """The losses after some steps, and a hash of them, of the weights and of Adam's moments."""
    from microgpt.config import TrainConfig
    from microgpt.machine.backends import load_backend
    from microgpt.machine.budget import Budget
    from microgpt.model.placed import place
    from microgpt.training.trainer import Trainer

    config = TrainConfig(
        file="no file", backend=backend, dtype=dtype, batch_size=batch_size, seq_len=8, d_model=8, n_layers=1,
        heads="1+2+5", order="shuffled", weight_decay=0.1, steps=STEPS, threads=threads,
    )  # fmt: skip
    k = load_backend(backend)
    trainer = Trainer(place(k, config.architecture(11), Budget(None)), config, ids, team)
    k.set_threads(trainer.n_threads)
    if team is not None and not team.leads:
        assert team.next_order() == STEPS
    losses = trainer.advance(STEPS)
    parts = (losses.loss, losses.grad_norm, *map(trainer.host, ("param", "m", "v")))
    digest = hashlib.sha256(b"".join(part.tobytes() for part in parts))
    return [float(losses.loss[0]), float(losses.loss[-1]), trainer.state.sharing.n_shards, digest.hexdigest()]


if __name__ == "__main__":
    main()
