"""How a difference between the options of two runs is said."""

from __future__ import annotations

from microgpt.errors import shown


def said(name: str, before: object, after: object) -> str:
    """That the option of this field was `before` and is `after` now, in the words of the command line."""
    option = name.replace("_", "-")
    if isinstance(before, bool) and isinstance(after, bool):
        words = {True: "on", False: "off"}
        return f"--{option} was {words[before]} and is now {words[after]}"
    was, now = ("not given" if value is None else shown(value) for value in (before, after))
    return f"--{option} was {was} and is now {now}"
