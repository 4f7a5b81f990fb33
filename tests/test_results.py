"""Whatever a model returns can be read by a table, a program and a notebook."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab.results import Result, plain, table_html


@dataclass(frozen=True)
class Cups(Result):
    """A small result, to test what all results inherit."""

    names: tuple[str, ...] = ("tea", "<b>coffee</b>")
    fill: tuple[float, ...] = (0.25, math.inf)

    def to_frame(self) -> pd.DataFrame:
        return pd.DataFrame({"name": self.names, "fill_l": np.array(self.fill)})

    def summary(self) -> dict[str, float | int | str]:
        return {"cups": np.int64(2), "most_l": np.float64(math.inf)}  # type: ignore[dict-item]

    def explain(self) -> str:
        return "Tea & <coffee>."


leaves = st.one_of(
    st.none(), st.booleans(), st.integers(), st.text(), st.floats(),
    st.floats(width=32).map(np.float32), st.integers(-9, 9).map(np.int64),
    st.lists(st.floats(), max_size=3).map(np.array),
)  # fmt: skip
trees = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(trees)
def test_plain_values_are_json_and_stay_what_they_are(value: object) -> None:
    once = plain(value)
    assert json.loads(json.dumps(once, allow_nan=False)) == once
    assert plain(once) == once


def test_plain_keeps_numbers_exactly() -> None:
    assert plain(np.float64(0.1)) == 0.1
    assert plain({1: (np.int32(2), np.array([[1, 2], [3, 4]]))}) == {"1": [2, [[1, 2], [3, 4]]]}
    assert plain(np.array([math.nan, -math.inf])) == [None, None]
    assert plain(np.bool_(1)) is True


def test_json_has_the_summary_and_the_rows() -> None:
    assert Cups().to_json() == {
        "cups": 2,
        "most_l": None,
        "rows": [{"name": "tea", "fill_l": 0.25}, {"name": "<b>coffee</b>", "fill_l": None}],
    }


def test_a_notebook_shows_sentences_and_rows_and_no_markup_of_the_data() -> None:
    html = Cups()._repr_html_()
    assert "Tea &amp; &lt;coffee&gt;." in html
    assert "&lt;b&gt;coffee" in html
    assert "<b>" not in html
    assert "0.25" in html


def test_a_table_puts_words_left_numbers_right_and_drops_the_middle_when_long() -> None:
    frame = pd.DataFrame({"vm": [f"VM{i}" for i in range(30)], "mb": [i / 3 for i in range(30)]})
    html = table_html(frame, max_rows=4, number_format=".2f")
    assert html.count('<td style="text-align:left">') == html.count('<td style="text-align:right">')
    shown = [name for name in frame["vm"] if f">{name}<" in html]
    assert shown == ["VM0", "VM1", "VM28", "VM29"]
    assert ">0.33<" in html
    assert ">9.67<" in html
    assert html.count("…") == 2
    counts = table_html(pd.DataFrame({"n": [1000000], "ok": [True]}))
    assert ">1,000,000<" in counts  # a whole number stays whole, and can be read
    assert ">True<" in counts


def test_a_result_must_say_all_three_things() -> None:
    class Silent(Result):
        pass

    with pytest.raises(TypeError, match="explain"):
        Silent()  # type: ignore[abstract]  # that it can't be made is the test
