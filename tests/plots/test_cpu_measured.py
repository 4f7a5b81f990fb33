"""Figures of a real scheduler: points, lines and bars are the result's, at both widths."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from matplotlib.patches import StepPatch

from virtlab.plots import style
from virtlab.plots.cpu_measured import draw_measured_cases, draw_measured_shares, draw_turns
from virtlab.resources.cpu_cases import CASES
from virtlab.resources.cpu_measured import measured_cases, measured_shares
from virtlab.resources.cpu_turns import TRACED, measured_turns

if TYPE_CHECKING:
    from virtlab.plots.style import Plate

WIDTHS = pytest.mark.parametrize("width", [style.WIDE_PX, style.NARROW_PX])


def inside(figure: Plate) -> None:
    figure.png(1)
    width, height = 100 * figure.get_size_inches()
    for text in [*figure.texts, *(text for axes in figure.axes for text in axes.texts)]:
        if text.get_text():
            box = text.get_window_extent()
            assert -1 <= box.x0 < box.x1 <= width + 1, text.get_text()
            assert -1 <= box.y0 < box.y1 <= height + 1, text.get_text()
            assert float(text.get_fontsize()) >= 10


@WIDTHS
@pytest.mark.parametrize("name", list(CASES))
def test_points_are_measured_and_lines_are_the_shares(name: str, width: int) -> None:
    result = measured_shares(name)
    figure = draw_measured_shares(result, style.plate(width))
    (axes,) = figure.axes
    for i, line in enumerate(axes.get_lines()[-result.case.size :]):
        assert np.array_equal(np.asarray(line.get_ydata()), result.percent[:, :, i].ravel())
    steps = [patch for patch in axes.patches if isinstance(patch, StepPatch)]
    for i, step in enumerate(steps):
        assert np.array_equal(step.get_data()[0], result.model[:, i])
    assert len(steps) == result.case.size
    assert f"off by at most {result.off:.2f} points" in figure.alt
    inside(figure)


@WIDTHS
def test_each_case_has_a_row_with_its_error(width: int) -> None:
    result = measured_cases()
    figure = draw_measured_cases(result, style.plate(width))
    errors = figure.axes[-1]
    dots = [float(np.asarray(line.get_xdata())[0]) for line in errors.get_lines()[1::2]]
    assert dots == [case.off for case in reversed(result.cases)]
    assert f"100:1 {measured_shares('100:1').off:.2f}" in figure.alt
    inside(figure)


def test_every_part_is_a_point_beside_the_diagonal() -> None:
    result = measured_cases()
    lines = draw_measured_cases(result).axes[0].get_lines()
    shown = sum(np.size(line.get_xdata()) for line in (lines[1], lines[3]))
    assert shown == result.pairs()[0].size


@WIDTHS
@pytest.mark.parametrize("name", TRACED)
def test_bars_are_turns_and_lines_are_lags(name: str, width: int) -> None:
    turns = measured_turns(name)
    figure = draw_turns(turns, style.plate(width))
    bars, lags = figure.axes
    drawn = sum(len(rows.get_paths()) for rows in bars.collections)
    assert drawn == turns.process.size
    for i, line in enumerate(lags.get_lines()[:-1]):
        assert np.array_equal(np.asarray(line.get_ydata()), turns.lag_ms[:, i])
    assert f"{turns.process.size} turns" in figure.alt
    inside(figure)
