"""Checkpoints: files that are written as a whole, and checked when they are read."""
