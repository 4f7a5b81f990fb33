"""The timeline: each row of the data once, tied to its year."""

from __future__ import annotations

import numpy as np
import pytest

from virtlab.datasets import milestones
from virtlab.plots import style
from virtlab.plots.milestones import draw_milestones


def test_the_data_are_in_order_and_each_has_a_source() -> None:
    frame = milestones()
    assert frame["year"].is_monotonic_increasing
    assert (frame["until"] >= frame["year"]).all()
    assert set(frame["kind"]) == {"machine", "theory", "product"}
    assert (frame["source"].str.len() > 5).all()
    assert frame.loc[frame["source"] == "the talk", "slide"].str.fullmatch(r"S\d+").all()
    assert not frame["what"].duplicated().any()


@pytest.mark.parametrize("width", [style.WIDE_PX, style.NARROW_PX])
def test_each_row_is_tied_to_its_year(width: int) -> None:
    frame = milestones()
    axes = draw_milestones(frame, style.plate(width)).axes[0]
    years = sorted(
        float(np.asarray(line.get_ydata())[0])
        for line in axes.lines
        if np.size(line.get_xdata()) == 3
    )
    shown = (
        frame if width == style.WIDE_PX else frame[(frame["slide"] != "") | (frame["year"] == 1974)]
    )
    assert years == sorted((shown["year"] + shown["until"]) / 2)
    assert len(axes.texts) == len(shown)


def test_all_of_it_is_told_in_words() -> None:
    frame = milestones()
    alt = draw_milestones(frame).alt
    assert all(
        f"{year} {what}" in alt for year, what in zip(frame["year"], frame["what"], strict=True)
    )
