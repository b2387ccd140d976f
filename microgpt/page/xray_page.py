"""The page of an X-ray: what was measured of the heads, and the model itself to try it on other texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from microgpt.arrays import Array
from microgpt.page.page import asset, document
from microgpt.page.play import without_ngrams
from microgpt.page.weights import MOST_BYTES, model_bytes, model_data
from microgpt.xray.as_json import as_json
from microgpt.xray.xray import Xray

SCRIPTS = (
    "elements.js", "model.js", "reader.js", "weighing.js", "chosen.js", "measures.js", "live.js", "heads.js",
    "text.js", "character.js", "attention.js", "head.js", "typing.js", "tables.js", "curves.js",
    "film.js", "xray.js",
)  # fmt: skip
# What a page can show without becoming slow to open; the measures are those of everything.
MOST_CHARACTERS = 20_000
MOST_CONTRIBUTIONS = 150_000  # numbers, in a page without the model
MOST_PAIRS = 60  # of heads


def xray_page(found: Xray, param: Array, *, with_model: bool | None = None) -> str:
    """The text of an HTML file.

    param       (P,) the weights of the model
    with_model  whether the page has the model in it, so that all follows any other text; None for up to
                MOST_BYTES. A page without it shows the measured text only.
    """
    n_bytes = model_bytes(found.architecture)
    included = n_bytes <= MOST_BYTES if with_model is None else with_model
    notices = []
    if not included:
        notices.append("The model is not in this page, which therefore shows the measured text only.")
        if with_model is None:
            notices[0] += (
                f" It would add {n_bytes / 1e6:.1f} MB, and above {MOST_BYTES / 1e6:.0f} MB a page is slow "
                "to open and to send; --model puts it in all the same."
            )
    if found.run["ngrams"]:
        notices.append(without_ngrams(found.run["ngrams"]))
    if len(found.text) > MOST_CHARACTERS:
        notices.append(
            f"Of the text, the first {MOST_CHARACTERS:,} characters are shown; the measures are those of all "
            f"{len(found.text):,}."
        )
    model = model_data(found.architecture, found.vocabulary, param) if included else None
    return assembled(as_json(found), model, notices)


def assembled(xray: dict[str, Any], model: dict[str, Any] | None, notices: Sequence[str] = ()) -> str:
    """The page of what `as_json` and `model_data` make, with sentences that stand on top."""
    parts = xray["attribution"]["parts"]
    # the model computes the contributions itself, of any text
    n_rows = 0 if model is not None else min(MOST_CHARACTERS, MOST_CONTRIBUTIONS // len(parts))
    shown = xray | {
        "text": xray["text"][:MOST_CHARACTERS],
        "bits": xray["bits"][: MOST_CHARACTERS - 1],
        "attribution": {"parts": parts, "logits": xray["attribution"]["logits"][:n_rows]},
        "composition": sorted(xray["composition"], key=lambda pair: -pair["excess"])[:MOST_PAIRS],
    }
    return document(
        f"X-ray of {xray['run']['name'] or 'a model'}",
        asset("xray.html"),
        styles=[asset("xray.css")],
        scripts=[asset(name) for name in SCRIPTS],
        data={"xray": shown, "model": model, "notices": list(notices)},
    )
