"""The programs of benchmarks/peers train our model; and the check that says so can say no."""

import dataclasses
import importlib.util
import json

import numpy as np
import pytest
from microgpt_kernels import BACKENDS
from peers import ours, table
from peers.__main__ import KNOWN, measure
from peers.agreement import FLOAT32, DisagreementError, begin, check
from peers.problem import Problem
from peers.systems import GPU_SYSTEMS, SYSTEMS, AdamState, System, ours_beside
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


def beginning_of(problem, backend="reference"):
    return begin(*ours.program(problem, 1, backend), N_STEPS)


@pytest.fixture(scope="module")
def beginning(problem):
    return beginning_of(problem)


# the other variants are left to the benchmark, which makes the same check: compiling them takes long
@pytest.mark.parametrize(("name", "package"), [("pytorch", "torch"), ("jax-loop", "jax")])
def test_a_peer_trains_our_model(problem, beginning, name, package):
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed: pip install 'microgpt-numba[peers]'")
    runner = Runner(SYSTEMS[name], problem, 1)
    found = begin(lambda n: runner.run(n)[1], runner.state, N_STEPS)
    runner.close()
    check(problem, {"ours": beginning, name: found})


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
    ("change", "message"),
    [
        ({"clip": 0.0}, "in their first gradients the tensor 'tok' has the norms"),
        ({"lr": 3.03e-4}, "another does not take the steps of Adam: after step 1 its parameters are others"),
        (
            {"beta2": 0.99},
            "another does not take the steps of Adam: after step 1 its second moments are others",
        ),
        ({"seed": 1}, "at step 1 their losses are"),
        ({"heads": "1x16"}, "at step 1 their losses are"),
        ({"stride": 7}, "at step 1 their losses are"),
    ],
    ids=str,
)
def test_another_training_is_refused(problem, beginning, change, message):
    another = beginning_of(Problem(problem.file, TINY | change))
    with pytest.raises(DisagreementError, match=message):
        check(problem, {"ours": beginning, "another": another})


def with_loss(step, factor):
    def change(found):
        losses = found.losses.copy()
        losses[step] *= factor
        return dataclasses.replace(found, losses=losses)

    return change


def with_state(which, name, change):
    """Adam's state after a step, of which one buffer was changed."""

    def changed(found):
        state = getattr(found, which)
        return dataclasses.replace(found, **{which: state._replace(**{name: change(getattr(state, name))})})

    return changed


def turned(m):
    """A gradient in which two numbers of one tensor have changed places: its norm is what it was."""
    return m[[1, 0, *range(2, len(m))]]


WRONG = [
    (with_loss(0, 1 + 2 * FLOAT32.loss), "at step 1 their losses"),
    (with_loss(1, 1 - 2 * FLOAT32.later), "at step 2 their losses"),
    (with_loss(N_STEPS - 1, np.nan), f"at step {N_STEPS} their losses"),
    (lambda found: dataclasses.replace(found, losses=found.losses[:-1]), "they have 20 and 19 losses"),
    (with_state("first", "m", lambda m: m * (1 + 2 * FLOAT32.norm)), "'tok' has the norms"),
    (
        with_state("first", "m", lambda m: m * np.float32(np.nan)),
        "'tok' has the norms nan|'tok' has the norms .* and nan",
    ),
    (with_state("first", "m", turned), "'tok' has directions that are"),
    (with_state("first", "v", lambda v: v * 1.01), "after step 1 its second moments"),
    (with_state("second", "v", lambda v: v * 1.01), "after step 2 its second moments"),
    (with_state("first", "param", lambda param: param + 1e-6), "after step 1 its parameters"),
    (with_state("second", "param", lambda param: param * np.float32(np.nan)), "after step 2 its parameters"),
]


@pytest.mark.parametrize(("change", "message"), WRONG, ids=[message for _, message in WRONG])
def test_one_other_number_is_refused(problem, beginning, change, message):
    check(problem, {"ours": beginning, "same": dataclasses.replace(beginning)})
    with pytest.raises(DisagreementError, match=message):
        check(problem, {"ours": beginning, "wrong": change(beginning)})


@pytest.mark.parametrize("step", [1, 2])
def test_an_optimizer_that_forgets_its_bias_is_refused(problem, beginning, step):
    """Its moments are right, but it moves by them as they are."""
    states = [AdamState(problem.parameters(), None, None), beginning.first, beginning.second]
    before, after = states[step - 1 : step + 1]
    moved = problem.config.lr * after.m / (np.sqrt(after.v) + 1e-8)
    which = {1: "first", 2: "second"}[step]
    wrong = with_state(which, "param", lambda _: before.param - moved)(beginning)
    with pytest.raises(DisagreementError, match=f"after step {step} its parameters"):
        check(problem, {"wrong": wrong})


def test_what_rounding_does_to_a_larger_model_is_no_disagreement(problem, beginning):
    """Measured between two of our backends: one unit of ReLU differs, and so do later losses."""
    apart = with_loss(2, 1 + 1.2e-4)(with_loss(N_STEPS - 1, 1 - 1.5e-3)(beginning))
    check(problem, {"ours": beginning, "larger": apart})


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
