"""A character-level Transformer with hand-written gradients and heads of any width.

From Python there are `train`, `load` and the `Model` that both return:

    model = microgpt.train("my.txt", steps=2000)
    print(model.generate("Once"))
    model = microgpt.load("runs/my")

Whatever cannot be done is a `MicrogptError`, whose message says what is wrong and what would work.
"""

from typing import TYPE_CHECKING, Any

from microgpt.errors import MicrogptError

if TYPE_CHECKING:
    from microgpt.api.model import Model as Model
    from microgpt.api.model import load as load
    from microgpt.api.training import train as train

__version__ = "0.1.0"
__all__ = ["MicrogptError", "Model", "__version__", "load", "train"]

if not TYPE_CHECKING:  # a type checker would take any name for one that is here

    def __getattr__(name: str) -> Any:
        """What needs NumPy and the kernels is imported at its first use."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from microgpt.api import model, training

        return getattr(training if name == "train" else model, name)

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
