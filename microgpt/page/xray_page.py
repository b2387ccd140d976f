"""The page of an X-ray: what was measured of the heads, and the model itself to try it on other texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from microgpt.page.page import asset, document

SCRIPTS = (
    "model.js", "elements.js", "chosen.js", "measures.js", "live.js", "heads.js", "text.js", "character.js",
    "attention.js", "head.js", "typing.js", "tables.js", "curves.js", "xray.js",
)  # fmt: skip
MOST_PAIRS = 60  # of heads: with 64 heads a layer, all of them would be most of the page


def xray_page(
    xray: Mapping[str, Any], model: Mapping[str, Any] | None = None, notices: Sequence[str] = ()
) -> str:
    """The text of an HTML file.

    xray     what `microgpt xray --json` prints
    model    what `model_data` makes; None for a page in which only the measured text can be looked at
    notices  sentences that stand on top
    """
    shown = dict(xray)
    if model is not None:  # which computes this itself, of any text
        shown["attribution"] = {**xray["attribution"], "logits": None}
    shown["composition"] = sorted(xray["composition"], key=lambda pair: -pair["excess"])[:MOST_PAIRS]
    return document(
        f"X-ray of {xray['run']['name']}",
        asset("xray.html"),
        styles=[asset("xray.css")],
        scripts=[asset(name) for name in SCRIPTS],
        data={"xray": shown, "model": model, "notices": list(notices)},
    )
