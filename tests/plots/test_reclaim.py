"""Figures of a guest that gives memory back: they show what their results say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from virtlab.memory.ballooning import Reclaim, reclaim
from virtlab.memory.host.backing import STATES
from virtlab.memory.pressure import under_pressure
from virtlab.memory.pressure_check import SMALL, check_pressure
from virtlab.memory.reclaim_film import HELD
from virtlab.plots import style
from virtlab.plots.reclaim import INSIDE, OUTSIDE, draw_pressure, draw_sides, sides, titles

if TYPE_CHECKING:
    from collections.abc import Callable

    from virtlab.plots.style import Plate

FRAME = reclaim(Reclaim(means="both")).frame(40)
CURVES = under_pressure()


@pytest.fixture(scope="module")
def drawings() -> dict[str, Callable[[Plate | None], Plate]]:
    check = check_pressure((24.0,), operations=20_000)
    small = under_pressure(SMALL, 24.0, 2.0)
    return {
        "sides": lambda figure: draw_sides(FRAME, figure),
        "pressure": lambda figure: draw_pressure(CURVES, figure),
        "check": lambda figure: draw_pressure(small, figure, check),
    }


@pytest.mark.parametrize("width", [960, 380])
@pytest.mark.parametrize("name", ["sides", "pressure", "check"])
def test_every_figure_has_words_and_keeps_its_text_inside(
    drawings: dict[str, Callable[[Plate | None], Plate]], name: str, width: int
) -> None:
    figure = drawings[name](style.plate(width))
    figure.canvas.draw()
    assert len(figure.alt) > 100
    box = figure.bbox
    texts = [text for axes in figure.axes for text in axes.texts] + list(figure.texts)
    for text in texts:
        extent = text.get_window_extent()
        assert extent.x0 >= box.x0 - 1, text.get_text()
        assert extent.x1 <= box.x1 + 1, text.get_text()
        if text.get_text():
            assert float(text.get_fontsize()) * 100 / 72 >= 13.9, text.get_text()


def test_legends_name_all_that_can_be() -> None:
    assert len(INSIDE) == len(HELD)
    assert len(OUTSIDE) == len(STATES) - 1  # a shared page has a machine frame too


def test_both_maps_count_what_the_picture_counts() -> None:
    inside, outside = sides(FRAME)
    told = FRAME.summary()
    assert inside.counts["balloon"].item() == told["ballooned_pages"]
    assert outside.counts["given up"].item() == told["ballooned_pages"]
    assert outside.counts["host swap"].item() == told["swapped_pages"]
    assert inside.states.size == outside.states.size
    assert f"{told['ballooned_pages']} pages" in titles(FRAME)[0]
    assert f"{told['taken_pages']} of 240" in titles(FRAME)[1]


def test_words_have_the_numbers_of_both_maps() -> None:
    alt = draw_sides(FRAME).alt
    assert "120 balloon (23.4 %)" in alt
    assert "120 host swap (23.4 %)" in alt


def test_curves_are_the_results() -> None:
    axes = draw_pressure(CURVES).axes[0]
    lines = [line for line in axes.lines if np.size(line.get_xdata()) == CURVES.taken_mib.size]
    for line, means in zip(lines, CURVES.rates, strict=True):
        assert line.get_ydata() == pytest.approx(CURVES.percent(means))
    assert {line.get_linestyle() for line in lines} == {"-", "--", ":"}
    assert CURVES.explain() in draw_pressure(CURVES).alt
