"""The text to look at where nobody names one: what the run held out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from microgpt.arrays import IdArray
from microgpt.config import TrainConfig
from microgpt.errors import MicrogptError
from microgpt.text.vocabulary import Vocabulary
from microgpt.text.walk import split
from microgpt.use.own_text import own_text

OTHERWISE = "name the text to look at"


def held_out(config: TrainConfig | None, notes: Mapping[str, Any], vocabulary: Vocabulary) -> IdArray:
    """The ids of the text that a run held out. Raises MicrogptError where there is none, or none any more.

    config  the options of the run, None where nobody knows them; notes, those of its model
    """
    if config is None:
        raise MicrogptError(f"this model does not say which text it has not seen in training: {OTHERWISE}")
    if not config.val_fraction:
        raise MicrogptError(
            "the run held nothing out, so that there is no text that its model has not seen: "
            f"{OTHERWISE}, as `microgpt xray RUN TEXT` does; `microgpt train TEXT --val-fraction 0.1` keeps "
            "one for it"
        )
    need = "the X-ray looks at what the run held out of its text"
    text = own_text(config.file, notes, vocabulary, need=need, otherwise=OTHERWISE)
    return split(text.ids, config.val_fraction)[1]
