"""benchmarks/tricks.py: without tricks it trains the program's model, and each trick trains another one."""

import numpy as np
import pytest
from support import make_trainer

from microgpt.config import TrainConfig
from microgpt.model.parameters import initial, table
from microgpt.use.evaluate import Evaluator

pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'microgpt-numba[oracle]'")
import torch
import typer
from typer.testing import CliRunner

from benchmarks import tricks

VOCABULARY = 11
# five batches an epoch; in the last one a row has nothing left
TEXT, HELD_OUT = np.split(np.random.default_rng(5).integers(0, VOCABULARY, 250).astype(np.uint8), [150])
N_STEPS = 12
TINY = {"seq_len": 8, "batch_size": 4, "d_model": 32, "d_ff": 48, "steps": N_STEPS}
TOLERANCE = 1e-4


def config_of(**options):
    return TrainConfig(file="no file", **tricks.COMMON | TINY | options)


def losses_with(chosen):
    config = config_of()
    return list(tricks.train(tricks.Model(config, VOCABULARY, chosen), config, TEXT))


@pytest.mark.parametrize(
    ("chosen", "options"),
    [({"none"}, {}), ({"relu"}, {"activation": "relu"}), ({"shift"}, {"token_shift": True})],
)
def test_what_the_program_has_trains_the_same_model(chosen, options):
    config = config_of(**options)
    param = initial(table(config.architecture(VOCABULARY).sizes), config.seed, np.float32)
    trainer = make_trainer("reference", config, TEXT, VOCABULARY, param)
    model = tricks.Model(config, VOCABULARY, chosen)
    losses = list(tricks.train(model, config, TEXT))
    assert losses == pytest.approx(trainer.advance(N_STEPS).loss, rel=TOLERANCE)
    held_out = tricks.held_out_losses(model, HELD_OUT, config.seq_len)
    assert len(held_out) == len(HELD_OUT) - 1
    assert held_out.mean() == pytest.approx(Evaluator(trainer.placed, HELD_OUT).score().nats, rel=TOLERANCE)


@pytest.mark.parametrize("trick", sorted(tricks.TRICKS - {"none"}))
def test_every_trick_changes_what_is_learned(trick):
    losses, plain = losses_with({trick}), losses_with({"none"})
    assert np.isfinite(losses).all()
    assert abs(losses[-1] - plain[-1]) > (0 if trick == "softcap" else TOLERANCE)


@pytest.mark.parametrize("shape", [(16, 16), (16, 48), (48, 16)])
def test_muon_takes_steps_in_all_directions(shape):
    values = torch.from_numpy(np.random.default_rng(1).normal(size=shape))
    lengths = torch.linalg.svdvals(tricks.orthogonal(values))
    assert lengths.min() > 0.4
    assert lengths.max() < 1.3


def run(*arguments):
    app = typer.Typer()
    app.command()(tricks.main)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_it_prints_a_row_for_each_seed_and_their_mean(tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("the cat sat on the mat, and the rat ate the hat. " * 60)
    rows = run(text, "smear,bigrams", "--steps", 2).stdout.splitlines()[1:]
    assert [row.split()[:2] for row in rows] == [["smear,bigrams", seed] for seed in ("1", "2", "mean")]


def test_unknown_tricks_are_named(tmp_path):
    result = run(tmp_path / "text.txt", "smear,smaer")
    assert result.exit_code == 2
    assert "there is no 'smaer'; there are bigrams, " in result.stderr
