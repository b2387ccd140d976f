"""Where each head is, and sums over the columns of heads."""

import numpy as np
from heads_by_hand import architecture_of

from microgpt.xray.head import heads_of, sum_by_head


def test_heads_are_counted_layer_by_layer():
    heads = heads_of(architecture_of(heads="1+2+3 | 6", attention_scale="linear"))
    assert [head.name for head in heads] == ["1.1", "1.2", "1.3", "2.1"]
    assert [head.width for head in heads] == [1, 2, 3, 6]
    assert [head.columns for head in heads] == [slice(0, 1), slice(1, 3), slice(3, 6), slice(0, 6)]
    assert [head.scale for head in heads] == [4, 2, 4 / 3, 4 / 6]


def test_columns_are_summed_by_head():
    heads = heads_of(architecture_of(heads="1+2+3 | 6"))
    columns = np.arange(24).reshape(2, 2, 6)
    assert sum_by_head(columns, heads).tolist() == [[0, 3, 12, 51], [12, 27, 48, 123]]
