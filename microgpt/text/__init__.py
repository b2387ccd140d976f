"""Texts as token ids: reading them, their vocabulary and entropy, and the walk through them in batches."""
