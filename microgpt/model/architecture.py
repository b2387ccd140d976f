"""The architecture of a model: all that is needed, besides its weights, to run it."""

from __future__ import annotations

from dataclasses import dataclass

from microgpt.bounds import check_bounds, one_of
from microgpt.errors import MicrogptError, shown
from microgpt.model.heads import Widths

POSITIONS = ("learned", "rope", "none")
DTYPES = ("float32", "float64")
INITS = ("large", "small")
ACTIVATIONS = ("relu2", "relu")
ATTENTION_SCALES = ("sqrt", "linear")


@dataclass(frozen=True)
class Architecture:
    """The sizes of a model. Raises MicrogptError for sizes that do not make a model."""

    vocabulary_size: int
    seq_len: int
    d_model: int
    n_layers: int
    d_ff: int
    heads: tuple[Widths, ...]  # of each layer
    positions: str
    activation: str  # the nonlinearity of the MLP
    token_shift: bool  # whether attention and the MLP read half of each row from the position before
    attention_scale: str  # how the scores of a head depend on its width
    dtype: str

    def __post_init__(self) -> None:
        check_bounds(self)
        one_of("positions", self.positions, POSITIONS)
        one_of("activation", self.activation, ACTIVATIONS)
        one_of("attention_scale", self.attention_scale, ATTENTION_SCALES)
        one_of("dtype", self.dtype, DTYPES)
        if len(self.heads) != self.n_layers:
            raise MicrogptError(
                f"there are head widths for {len(self.heads)} layers, not for {self.n_layers}"
            )
        for widths in set(self.heads):
            if min(widths, default=0) < 1 or sum(widths) != self.d_model:
                raise MicrogptError(f"the head widths {shown(widths)} do not sum to d_model {self.d_model}")

    @property
    def sizes(self) -> dict[str, int]:
        """The model's sizes by the letters of the contract."""
        T = self.seq_len
        return {
            "V": self.vocabulary_size,
            "T": T,
            "C": self.d_model,
            "L": self.n_layers,
            "F": self.d_ff,
            "H": max(len(widths) for widths in self.heads),
            "E": T if self.positions == "learned" else 0,
            "A": T if self.positions == "rope" else 0,
        }

    def flop_per_step(self, batch_size: int) -> int:
        """Floating-point operations of a training step's matrix products, and of nothing else.

        A linear map from K to M channels takes 2*N*K*M forward and twice that backward. Causal attention
        has (T+1)/2 keys for a query on the average: two products forward, four backward.
        """
        T = self.seq_len
        C, F, L, V = (self.sizes[letter] for letter in "CFLV")
        linear = 3 * 2 * batch_size * T * (L * (3 * C * C + C * C + 2 * C * F) + C * V)
        attention = (2 + 4) * 2 * batch_size * (T * (T + 1) // 2) * C * L
        return linear + attention
