"""Checks that this checkout computes the same results as an older commit, bit for bit.

    python -m benchmarks.same_results COMMIT [--only TEXT]

The commit is checked out into a temporary git worktree. The same runs are then made by both programs, each in
processes of its own: every preset of heads, each kind of positions, one sequence and several in shards,
float64, shuffled order, and runs that are interrupted and resumed, on both compiled backends. What they leave
is compared: metrics.jsonl without its times, samples.txt, config.toml, a text generated from the weights, and
every tensor of the weights and of Adam's moments, byte by byte. Each run gets one line. The exit code is 0 if
everything is the same, 1 if something differs, and 2 if there was nothing to compare.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer
from safetensors import safe_open

ROOT = Path(__file__).parents[1]
TEXT = ROOT / "data" / "input.txt"
CHARACTERS = 40_000
PRESETS = ("uniform", "exponential", "prime", "pyramid", "ones")
BACKENDS = ("crystal", "openblas")
TIMES = ("chars_per_s", "elapsed_s")
# Every run begins with these options, which were once the defaults. They are read from a file without `init`:
# a program that has this option takes it for the file of one that had not.
PLAIN = """batch_size = 1
order = "sequential"
positions = "learned"
lr = 3e-4
beta2 = 0.999
schedule = "constant"
warmup = 0
clip = 1.0
dtype = "float32"
memory_cap = "2GiB"
"""
# tensors that had other names before format 3
NAMES_TODAY = {"head_w": "unembed_w", "head_b": "unembed_b"}
INTERRUPTED = 130
# long enough for a signal to come before the last one
MANY_STEPS = 1500


class Run(NamedTuple):
    name: str
    options: str
    interrupted: bool = False


class CannotRunError(Exception):
    """One of the two programs could not be run, or not as it should."""


def runs() -> list[Run]:
    """The runs that both programs make."""
    small = "--steps 60 --seq-len 32 --d-model 64"
    rich = "--val-fraction 0.1 --eval-every 20 --sample-every 30 --weight-decay 0.1 --clip 0.5 --d-ff 96"
    cosine = "--schedule cosine --warmup 7 --lr 0.003"
    long = f"--steps {MANY_STEPS} --seq-len 64 --d-model 64"
    found = []
    for backend in BACKENDS:
        kinds = [
            *(Run(f"heads {preset}", f"{small} --heads {preset}") for preset in PRESETS),
            Run("heads of each layer", f"{small} {rich} --heads 1+2+3+10+48|4x16 --positions rope"),
            *(Run(f"positions {kind}", f"{small} --positions {kind}") for kind in ("rope", "none")),
            Run("4 shards", f"{small} {rich} --batch-size 4 --threads 2"),
            Run("4 shards, rope", f"{small} --batch-size 6 --threads 2 --positions rope --heads prime"),
            Run("shuffled", f"{small} {cosine} --order shuffled --stride 5"),
            Run("shuffled, shards", f"{small} {cosine} --order shuffled --batch-size 4 --stride 16"),
            Run("float64", f"{small} {rich} --dtype float64"),
            Run("float64, shards", f"{small} --dtype float64 --batch-size 4 --heads pyramid"),
            Run("resumed", f"{long} --val-fraction 0.1 --eval-every 400", interrupted=True),
            Run("resumed, shuffled", f"{long} {cosine} --order shuffled --batch-size 2", interrupted=True),
        ]
        found += [Run(f"{backend}: {name}", f"--backend {backend} {opts}", cut) for name, opts, cut in kinds]
    return found


def make(tree: Path, run: Run, folder: Path) -> Path:
    """The directory that a program leaves of a run, with a text that it generates. Raises CannotRunError."""
    folder.mkdir(parents=True)
    (folder / "text.txt").write_bytes(TEXT.read_bytes()[:CHARACTERS])
    (folder / "plain.toml").write_text(PLAIN)
    train = ("train", "text.txt", *run.options.split(), "--config", "plain.toml", "--out", "run")
    if run.interrupted:
        interrupt(tree, train, folder)
        train = ("train", "--resume", "run")
    program(tree, train, folder)
    (folder / "run" / "generated.txt").write_text(
        program(tree, ("generate", "run", "--length", "300", "--seed", "5"), folder), encoding="utf-8"
    )
    return folder / "run"


def environment(tree: Path) -> dict[str, str]:
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join((str(tree), str(tree / "kernels"))),
        "PYTHONUTF8": "1",
    }


def program(tree: Path, arguments: tuple[str, ...], folder: Path) -> str:
    """What the program of a tree prints. Raises CannotRunError with what it says if it fails."""
    command = [sys.executable, "-m", "microgpt", *arguments]
    done = subprocess.run(
        command, cwd=folder, env=environment(tree), capture_output=True, text=True, encoding="utf-8"
    )
    if done.returncode:
        raise CannotRunError(f"`microgpt {' '.join(arguments)}` fails and says: {last_line(done.stderr)}")
    return done.stdout


def interrupt(tree: Path, arguments: tuple[str, ...], folder: Path) -> None:
    """Begin a run and end it as soon as it has reported a step. Raises CannotRunError."""
    command = [sys.executable, "-m", "microgpt", *arguments]
    metrics = folder / "run" / "metrics.jsonl"
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, cwd=folder, env=environment(tree), **pipes) as process:
        while process.poll() is None and not (metrics.exists() and metrics.stat().st_size):
            time.sleep(0.002)
        process.terminate()
        said = process.communicate()[1].decode(errors="replace")
    if process.returncode != INTERRUPTED:
        raise CannotRunError(f"it ends with exit code {process.returncode} and says: {last_line(said)}")


def last_line(said: str) -> str:
    return (said.strip().splitlines() or ["nothing"])[-1]


def check_origin(tree: Path, folder: Path) -> None:
    """Raises CannotRunError where a tree's program would not be the one that Python finds."""
    code = "import microgpt, microgpt_kernels; print(microgpt.__file__, microgpt_kernels.__file__, sep='\\n')"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=folder, env=environment(tree), capture_output=True, text=True)
    found = [Path(line).resolve() for line in done.stdout.splitlines()]
    if len(found) != 2 or not all(path.is_relative_to(tree.resolve()) for path in found):
        raise CannotRunError(f"Python finds {', '.join(map(str, found)) or 'no program'} instead of {tree}")


# --- what two runs have in common


def differences(before: Path, after: Path) -> list[str]:
    """What differs between two directories of runs, in words; nothing if they are the same."""
    # starts.jsonl, which older versions do not write, says when and where a run was begun
    names = [{path.name for path in run.iterdir()} - {".lock", "starts.jsonl"} for run in (before, after)]
    found = [f"only the older run has {name}" for name in sorted(names[0] - names[1])]
    found += [f"only the newer run has {name}" for name in sorted(names[1] - names[0])]
    for name in sorted(names[0] & names[1]):
        one, other = before / name, after / name
        if name.endswith(".safetensors"):
            found += [f"{name}: {what}" for what in differing_tensors(tensors(one), tensors(other))]
        elif name.endswith(".jsonl"):
            found += [f"{name}: {what}" for what in differing_reports(reports(one), reports(other))]
        elif name.endswith(".toml"):
            found += [f"{name}: {what}" for what in differing_options(one, other)]
        elif one.read_bytes() != other.read_bytes():
            found.append(name)
    return found


def tensors(path: Path) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    """Type, shape and bytes of each tensor of a file, by the name that it has today."""
    with safe_open(path, "numpy") as file:
        arrays = {name_today(name): file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (it is no dict)
    return {name: (str(array.dtype), array.shape, array.tobytes()) for name, array in arrays.items()}


def name_today(name: str) -> str:
    prefix = name[:2] if name[:2] in ("m.", "v.") else ""
    return prefix + NAMES_TODAY.get(name.removeprefix(prefix), name.removeprefix(prefix))


def differing_tensors(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    wrong = [name for name in sorted(before.keys() | after.keys()) if before.get(name) != after.get(name)]
    return (
        [f"{len(wrong)} of {len(before.keys() | after.keys())} tensors, the first is {wrong[0]}"]
        if wrong
        else []
    )


def differing_options(before: Path, after: Path) -> list[str]:
    """Of the options that both programs have written down."""
    one, other = (tomllib.loads(path.read_text(encoding="utf-8")) for path in (before, after))
    return [
        f"{name} is {one[name]} and {other[name]}"
        for name in one
        if name in other and one[name] != other[name]
    ]


def reports(path: Path) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl without the times in them."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [{name: value for name, value in line.items() if name not in TIMES} for line in lines]


def differing_reports(before: list[Any], after: list[Any]) -> list[str]:
    if len(before) != len(after):
        return [f"{len(before)} lines and {len(after)}"]
    for number, (one, other) in enumerate(zip(before, after, strict=True), 1):
        for name in sorted(one.keys() | other.keys()):
            if one.get(name) != other.get(name):
                return [f"line {number}: {name} is {one.get(name)} and {other.get(name)}"]
    return []


# --- both programs


@contextlib.contextmanager
def checked_out(root: Path, commit: str, folder: Path) -> Iterator[Path]:
    """A worktree of a repository at a commit, which is removed afterwards. Raises CannotRunError."""
    git = ["git", "-C", str(root), "worktree"]
    tree = folder / "before"
    added = subprocess.run([*git, "add", "-q", "--detach", str(tree), commit], capture_output=True, text=True)
    if added.returncode:
        raise CannotRunError(f"git cannot check out {commit}: {last_line(added.stderr)}")
    try:
        yield tree
    finally:
        subprocess.run([*git, "remove", "--force", str(tree)], check=True)


def compare(root: Path, commit: str, wanted: list[Run], folder: Path) -> bool:
    """Make the runs with both programs and print what differs in each; True if nothing does."""
    same = 0
    with checked_out(root, commit, folder) as older, ThreadPoolExecutor(2) as pool:
        trees = {"older": older, "newer": root}
        for tree in trees.values():
            check_origin(tree, folder)
        width = max(len(run.name) for run in wanted)
        for number, run in enumerate(wanted):
            places = [folder / which / str(number) for which in trees]
            made = [
                pool.submit(make, tree, run, place)
                for tree, place in zip(trees.values(), places, strict=True)
            ]
            found = [
                f"the {which} program: {e}"
                for which, f in zip(trees, made, strict=True)
                if (e := f.exception())
            ]
            found = found or differences(*(future.result() for future in made))
            same += not found
            told = "; ".join(found) if found else f"the same: {', '.join(contents(made[1].result()))}"
            print(f"{run.name:<{width}}  {'DIFFERENT: ' if found else ''}{told}", flush=True)
    print(f"{same} of {len(wanted)} runs are the same as those of {commit}")
    return same == len(wanted)


def contents(run: Path) -> list[str]:
    """What was compared of a run."""
    n_tensors = sum(len(tensors(path)) for path in run.glob("*.safetensors"))
    lines = len(reports(run / "metrics.jsonl"))
    return [f"{lines} lines of metrics", "samples", "configuration", "generated text", f"{n_tensors} tensors"]


def main(
    commit: Annotated[str, typer.Argument(help="What to compare this checkout with.")],
    only: Annotated[str, typer.Option(help="Only runs with this in their names.")] = "",
) -> None:
    """Compare the results of this checkout with those of an older commit, bit for bit."""
    wanted = [run for run in runs() if only in run.name]
    if not wanted:
        print(
            f"no run has {only!r} in its name; there are:",
            *(run.name for run in runs()),
            sep="\n",
            file=sys.stderr,
        )
        raise typer.Exit(2)
    try:
        with tempfile.TemporaryDirectory() as folder:
            same = compare(ROOT, commit, wanted, Path(folder))
    except CannotRunError as error:
        print(f"same_results: {error}", file=sys.stderr)
        raise typer.Exit(2) from None
    raise typer.Exit(0 if same else 1)


if __name__ == "__main__":
    typer.run(main)
