"""An architecture that checks itself."""

import dataclasses

import pytest

from microgpt.config import TrainConfig
from microgpt.errors import MicrogptError

DEFAULT = TrainConfig(file="text.txt")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"vocabulary_size": 0}, "--vocabulary-size must be at least 1, not 0"),
        ({"d_ff": 0}, "--d-ff must be at least 1, not 0"),
        ({"positions": "x"}, "--positions 'x' is none of learned, rope, none"),
        ({"activation": "x"}, "--activation 'x' is none of relu2, relu"),
        ({"attention_scale": "x"}, "--attention-scale 'x' is none of sqrt, linear"),
        ({"dtype": "x"}, "--dtype 'x' is none of float32, float64"),
        ({"heads": ((64,),)}, "there are head widths for 1 layers, not for 2"),
        ({"heads": ((64,), (63,))}, "the head widths (63,) do not sum to d_model 64"),
        ({"heads": ((64,), (65, -1))}, "the head widths (65, -1) do not sum to d_model 64"),
        ({"heads": ((64,), ())}, "the head widths () do not sum to d_model 64"),
    ],
    ids=str,
)
def test_a_model_checks_itself(change, message):
    # a checkpoint can hold what no command line can say
    with pytest.raises(MicrogptError) as caught:
        dataclasses.replace(DEFAULT.architecture(65), **change)
    assert str(caught.value) == message
