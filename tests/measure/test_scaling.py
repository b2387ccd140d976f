"""benchmarks/scaling.py: what the model of a step must say where the answer is known, and its tables."""

import itertools

import numpy as np
import pytest
import typer
from test_rooms import ROOT
from typer.testing import CliRunner

from benchmarks import scaling
from benchmarks.scaling import MEETINGS, Network, Parts, exchanging, predict, shards_of
from microgpt.model.shards import number_of_shards

PARTS = Parts(n_parameters=1000, shard=1.0, add=0.01, copy=0.02, norm=0.03, adam=0.04, wait=0.005)
ONLY_SHARDS = Parts(1000, 1.0, 0, 0, 0, 0, 0)
FREE = Network("free", 0.0, np.inf)


def test_the_parts_of_a_step_follow_each_other():
    four_groups = 4 * 1.0 + 4 * 0.02
    assert predict(PARTS, 4, 1).seconds == pytest.approx(four_groups + 0.03 + 0.04)
    two_threads = 2 * 1.0 + 4 * 0.02 / 2 + MEETINGS * 0.005
    assert predict(PARTS, 4, 2).seconds == pytest.approx(two_threads + 0.03 + 0.04 / 2)
    # one thread takes all 64 shards as one group, and adds each to those before
    assert predict(PARTS, 64, 1).seconds == pytest.approx(64 * 1.0 + 63 * 0.01 + 0.03 + 0.04)


@pytest.mark.parametrize("n_shards", [4, 64])
def test_where_nothing_but_shards_takes_time_all_cores_with_shards_count(n_shards):
    for cores, machines in itertools.product((1, 2, 4, 64), (1, 2, 16)):
        p = predict(ONLY_SHARDS, n_shards, cores, machines, FREE)
        assert p.efficiency == pytest.approx(min(1, n_shards / (cores * machines)))
        assert p.exchange == 0


def test_a_single_core_is_the_measure_of_efficiency():
    assert predict(PARTS, 64, 1).efficiency == 1
    efficiencies = [predict(PARTS, 64, n).efficiency for n in (1, 2, 4, 8, 16, 32, 64)]
    assert efficiencies == sorted(efficiencies, reverse=True)


def test_each_number_crosses_the_network_twice():
    slow = Network("a byte a second", 0.0, 1.0)
    assert exchanging(ONLY_SHARDS, 4, slow) == pytest.approx(2 * 4 * 1000 * 3 / 4)
    far = Network("a second away", 1.0, np.inf)
    assert exchanging(ONLY_SHARDS, 4, far) == 3 * 3
    assert predict(PARTS, 4, 1, 16, far).exchange == exchanging(PARTS, 4, far), "four of them have shards"


def test_local_steps_exchange_less():
    network = Network("slow", 0.1, 1e4)
    every = predict(PARTS, 8, 2, 16, network, K=2)
    seldom = predict(PARTS, 8, 2, 16, network, K=200)
    assert every.exchange == pytest.approx(100 * seldom.exchange)
    alone = predict(PARTS, 8, 2)
    assert seldom.seconds - seldom.exchange == pytest.approx(alone.seconds)
    assert predict(PARTS, 8, 2, 16, network, K=10**9).efficiency == pytest.approx(alone.efficiency)


def test_the_batches_of_the_tables():
    for options, batches in scaling.MODELS.values():
        assert shards_of(options, batches[-1])[0] == scaling.MOST_SHARDS
        for batch_size in batches:
            _, sequences = shards_of(options, batch_size)
            assert number_of_shards(4 * sequences, options["seq_len"], 64) == 4, "what is measured has four"


def test_the_command_prints_its_tables(monkeypatch):
    tiny = {"seq_len": 4, "d_model": 8, "n_layers": 1, "heads": "8", "batch_size": 4}
    monkeypatch.setattr(scaling, "MODELS", {"tiny": (tiny, (4, 64))})
    monkeypatch.setattr(scaling, "TURN_SECONDS", 0.001)
    monkeypatch.chdir(ROOT)
    app = typer.Typer()
    app.command()(scaling.main)
    result = CliRunner().invoke(app, ["--rounds", "1"])
    assert result.exit_code == 0, result.output
    tables = [block.splitlines() for block in result.stdout.split("\n\n") if block.startswith("|")]
    parts, steps, cores, machines = ([row.strip("| ").split(" | ") for row in rows[2:]] for rows in tables)
    assert [row[:2] for row in parts] == [["tiny", "1"], ["tiny", "16"]]
    assert {row[1] for row in steps} == {"4", "64"}
    assert [row[1:3] for row in cores] == [["4", "4"], ["64", "4"]]
    assert [row[2] for row in machines] == ["1 Gbit/s", "10 Gbit/s"] * 2
    assert {len(row) for row in machines} == {6 + len(scaling.LOCAL_STEPS)}
