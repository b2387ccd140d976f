"""The errors that a user can cause: each is one clear sentence, and carries the exit code of the program."""


class MicrogptError(Exception):
    """Something that the user asked for cannot be done; the message says what, where and what would work."""

    exit_code = 1


class UsageError(MicrogptError):
    """The options are wrong, or make no sense together."""

    exit_code = 2


class NotFiniteError(MicrogptError):
    """The loss or a gradient stopped being a finite number."""

    exit_code = 3


SHOWN = 60
SHOWN_OF_PATH = 240


def shown(value: object) -> str:
    """A value as Python writes it, for a message: SHOWN characters at most, and all of them printable."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # a number of thousands of digits, or brackets a thousand deep
        return f"of type {type(value).__name__}, too long to show"
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."


def shown_path(path: object) -> str:
    """A path as a message names it: escapes for what cannot be printed; of a very long one, both ends."""
    text = _printable(str(path))
    half = SHOWN_OF_PATH // 2
    return text if len(text) <= SHOWN_OF_PATH else f"{text[:half]}...{text[-half:]}"


def _printable(text: str) -> str:
    # lone surrogates stand for the bytes of a name that is not UTF-8, and no stream can write them
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
