"""Runs as their directories tell them."""

import json

import pytest
from made_up_runs import START, report, write_run
from reporters import Silent

from microgpt.config import TrainConfig
from microgpt.errors import MicrogptError
from microgpt.report.runs import chosen, different, is_run, names, read
from microgpt.training.directory import claim, is_being_written
from microgpt.training.train import train

TEXT = "the cat sat on the mat; a dog ate the hat.\n" * 12


def as_json(record, **others):
    return record.as_json("run", **{"n_points": 1000, "n_samples": 10, "writing": False} | others)


def test_a_run_is_read_as_it_was_reported(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text(TEXT)
    options = {
        "steps": 40,
        "seq_len": 8,
        "batch_size": 2,
        "d_model": 16,
        "n_layers": 1,
        "backend": "reference",
    }
    reporter = Silent()
    config = TrainConfig(
        file="text.txt", out="run", val_fraction=0.1, eval_every=20, sample_every=20, **options
    )
    train(config, reporter)
    found = as_json(read(tmp_path / "run"))
    json.dumps(found, allow_nan=False)
    assert found["state"] == "done"
    for name in ("step", "loss", "grad_norm", "lr", "chars", "elapsed_s"):
        assert found["training"][name] == pytest.approx([each[name] for each in reporter.reports], rel=1e-5)
    evaluated = [each for each in reporter.reports if each["val_loss"] is not None]
    assert found["validation"]["step"] == [each["step"] for each in evaluated] == [20, 40]
    assert found["validation"]["val_loss"] == pytest.approx(
        [each["val_loss"] for each in evaluated], rel=1e-5
    )
    assert [(each["step"], each["text"]) for each in found["samples"]] == reporter.samples
    assert found["options"].items() >= options.items()
    assert found["options"]["lr"] == config.rates.lr  # which was left open
    (start,) = found["starts"]
    summary = reporter.summary
    for name in ("uniform_entropy", "unigram_entropy", "bigram_entropy", "known_entropy", "parameters"):
        assert start[name] == getattr(summary, name)
    # a run of an earlier version has no such line, and its checkpoint knows less
    (tmp_path / "run" / "starts.jsonl").unlink()
    (start,) = read(tmp_path / "run").starts
    assert start["uniform_entropy"] == pytest.approx(summary.uniform_entropy)
    assert "unigram_entropy" not in start


def test_how_a_run_stands(tmp_path):
    done, half = write_run(tmp_path / "done"), write_run(tmp_path / "half", range(5, 51, 5))
    assert as_json(read(done), writing=True)["state"] == "done"
    assert as_json(read(half), writing=True)["state"] == "running"
    assert as_json(read(half))["state"] == "stopped"


def test_a_directory_that_is_being_written_is_seen_from_outside(tmp_path):
    assert not is_being_written(write_run(tmp_path / "done"))
    assert not (tmp_path / "done" / ".lock").exists()
    directory = claim(str(tmp_path / "new"), tmp_path)
    assert is_being_written(tmp_path / "new")
    directory.release()
    assert not is_being_written(tmp_path / "new")


def test_the_logs_of_a_crash_and_of_a_resumed_run(tmp_path):
    directory = write_run(tmp_path / "run", [5, 10, 15, 10, 15, 20], starts=(START, START | {"step": 7}))
    with (directory / "metrics.jsonl").open("a") as log, (directory / "samples.txt").open("a") as samples:
        log.write('{"step": 25, "lo')
        samples.write("--- step 99\ncut o")
    found = as_json(read(directory))
    assert found["training"]["step"] == [5, 10, 15, 20]
    assert [start["step"] for start in found["starts"]] == [0, 7]
    assert [(each["step"], each["text"].rstrip()) for each in found["samples"]] == [
        (50, "half"),
        (100, "done"),
    ]


def test_what_cannot_be_read_is_said(tmp_path):
    assert not is_run(tmp_path)
    empty = write_run(tmp_path / "empty", [])
    assert is_run(empty)
    with pytest.raises(MicrogptError, match="has no reports yet"):
        read(empty)
    (empty / "optimizer.safetensors").touch()
    with pytest.raises(MicrogptError, match=r"but no reports: metrics\.jsonl is gone or empty"):
        read(empty)
    (empty / "config.toml").write_text("")
    with pytest.raises(MicrogptError, match=r"config\.toml: 'file' is missing"):
        read(empty)
    (empty / "config.toml").write_text("steps = 'many'")
    with pytest.raises(MicrogptError, match=r"config\.toml"):
        read(empty)


def test_what_differs_between_runs(tmp_path):
    records = [
        read(write_run(tmp_path / f"{lr}", lr=lr, steps=steps, eval_every=steps // 5, snapshots=steps // 4))
        for lr, steps in ((0.01, 100), (0.02, 200))
    ]
    # the warm-up follows from the steps; how often it is evaluated, or kept, teaches no run anything
    assert records[0].config.rates.warmup != records[1].config.rates.warmup
    assert different(records) == ["steps", "lr"]
    assert different(records[:1]) == different([]) == []


def test_directories_are_told_apart_by_as_few_names_as_possible(tmp_path):
    paths = [tmp_path / "a" / "run", tmp_path / "b" / "run", tmp_path / "other"]
    assert names(paths) == ["a/run", "b/run", "other"]
    assert names(paths[:1]) == ["run"]


@pytest.mark.parametrize(
    ("n", "most", "expected"), [(3, 5, [0, 1, 2]), (9, 3, [0, 4, 8]), (9, 1, [8]), (0, 3, [])]
)
def test_samples_are_chosen_evenly_to_the_last(n, most, expected):
    assert chosen([(i, "") for i in range(n)], most) == [(i, "") for i in expected]


def test_a_log_of_other_things_is_no_obstacle(tmp_path):
    directory = write_run(tmp_path / "run", [])
    lines = [report(5, loss="</script>"), report(10, val_loss=float("nan")), {"step": 1}, [], report(15)]
    (directory / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = as_json(read(directory))
    assert found["training"]["loss"] == [None, 1.2, 1.13333]
    json.dumps(found, allow_nan=False)
