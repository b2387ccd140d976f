"""Texts to train on: the tales that come with the program, and tinyshakespeare."""
