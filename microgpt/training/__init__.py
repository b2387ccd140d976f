"""Training: from a configuration and a text to a run directory with a model in it."""
