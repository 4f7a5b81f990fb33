"""Figures of a walk: which ring runs, what led there, and which ring ran when."""

from __future__ import annotations

import pytest
from matplotlib.patches import Circle

from virtlab.machine.walk.programs import attempt, kernel_ride, moments
from virtlab.plots import style
from virtlab.plots.rings_moment import draw_moment, draw_ride


def texts(figure: style.Plate) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts if text.get_text()]


@pytest.mark.parametrize("width", [960, 380])
def test_the_ring_that_runs_is_marked_and_so_is_the_line(width: int) -> None:
    moment = attempt(bytes.fromhex("90 cd80"), ring=3).go(2)
    figure = draw_moment(moment, "A call", {0: "kernel"}, style.plate(width))
    circles = [patch for patch in figure.axes[0].patches if isinstance(patch, Circle)]
    widths = {round(circle.radius, 2): circle.get_linewidth() for circle in circles}
    assert max(widths, key=lambda radius: widths[radius]) == min(widths)  # ring 0, the innermost
    words = texts(figure)
    assert "int 0x80" in words
    assert any(word.startswith("▶") and "IRET" in word for word in words)
    assert any("CS: 0x3b → 0x8" in word for word in words)


def test_long_lists_are_cut_and_say_so() -> None:
    moment = kernel_ride().go(moments()["a page is not there: #PF"])
    words = texts(draw_moment(moment, "A fault", figure=style.plate(960)))
    assert max(map(len, words)) <= 40
    assert any("error code" in word for word in words) or any("more" in word for word in words)


def test_which_ring_ran_when() -> None:
    figure = draw_ride(kernel_ride())
    labels = [tick.get_text() for tick in figure.axes[0].get_yticklabels()]
    assert labels == ["ring 0", "ring 3", "int 0x80", "timer", "#PF"]
    assert "ring 3 146,134" in figure.alt
