"""benchmarks/same_results.py: what is the same is found to be so, and any difference is found."""

import json
import shutil
import subprocess

import numpy as np
import pytest
import safetensors.numpy
import same_results
from same_results import Run, compare, differences

TINY = Run("tiny", "--backend reference --steps 5 --seq-len 8 --d-model 4 --heads 1+3 --n-layers 1")


def write(folder):
    """What a run leaves, or something that looks like it."""
    folder.mkdir()
    lines = [{"step": step, "loss": 2.5, "elapsed_s": 0.1, "chars_per_s": 5.0} for step in (1, 2)]
    (folder / "metrics.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    (folder / "samples.txt").write_text("--- step 2\nthe cat\n")
    (folder / "config.toml").write_text("steps = 2\n")
    tensors = {"tok": np.zeros((2, 3), np.float32), "m.unembed_w": np.ones(6, np.float32)}
    safetensors.numpy.save_file(tensors, folder / "model.safetensors")
    return folder


@pytest.fixture
def pair(tmp_path):
    return write(tmp_path / "before"), write(tmp_path / "after")


def replaced(old, new):
    def change(path):
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    return change


def with_tensors(change):
    def rewrite(path):
        tensors = safetensors.numpy.load_file(path)
        change(tensors)
        safetensors.numpy.save_file(tensors, path)

    return rewrite


def negative_zero(tensors):
    tensors["tok"][1, 2] = -0.0


def another_shape(tensors):
    tensors["tok"] = tensors["tok"].reshape(3, 2)


def test_what_a_clock_tells_is_no_difference(pair):
    replaced('"elapsed_s": 0.1', '"elapsed_s": 0.7')(pair[1] / "metrics.jsonl")
    (pair[0] / ".lock").touch()
    assert differences(*pair) == []


def test_an_old_name_of_a_tensor_is_no_difference(pair):
    with_tensors(lambda tensors: tensors.update({"m.head_w": tensors.pop("m.unembed_w")}))(
        pair[0] / "model.safetensors"
    )
    assert differences(*pair) == []


def test_an_option_that_only_one_of_them_has_is_no_difference(pair):
    replaced("steps = 2", 'steps = 2\ninit = "small"')(pair[1] / "config.toml")
    assert differences(*pair) == []


METRICS, MODEL = "metrics.jsonl", "model.safetensors"
TENSOR = f"{MODEL}: 1 of 2 tensors, the first is tok"
LOSS = '"step": 2, "loss": 2.5'
CHANGES = [
    (
        METRICS,
        replaced(LOSS, f"{LOSS}000000000000004"),
        f"{METRICS}: line 2: loss is 2.5 and 2.5000000000000004",
    ),
    (METRICS, replaced(LOSS, '"step": 2'), f"{METRICS}: line 2: loss is 2.5 and None"),
    (METRICS, lambda path: path.write_text(""), f"{METRICS}: 2 lines and 0"),
    ("samples.txt", replaced("cat", "hat"), "samples.txt"),
    ("samples.txt", lambda path: path.unlink(), "only the older run has samples.txt"),
    ("config.toml", replaced("2", "3"), "config.toml: steps is 2 and 3"),
    (MODEL, with_tensors(negative_zero), TENSOR),
    (MODEL, with_tensors(another_shape), TENSOR),
    (MODEL, with_tensors(lambda tensors: tensors.pop("tok")), TENSOR),
    ("best.safetensors", lambda path: path.touch(), "only the newer run has best.safetensors"),
]


@pytest.mark.parametrize(
    ("name", "change", "said"), CHANGES, ids=lambda value: value if isinstance(value, str) else ""
)
def test_each_difference_is_found(pair, name, change, said):
    change(pair[1] / name)
    assert differences(*pair) == [said]


@pytest.fixture
def repository(tmp_path):
    """A repository with the program in its first commit."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    root = tmp_path / "repository"
    for name in ("microgpt", "kernels"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(same_results.ROOT / name, root / name, ignore=ignored)
    as_somebody = ("-c", "user.name=somebody", "-c", "user.email=somebody@example.org")
    for arguments in (("init", "-q"), ("add", "."), (*as_somebody, "commit", "-q", "-m", "first")):
        subprocess.run(["git", *arguments], cwd=root, check=True)
    return root


def test_another_program_is_found_and_the_same_one_is_not(repository, tmp_path, capsys):
    def compared(name, *wanted):
        (tmp_path / name).mkdir()
        return compare(repository, "HEAD", wanted, tmp_path / name), capsys.readouterr().out.splitlines()

    same, lines = compared("same", TINY)
    assert lines == [
        "tiny  the same: 5 lines of metrics, samples, configuration, generated text, 72 tensors",
        "1 of 1 runs are the same as those of HEAD",
    ]
    assert same
    config = repository / "microgpt" / "config.py"
    replaced("seed: int = 1337", "seed: int = 1338")(config)
    impossible = Run("impossible", TINY.options + " --colour red")
    same, lines = compared("other", TINY, impossible)
    assert not same
    assert lines[0].startswith(
        "tiny        DIFFERENT: config.toml: seed is 1337 and 1338; generated.txt; "
        "metrics.jsonl: line 1: grad_norm is "
    )
    assert "optimizer.safetensors: " in lines[0]
    assert lines[1].startswith(
        "impossible  DIFFERENT: the older program: `microgpt train text.txt --backend "
    )
    assert lines[2] == "0 of 2 runs are the same as those of HEAD"
    # nothing is left of the worktrees
    listed = subprocess.run(["git", "worktree", "list"], cwd=repository, capture_output=True, text=True)
    assert len(listed.stdout.splitlines()) == 1


def test_a_commit_that_does_not_exist_is_one_sentence(repository, tmp_path):
    with pytest.raises(same_results.CannotRunError, match=r"^git cannot check out nowhere: .*nowhere"):
        compare(repository, "nowhere", [TINY], tmp_path)


def test_the_runs_are_the_ones_that_were_promised():
    names = [run.name for run in same_results.runs()]
    assert len(set(names)) == len(names)
    for backend in same_results.BACKENDS:
        options = [run.options for run in same_results.runs() if run.name.startswith(f"{backend}: ")]
        assert all(f"--backend {backend} " in line for line in options)
        for part in (
            *(f"--heads {preset}" for preset in same_results.PRESETS),
            "--positions rope", "--positions none", "--batch-size 4", "--order shuffled", "--dtype float64",
        ):  # fmt: skip
            assert any(part in line for line in options), part
        assert any(run.interrupted for run in same_results.runs() if run.name.startswith(backend))
