"""The programs of benchmarks/peers train our model; and the check that says so can say no."""

import importlib.util
import json

import numpy as np
import pytest
from microgpt_kernels import BACKENDS
from peers import ours, table
from peers.__main__ import KNOWN, measure
from peers.agreement import FIRST, FIRST_TOLERANCE, TOLERANCE, DisagreementError, check
from peers.problem import Problem
from peers.systems import GPU_SYSTEMS, SYSTEMS, System, ours_beside
from peers.turns import Runner

from microgpt.errors import MicrogptError

N_STEPS = 20
TINY = {"seq_len": 8, "batch_size": 3, "d_model": 16, "d_ff": 24, "heads": "2x8"}
# seven batches an epoch; in the last one a row has no characters left, and another only some
N_CHARACTERS = 155


@pytest.fixture(scope="module")
def problem(tmp_path_factory):
    text = tmp_path_factory.mktemp("peers") / "text.txt"
    text.write_bytes(np.random.default_rng(3).integers(97, 108, N_CHARACTERS).astype(np.uint8).tobytes())
    return Problem(text, TINY)


@pytest.fixture(scope="module")
def losses(problem):
    return ours.program(problem, 1, "reference")(N_STEPS)


# the other variants are left to the benchmark, which makes the same check: compiling them takes long
@pytest.mark.parametrize(("name", "package"), [("pytorch", "torch"), ("jax-loop", "jax")])
def test_a_peer_trains_our_model(problem, losses, name, package):
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed: pip install 'microgpt-numba[peers]'")
    runner = Runner(SYSTEMS[name], problem, 1)
    parts = [runner.run(n)[1] for n in (1, N_STEPS - 1)]
    runner.close()
    check({"ours": losses, name: np.concatenate(parts)})


@pytest.mark.parametrize("variant", ["cuda-eager", "cuda-graph-tf32"])
def test_pytorch_without_a_gpu_says_why(problem, variant):
    torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'microgpt-numba[peers]'")
    if torch.cuda.is_available():
        pytest.skip("PyTorch has a GPU here")
    runner = Runner(System("pytorch", variant, ""), problem, 1)
    with pytest.raises(MicrogptError, match="PyTorch finds no GPU: "):
        runner.run(1)
    runner.close()


def test_a_gpus_systems_stand_beside_ours_of_the_same_precision():
    assert {name: ours_beside(name) for name in GPU_SYSTEMS} == {
        name: "cublas-tf32" if "tf32" in name else "cublas" for name in GPU_SYSTEMS
    }
    assert {ours_beside(name) for name in SYSTEMS} == {"crystal"}


@pytest.mark.parametrize(
    "change", [{"clip": 0.0}, {"lr": 3.03e-4}, {"beta2": 0.99}, {"seed": 1}, {"heads": "1x16"}, {"stride": 7}]
)
def test_another_training_is_refused(problem, losses, change):
    other = ours.program(Problem(problem.file, TINY | change), 1, "reference")
    with pytest.raises(DisagreementError, match="ours and another do not train the same model"):
        check({"ours": losses, "another": other(N_STEPS)})


@pytest.mark.parametrize(
    ("step", "factor"), [(0, 1 + 2 * FIRST_TOLERANCE), (FIRST, 1 - 2 * TOLERANCE), (N_STEPS - 1, np.nan)]
)
def test_one_other_loss_is_refused(losses, step, factor):
    check({"ours": losses, "same": losses.copy()})
    wrong = losses.copy()
    wrong[step] *= factor
    with pytest.raises(DisagreementError, match=f"step {step + 1} "):
        check({"ours": losses, "wrong": wrong})
    with pytest.raises(DisagreementError, match="19 losses"):
        check({"ours": losses, "short": losses[:-1]})


def test_who_cannot_run_says_why_and_the_others_are_measured(problem, monkeypatch, capsys):
    monkeypatch.setitem(KNOWN, "reference", System("ours", "reference", ""))
    monkeypatch.setitem(KNOWN, "absent", System("ours", "none", ""))
    rows = measure("tiny", problem, ["reference", "absent", "sgemm"], [1], rounds=2, seconds=0.02)
    capsys.readouterr()
    table.show(rows, problem, as_json=True)
    lines = {line["system"]: line for line in map(json.loads, capsys.readouterr().out.splitlines())}
    assert list(lines) == ["reference", "absent", "sgemm"]
    assert lines["absent"]["reason"] == "there is no backend 'none'; there are " + ", ".join(BACKENDS)
    assert lines["absent"]["steps_per_s"] is None
    assert 0 < lines["reference"]["min"] <= lines["reference"]["steps_per_s"] <= lines["reference"]["max"]
    assert lines["reference"]["of_peak"] == pytest.approx(
        lines["reference"]["gflops"] / lines["sgemm"]["gflops"]
    )
