"""The table for a terminal."""

import re
from dataclasses import replace

import numpy as np
import pytest
from heads_by_hand import KINDS, random_model, text_of, xray_of

from microgpt.terminal import fitting
from microgpt.xray.table import lines


@pytest.fixture(scope="module")
def found():
    return xray_of(random_model(**KINDS["learned"]), text_of(60), with_shapley=True)


def split_header(header):
    return re.split("  +", header.strip())


def test_there_is_a_row_for_each_head(found):
    said, blank, header, *below = lines(found)
    rows, (_, *explained) = below[:4], below[4:]
    assert said.startswith(f"{found.ablations.all_on:.4f} bits per character on 60 characters (your text); ")
    assert not blank
    assert header.split()[:3] == ["head", "width", "bits"]
    assert [row.split()[:2] for row in rows] == [["1.1", "1"], ["1.2", "2"], ["1.3", "3"], ["2.1", "6"]]
    assert {len(row) for row in (header, *rows)} == {len(header)}
    place = header.index("shapley") + len("shapley")
    assert rows[3][:place].endswith(f"{found.shapley.bits[3]:.4f}")
    assert [line.split(":")[0] for line in explained[:-1]] == split_header(header)[2:]
    assert explained[-1] == "docs/xray.md explains them all; --json has more."


def test_a_narrow_terminal_has_fewer_columns(found, monkeypatch):
    whole = lines(found)[2]
    monkeypatch.setattr(fitting, "columns", lambda: 60)
    shown = lines(found)
    assert max(map(len, "\n".join(shown).splitlines())) <= 60
    assert not any("copying" in line for line in shown)
    left_out = len(split_header(whole)) - len(split_header(shown[2]))
    assert f"A wider terminal shows {left_out} more columns. " in " ".join(shown).replace("\n", " ")


@pytest.mark.parametrize("has_intervals", [False, True])
def test_a_column_of_blanks_is_left_out_at_any_width(found, monkeypatch, has_intervals):
    bounds = np.full(4, 0.5 if has_intervals else np.nan)
    by_mean = replace(found.ablations.mean, low=bounds, high=bounds)
    told = replace(found, ablations=replace(found.ablations, mean=by_mean))
    assert ("interval" in split_header(lines(told)[2])) == has_intervals
    monkeypatch.setattr(fitting, "columns", lambda: 20)
    header = next(line for line in lines(told) if "head" in line and "width" in line)
    assert "interval" not in header


def test_that_n_grams_are_left_out_is_said(found):
    found.run["ngrams"] = 6
    try:
        assert lines(found)[0].endswith("; all of the network without its n-grams")
    finally:
        found.run["ngrams"] = None
