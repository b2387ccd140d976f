"""A character-level Transformer with hand-written gradients and heads of any width."""

__version__ = "0.1.0"
