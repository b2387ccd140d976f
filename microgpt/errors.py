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
