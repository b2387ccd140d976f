"""Replicas: what they do by themselves, what they agree on, and that nothing depends on who computes it."""

import dataclasses
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from microgpt_kernels import load
from reporters import Silent
from support import CPU_BACKENDS

from microgpt.checkpoint.saved import load_state
from microgpt.checkpoint.writing import save_state
from microgpt.config import TrainConfig
from microgpt.errors import MicrogptError, NotFiniteError
from microgpt.machine.budget import Budget
from microgpt.model.placed import place
from microgpt.recipes import RECIPES
from microgpt.text.reading import Text
from microgpt.text.vocabulary import Vocabulary
from microgpt.training.replicas import AVERAGED, Replicas
from microgpt.training.run import Run
from microgpt.training.trainer import LOG_SLOTS, Trainer

LETTERS = "abcdefghijk"
V = len(LETTERS)
IDS = np.random.default_rng(0).integers(0, V, 400).astype(np.uint8)
SMALL = RECIPES["plain"] | {
    "file": "x", "seq_len": 8, "d_model": 12, "heads": "1+4+7", "threads": 1, "lr": 0.01, "batch_size": 2,
    "steps": 30, "backend": "reference", "replicas": 3, "local_steps": 5, "order": "shuffled",
}  # fmt: skip


def made(kind=Replicas, ids=IDS, cap=None, **options):
    config = TrainConfig(**SMALL | options)
    k = load(config.backend)
    k.set_threads(config.threads)
    return kind(place(k, config.architecture(V), Budget(cap)), config, ids)


def trained(replicas, n):
    """The losses of n more steps, in pieces of different lengths."""
    losses = []
    while sum(map(len, losses)) < n:
        losses.append(replicas.advance(3).loss)
    return np.concatenate(losses)


def test_a_round_is_steps_of_adam_and_one_common_step():
    """Two rounds, against replicas that are trained one by one and averaged here."""
    replicas = made(dtype="float64")
    losses = trained(replicas, 10)
    alone = [made(Trainer, IDS[low:high], dtype="float64") for low, high in pairwise([0, 133, 266, 400])]
    param = alone[0].host("param").copy()
    m = v = velocity = np.zeros_like(param)
    expected = []
    for done in (0, 5):
        for trainer in alone:
            for name, values in zip(AVERAGED, (param, m, v), strict=True):
                trainer.buffers[name][:] = values
            trainer.continue_from(done)
        expected += [np.mean([trainer.advance(5).loss for trainer in alone], axis=0)]
        mean, m, v = (np.mean([trainer.host(name) for trainer in alone], axis=0) for name in AVERAGED)
        velocity = 0.7 * velocity + (param - mean)
        param = param - 0.7 * ((param - mean) + 0.7 * velocity)
    assert np.allclose(losses, np.concatenate(expected), rtol=1e-12)
    for name, values in {"param": param, "m": m, "v": v, "velocity": velocity}.items():
        assert np.abs(values).max() > 0
        assert np.abs(replicas.host(name) - values).max() < 1e-10, name
    assert replicas.placed.param is replicas.buffers["param"]


def test_the_common_step_is_pytorchs_gradient_descent_with_nesterovs_momentum():
    torch = pytest.importorskip("torch")
    replicas = made(outer_lr=0.4, outer_momentum=0.8, dtype="float64")
    theta = torch.nn.Parameter(torch.tensor(replicas.host("param").copy()))
    judge = torch.optim.SGD([theta], lr=0.4, momentum=0.8, nesterov=True)
    for _ in range(3):
        trained(replicas, 5)
        mean = np.mean([trainer.host("param") for trainer in replicas.trainers], axis=0)
        theta.grad = theta.detach() - torch.tensor(mean)
        judge.step()
        assert np.abs(theta.detach().numpy() - replicas.host("param")).max() < 1e-14


def test_one_replica_that_takes_the_whole_way_trains_as_if_it_were_alone():
    one = made(replicas=1, outer_lr=1.0, outer_momentum=0.0, dtype="float64")
    alone = made(Trainer, dtype="float64")
    assert np.allclose(trained(one, 30), alone.advance(30).loss, rtol=1e-9)
    assert (one.step, one.epoch, one.characters(30)) == (30, alone.epoch, alone.characters(30))


def test_rounds_may_be_longer_than_the_log_of_a_trainer():
    K = LOG_SLOTS + 1
    long = made(replicas=2, local_steps=K, steps=K, backend="crystal")
    assert len(long.advance(K).loss) == 0, "they have yet to meet"
    assert (long.step, long.most_steps) == (0, 1)
    losses = long.advance(1)
    assert losses.loss.shape == losses.grad_norm.shape == (K,)
    assert np.isfinite(losses.loss).all()
    assert long.step == K


def test_each_character_is_predicted_once_an_epoch():
    replicas = made(replicas=3)
    steps = replicas.trainers[0].walk.steps_per_epoch
    assert replicas.characters(steps) == len(IDS) - 3  # none precedes the first character of each part


@pytest.mark.parametrize("backend", CPU_BACKENDS)
def test_threads_change_nothing(backend):
    ends = [made(backend=backend, threads=n, batch_size=4, dtype="float32") for n in (1, 2)]
    one, two = ([*trained(end, 15), *end.host("param"), *end.host("velocity")] for end in ends)
    assert np.array_equal(one, two)


def test_a_run_that_stops_and_goes_on_ends_the_same(tmp_path):
    def run():
        config = TrainConfig(**SMALL)
        k = load(config.backend)
        text = Text(IDS, Vocabulary(LETTERS), "0" * 64, Path("x"))
        return Run(place(k, config.architecture(V), Budget(None)), config, text, Silent())

    whole = run().trainer
    expected = trained(whole, 30)
    first = run()
    begun = trained(first.trainer, 10)
    first.trainer.advance(3)  # before the next meeting they do not count
    assert first.trainer.step == 10
    state = first.state()
    assert state.buffers == ["param", "m", "v", "velocity"]
    save_state(tmp_path, state, *map(first.trainer.host, state.buffers))
    second = run()
    second.restore(load_state(tmp_path))
    assert second.trainer.step == 10
    assert np.array_equal(np.concatenate([begun, trained(second.trainer, 20)]), expected)
    for name in state.buffers:
        assert np.array_equal(second.trainer.host(name), whole.host(name)), name


def test_a_replica_that_stops_being_finite_leaves_what_all_agreed_on():
    replicas = made()
    trained(replicas, 5)
    before = {name: replicas.host(name).copy() for name in replicas.buffers}
    other = replicas.trainers[1]
    other.config = dataclasses.replace(other.config, lr=1e5, warmup=0)
    with pytest.raises(NotFiniteError, match=r"^replica 2: the (loss|gradient) is not finite at step"):
        trained(replicas, 20)
    assert replicas.step == 5
    for name, values in before.items():
        assert np.array_equal(replicas.host(name), values), name


REFUSED = {
    "--replicas needs --local-steps": {"local_steps": None},
    "--local-steps needs --replicas": {"replicas": None},
    "--steps 32 is no multiple of --local-steps 5, so that the replicas do not meet there: take 30 or 35": {
        "steps": 32
    },
    "--steps 3 is no multiple of --local-steps 5, so": {"steps": 3},
    "--eval-every 7 is no multiple": {"eval_every": 7, "val_fraction": 0.1},
    "--outer-lr must be at least 1e-06": {"outer_lr": 0.0},
    "--outer-momentum is for replicas": {"local_steps": None, "replicas": None, "outer_momentum": 0.9},
    "--outer-momentum must be at least 0 and below 1": {"outer_momentum": 1.0},
    "each of 40 replicas trains on a part of its own of x, of 10 characters, but": {
        "replicas": 40,
        "batch_size": 4,
    },
}


@pytest.mark.parametrize("said", REFUSED)
def test_what_cannot_be_is_said(said):
    with pytest.raises(MicrogptError) as raised:
        made(**REFUSED[said])
    assert str(raised.value).startswith(said)


def test_replicas_are_booked():
    held = made().placed.budget.held
    made(cap=held)
    with pytest.raises(MicrogptError, match=r"out of memory budget: .* use fewer --replicas"):
        made(cap=held - 1)
