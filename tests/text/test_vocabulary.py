"""Characters and their ids."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sentences import error_of

from microgpt.text.vocabulary import Vocabulary

# every code point that a UTF-8 file can hold
characters = st.characters(exclude_categories=["Cs"])


def test_ids_are_places_in_the_sorted_characters():
    vocabulary = Vocabulary("\n abé😀")
    ids = vocabulary.encode("b😀a\né")
    assert ids.dtype == np.int32
    assert ids.tolist() == [3, 5, 2, 0, 4]
    assert vocabulary.decode(ids) == "b😀a\né"
    assert len(vocabulary) == 6
    assert vocabulary.encode("").shape == (0,)
    assert vocabulary.decode([]) == ""


@settings(deadline=None)
@given(st.text(characters, min_size=1))
def test_encoding_is_reversible(text):
    vocabulary = Vocabulary("".join(sorted(set(text))))
    ids = vocabulary.encode(text)
    assert ids.tolist() == [vocabulary.characters.index(character) for character in text]
    assert vocabulary.decode(ids) == text


def test_every_unknown_character_is_named():
    vocabulary = Vocabulary("abc")
    assert error_of(vocabulary.encode, "aéb") == "the model does not know 'é' (U+00E9)"
    message = error_of(vocabulary.encode, "z\naz\udc80")
    # a lone surrogate, as a command line that is not UTF-8 brings it, is named in printable characters
    assert message == r"the model does not know '\n' (U+000A), 'z' (U+007A) and '\udc80' (U+DC80)"
    assert message.isprintable()
    many = error_of(vocabulary.encode, "".join(chr(0x4E00 + i) for i in range(500)))
    assert many.endswith(f"'{chr(0x4E09)}' (U+4E09) and 490 more")


@pytest.mark.parametrize("broken", ["", "ba", "aab", "a\ud800", "ab" * 5_000_000, "a\udfff\ue000"])
def test_a_damaged_vocabulary_is_refused(broken):
    error_of(Vocabulary, broken)


@pytest.mark.parametrize("ids", [[-1], [3], [0, 99]])
def test_ids_outside_the_vocabulary_are_refused(ids):
    with pytest.raises(IndexError):
        Vocabulary("abc").decode(ids)
