"""The figures of a race: for each condition its losses, its pairs, its rates and its seconds, as SVG and PNG.

The same report gives the same files, byte by byte. An entrant has one colour and one marker in all of them.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from microgpt.errors import MicrogptError
from microgpt.files import write_atomically
from microgpt.race.figure_of_losses import draw_losses
from microgpt.race.figure_of_pairs import draw_pairs
from microgpt.race.figure_of_rates import draw_rates
from microgpt.race.figure_of_seconds import draw_seconds
from microgpt.race.figure_page import EQUAL_SECONDS, INK, QUIET, Look, settle
from microgpt.race.report import Finding, Report, what_steps

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Those of Okabe and Ito (2008), which people with any colour vision tell apart, but for the yellow, which is
# hardly seen on white
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = "osD^vP"  # of the entrants with the first seven colours, of the next seven, and so on
STYLE = {
    "font.size": 9,
    "text.color": INK,
    "text.parse_math": False,  # a $ in a name is a $
    "axes.edgecolor": QUIET,
    "axes.linewidth": 0.6,
    "axes.labelcolor": INK,
    "axes.labelsize": 9,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.titlepad": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.formatter.useoffset": False,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "lines.linewidth": 1.5,
    "savefig.dpi": 200,
    "svg.fonttype": "path",  # looks the same everywhere; each text stands beside it as a comment
    "svg.hashsalt": "microgpt",
}


def draw(report: Report, directory: Path) -> list[Path]:
    """Write the figures of each condition, as far as there is something to show; returns their paths.

    Raises MicrogptError where a file cannot be written, and where matplotlib cannot be imported.
    """
    try:
        from matplotlib import style
    except ImportError as error:
        raise MicrogptError(
            f"matplotlib, which draws the figures, cannot be imported ({error}): "
            "pip install 'microgpt-numba[plots]'"
        ) from None
    looks = {
        name: Look(COLOURS[i % len(COLOURS)], MARKERS[i // len(COLOURS) % len(MARKERS)])
        for i, name in enumerate(report.plan.entrants)
    }
    paths = []
    names = file_names([finding.condition for finding in report.findings])
    with style.context(STYLE, after_reset=True), warnings.catch_warnings():
        # of a name in a script that the font lacks
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        for finding, name in zip(report.findings, names, strict=True):
            for what, figure in _figures(finding, looks):
                settle(figure)
                for format in ("svg", "png"):
                    path = directory / f"{name}-{what}.{format}"
                    content = io.BytesIO()
                    metadata = {"Date": None} if format == "svg" else None
                    figure.savefig(content, format=format, metadata=metadata)
                    write_atomically(path, content.getvalue())
                    paths.append(path)
    return paths


def file_names(conditions: Sequence[str]) -> list[str]:
    """For each condition a name that every file system takes, and no two the same."""
    names: list[str] = []
    taken = set()
    for condition in conditions:
        stem = re.sub(r"[^\w.]+", "-", condition).strip("-._")[:50] or "condition"
        name, i = stem, 1
        while name.casefold() in taken:
            i += 1
            name = f"{stem}-{i}"
        taken.add(name.casefold())
        names.append(name)
    return names


def _figures(finding: Finding, looks: Mapping[str, Look]) -> Iterator[tuple[str, Figure]]:
    if finding.equal_steps or finding.equal_seconds:
        yield "losses", draw_losses(finding, looks)
    if finding.equal_steps:
        yield (
            "pairs-equal-steps",
            draw_pairs(finding.condition, finding.equal_steps, what_steps(finding.equal_steps)),
        )
    if finding.equal_seconds:
        yield "pairs-equal-seconds", draw_pairs(finding.condition, finding.equal_seconds, EQUAL_SECONDS)
    if any(rate.bits for side in finding.sides for rate in side.rates):
        yield "rates", draw_rates(finding, looks)
    if finding.equal_steps:
        yield "seconds", draw_seconds(finding, finding.equal_steps, looks)
