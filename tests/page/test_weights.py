import base64
import json

import numpy as np
import pytest
from saved_examples import arrays_of, model_of

from microgpt.model.constants import attention_scale
from microgpt.page.weights import model_bytes, model_data


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_data_hold_the_weights_and_all_that_the_model_needs_besides(dtype):
    saved = model_of(dtype=dtype, attention_scale="linear", positions="learned")
    param, *_ = arrays_of(saved)
    data = json.loads(json.dumps(model_data(saved.architecture, saved.vocabulary, param)))
    read = np.frombuffer(base64.b64decode(data["weights"]), "<f4")
    assert np.array_equal(read, param.astype(np.float32))
    assert sum(size for _, size in data["tensors"]) == len(read)
    assert data["vocabulary"] == saved.vocabulary.characters
    assert data["heads"] == [[1, 2, 3], [6]]
    assert data["scales"][0] == [attention_scale("linear", D) for D in (1, 2, 3)]
    sizes = saved.architecture.sizes
    assert [data[letter] for letter in "TCFL"] == [sizes[letter] for letter in "TCFL"]


def test_the_size_in_a_page_is_known_before():
    saved = model_of()
    data = model_data(saved.architecture, saved.vocabulary, arrays_of(saved)[0])
    assert model_bytes(saved.architecture) == len(data["weights"])
