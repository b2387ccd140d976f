"""Which heads hold the bits, fill their rank and do induction: over several seeds of `exponential`.

    python -m benchmarks.head_roles TEXT [--seeds 10] [--steps 6000] [--seq-len 32,128] [--runs FILE] [--json]

Each run trains a model of two layers with heads of widths 1, 1, 2, 4, 8, 16 and 32, on nine tenths of the
text, and takes an X-ray of it, with exact Shapley values, on the first 8,192 characters of the other tenth. A
step reads 1,024 characters whatever the context T (--seq-len) is, so that the models of all T have read the
same number; all other options are the defaults. Seeds of all T take turns.

The questions, written down before the first run:

1. Which widths hold the bits? The part of attention's gain that the heads of a width have by Shapley values,
   beside their part of the columns; and in how many seeds one of the widest heads is the most valuable head,
   by Shapley values and by ablation.
2. Which widths fill their rank? The utilisation of the QK circuit, the OV circuit and the outputs.
3. Which become induction heads, and which previous-character heads? The head with the highest score of each
   seed, and how high it is. A head that looks at everything equally has the score in brackets.
4. Is width worth more where the context is longer? The part of the bits of each width at the longest T less
   that at the shortest, in pairs of runs with the same seed.

Each figure is a mean over seeds, and what follows the +- is half of its 95% interval (Student's t): it says
what other seeds of this training would give, not other texts or other sizes. Seeds are what varies, so heads
are not compared within one model.

The runs are kept in FILE, a line of JSON for each; those that it already has are not made again.
"""

from __future__ import annotations

import json
import math
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from scipy import stats  # type: ignore[import-untyped]

import microgpt
from benchmarks.scaling import markdown
from microgpt.arrays import Floats
from microgpt.errors import MicrogptError, UsageError
from microgpt.xray.xray import Xray

LAYOUT = "exponential"
CHARACTERS_PER_STEP = 1024
CHARACTERS = 8192  # of the X-ray
LEVEL = 0.95
Run = dict[str, Any]

# What is kept of each head; all are arrays (H,). Bits per column are Shapley values divided by the widths.
MEASURES: dict[str, Callable[[Xray], Floats]] = {
    "Shapley": lambda found: _of_shapley(found).bits,
    "ablation": lambda found: found.ablations.mean.bits,
    "bits per column": lambda found: found.fairness.per_column,
    "QK": lambda found: found.utilisation[:, 0],
    "OV": lambda found: found.utilisation[:, 1],
    "outputs": lambda found: found.utilisation[:, 2],
    "previous": lambda found: found.patterns.offsets[:, 0],
    "induction": lambda found: found.induction,
    "copying": lambda found: found.copying,
    "reach": lambda found: found.patterns.reach,
}
DIGITS = {"bits per column": 4, "reach": 1, **dict.fromkeys(("QK", "OV", "outputs", "copying"), 2)}
# the heads that the questions look for: those with the most of these
SOUGHT = ("Shapley", "ablation", "bits per column", "previous", "induction")


def _of_shapley(found: Xray) -> Any:
    assert found.shapley is not None
    return found.shapley


def run_of(text: Path, seq_len: int, seed: int, steps: int) -> Run:
    """Train a model, look into it, and keep what the tables need."""
    model = microgpt.train(
        text, heads=LAYOUT, val_fraction=0.1, seq_len=seq_len, batch_size=CHARACTERS_PER_STEP // seq_len,
        steps=steps, seed=seed, threads=1,
    )  # fmt: skip
    found = model.xray(characters=CHARACTERS, shapley=True)
    return {
        "text": text.name,
        "seq_len": seq_len,
        "seed": seed,
        "steps": steps,
        "loss": found.ablations.all_on,
        "gain": _of_shapley(found).gain,
        "gini": found.fairness.gini,
        "uniform": {
            "previous": float(found.uniform.offsets[0, 0]),
            "induction": uniform_induction(seq_len),
            "reach": float(found.uniform.reach[0]),
        },
        "heads": [head.name for head in found.heads],
        "widths": [head.width for head in found.heads],
        **{name: measure(found).tolist() for name, measure in MEASURES.items()},
    }


def uniform_induction(seq_len: int) -> float:
    """The score of a head that looks at everything equally: the mean of 1/(t+1) over the second copy."""
    period = seq_len // 2
    return float(np.mean(1 / (np.arange(period, 2 * period) + 1)))


def runs_of(text: Path, seeds: int, steps: int, seq_lens: Sequence[int], file: Path | None) -> Iterator[Run]:
    """All runs, the first seed of each T first; those that are in the file come from there."""
    kept = {}
    if file is not None and file.exists():
        for line in file.read_text(encoding="utf-8").splitlines():
            run = json.loads(line)
            kept[run["text"], run["seq_len"], run["seed"], run["steps"]] = run
    for seed in range(1, seeds + 1):
        for seq_len in seq_lens:
            run = kept.get((text.name, seq_len, seed, steps))
            if run is None:
                print(f"T {seq_len}, seed {seed} ...", file=sys.stderr, flush=True)
                run = run_of(text, seq_len, seed, steps)
                if file is not None:
                    with file.open("a", encoding="utf-8") as lines:
                        lines.write(json.dumps(run) + "\n")
            yield run


# --- what the tables say


def interval(values: Floats) -> tuple[Floats, Floats]:
    """The means of the columns of values (n, ...), and half of the 95% interval of each; NaN for one row."""
    n = len(values)
    if n < 2:
        return values.mean(axis=0), np.full(values.shape[1:], np.nan)
    quantile = float(stats.t.ppf((1 + LEVEL) / 2, n - 1))
    return values.mean(axis=0), quantile * values.std(axis=0, ddof=1) / math.sqrt(n)


def of_widths(runs: Sequence[Run]) -> tuple[list[int], Floats, Floats]:
    """The widths, their parts of the columns (W,), and of the bits of all heads in each run (runs, W)."""
    each = np.array(runs[0]["widths"])
    widths = sorted(set(each.tolist()))
    columns = np.array([each[each == width].sum() for width in widths]) / each.sum()
    bits = np.array([run["Shapley"] for run in runs])
    parts = np.stack([bits[:, each == width].sum(axis=1) for width in widths], axis=1)
    return widths, columns, parts / bits.sum(axis=1, keepdims=True)


def of_first_layer(runs: Sequence[Run]) -> Floats:
    """The part (runs,) of the bits of all heads that those of the first layer have."""
    bits = np.array([run["Shapley"] for run in runs])
    first = np.array([name.startswith("1.") for name in runs[0]["heads"]])
    return bits[:, first].sum(axis=1) / bits.sum(axis=1)


def most(runs: Sequence[Run], measure: str) -> list[int]:
    """Of each run, the place of the head with the most of a measure."""
    return [int(np.argmax(run[measure])) for run in runs]


def said(mean: float, half: float, digits: int) -> str:
    return f"{mean:.{digits}f}" + (f" ± {half:.{digits}f}" if np.isfinite(half) else "")


def head_rows(runs: Sequence[Run], measures: Iterable[str]) -> Iterator[list[str]]:
    columns = [
        [said(mean, half, DIGITS.get(name, 3)) for mean, half in zip(*interval(values), strict=True)]
        for name in measures
        for values in [np.array([run[name] for run in runs])]
    ]
    for place, (name, width) in enumerate(zip(runs[0]["heads"], runs[0]["widths"], strict=True)):
        yield [name, f"{width}", *(column[place] for column in columns)]


def most_rows(runs: Sequence[Run]) -> Iterator[list[str]]:
    for name in SOUGHT:
        places = most(runs, name)
        counted = ", ".join(
            f"{runs[0]['heads'][place]} (width {runs[0]['widths'][place]}): {n}"
            for place, n in Counter(places).most_common()
        )
        values = np.array([run[name][place] for run, place in zip(runs, places, strict=True)])
        yield [name, counted, said(*map(float, interval(values)), DIGITS.get(name, 3))]


def adjusted_p(differences: Floats) -> Floats:
    """The p of each column of differences (n, k) having a mean of 0, times k (Student's t, Bonferroni).

    NaN where a column does not vary.
    """
    k = differences.shape[1]
    varies = np.ptp(differences, axis=0) > 0
    p = np.full(k, np.nan)
    p[varies] = stats.ttest_1samp(differences[:, varies], 0).pvalue
    return np.minimum(1, k * p)


def share_rows(of_context: dict[int, list[Run]]) -> Iterator[list[str]]:
    """Of each width and of the first layer, their parts of the columns and of the bits for each T; then the
    last T less the first, with its adjusted p.
    """
    contexts = list(of_context.values())
    widths, columns, _ = of_widths(contexts[0])
    shares = [np.column_stack([of_widths(runs)[2], of_first_layer(runs)]) for runs in contexts]
    names = [*(f"{width}" for width in widths), "all of layer 1"]
    for row, (name, part) in enumerate(zip(names, [*columns, 0.5], strict=True)):
        cells = [name, f"{100 * part:.1f}", *(percent(share[:, row]) for share in shares)]
        if len(contexts) > 1:
            differences = shares[-1] - shares[0]
            p = adjusted_p(differences)[row]
            shown = "" if np.isnan(p) else "< 0.001" if p < 0.001 else f"{p:.3f}"
            cells += [percent(differences[:, row]), shown]
        yield cells


def percent(values: Floats) -> str:
    mean, half = interval(100 * values)
    return said(float(mean), float(half), 1)


def show(of_context: dict[int, list[Run]]) -> None:
    contexts = list(of_context)
    header = ["width", "of the columns", *(f"of the bits, T {seq_len}" for seq_len in contexts)]
    if len(contexts) > 1:
        header += [f"T {contexts[-1]} less T {contexts[0]}", "p"]
    print("Parts in percent:\n")
    print(markdown(header, share_rows(of_context)))
    for seq_len, runs in of_context.items():
        overall = (
            f"{name} {said(*map(float, interval(np.array([run[name] for run in runs]))), 3)}"
            for name in ("loss", "gain", "gini")
        )
        uniform = ", ".join(f"{name} {value:.3f}" for name, value in runs[0]["uniform"].items())
        print(f"\nT {seq_len}, {len(runs)} seeds: {', '.join(overall)} (a uniform head: {uniform})\n")
        names = list(MEASURES)
        for some in (names[:6], names[6:]):
            print(markdown(["head", "width", *some], head_rows(runs, some)) + "\n")
        print(markdown(["the head with the most", "in how many seeds", "it has"], most_rows(runs)))


def contexts_of(text: str) -> list[int]:
    """Raises UsageError for what is no list of divisors of CHARACTERS_PER_STEP."""
    try:
        found = [int(part) for part in text.split(",")]
    except ValueError:
        found = []
    if not found or any(seq_len < 2 or CHARACTERS_PER_STEP % seq_len for seq_len in found):
        raise UsageError(
            f"--seq-len takes divisors of {CHARACTERS_PER_STEP:,} with commas between them, not {text!r}"
        )
    return found


def main(
    text: Annotated[Path, typer.Argument(help="A text in UTF-8.")],
    seeds: Annotated[int, typer.Option(min=2, help="Runs for each T.")] = 10,
    steps: Annotated[int, typer.Option(min=1, help="Steps of a run.")] = 6000,
    seq_len: Annotated[str, typer.Option(help="Contexts T, the shortest first.")] = "32,128",
    runs: Annotated[Path | None, typer.Option(help="Where runs are kept, to go on from.")] = None,
    json_: Annotated[bool, typer.Option("--json", help="All numbers of all runs.")] = False,
) -> None:
    """Which heads hold the bits, fill their rank and do induction, over several seeds."""
    try:
        contexts = contexts_of(seq_len)
        of_context: dict[int, list[Run]] = {T: [] for T in contexts}
        for run in runs_of(text, seeds, steps, contexts, runs):
            of_context[run["seq_len"]].append(run)
    except MicrogptError as error:
        print(f"head_roles: {error}", file=sys.stderr)
        raise typer.Exit(error.exit_code) from None
    if json_:
        print(json.dumps([run for found in of_context.values() for run in found], indent=1))
    else:
        show(of_context)


if __name__ == "__main__":
    typer.run(main)
