"""Stub."""


def draw(report, directory):
    return []
