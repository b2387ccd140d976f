"""The error of a backend that cannot be used."""


class BackendError(Exception):
    """A backend cannot run here, or does not fulfil the contract; the message says what is missing."""
