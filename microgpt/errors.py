"""The errors that a user can cause: each is one clear sentence, and carries the exit code of the program."""


class MicrogptError(Exception):
    """Something that the user asked for cannot be done; the message says what, where and what would work."""

    exit_code = 1


class UsageError(MicrogptError):
    """The command line asks for something that cannot be meant."""

    exit_code = 2


class NotFiniteError(MicrogptError):
    """The loss or a gradient stopped being a finite number."""

    exit_code = 3


SHOWN = 60


def shown(value: object) -> str:
    """A value as Python writes it, for a message: SHOWN characters at most, and all of them printable."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # a number of thousands of digits, or brackets a thousand deep
        return f"of type {type(value).__name__}, too long to show"
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."
