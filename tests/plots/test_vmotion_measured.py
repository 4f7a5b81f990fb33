"""Figures of predicted against measured: what they show is what the result says, at both widths."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from matplotlib.patches import Rectangle

from virtlab.migration.qemu import QemuParameters, against_measured, effects
from virtlab.migration.qemu.table import bandwidth_table
from virtlab.plots import style
from virtlab.plots.vmotion_measured import draw_against_measured, draw_effects, draw_table

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
def test_every_run_that_completed_is_a_point(width: int) -> None:
    comparison = against_measured()
    figure = draw_against_measured(comparison, style.plate(width))
    done = comparison.runs["time_percent"].notna().sum()
    for axes in figure.axes:
        points = [line for line in axes.get_lines() if np.size(line.get_xdata()) != 1]
        shown = sum(np.size(line.get_xdata()) for line in points[1:])
        assert shown == done
        (x, y) = points[0].get_data()
        assert np.array_equal(x, y)
    assert f"of {done} migrations" in figure.alt
    inside(figure)


@WIDTHS
def test_bars_are_the_errors(width: int) -> None:
    table = effects()
    figure = draw_effects(table, style.plate(width))
    for axes, column in zip(figure.axes, ("time_percent", "downtime_ms"), strict=True):
        bars = [bar.get_width() for bar in axes.patches if isinstance(bar, Rectangle)]
        assert bars == pytest.approx(table[column].tolist())
    assert "the textbook: 16.60 %" in figure.alt
    inside(figure)


@WIDTHS
def test_cells_are_the_table(width: int) -> None:
    table = bandwidth_table(QemuParameters(dirty_pages_s=8000), (16, 64), (100, 300, 1000))
    figure = draw_table(table, figure=style.plate(width))
    words = [text.get_text() for text in figure.axes[0].texts]
    assert words[:3] == ["\u2013"] * 3
    assert words[3:] == list(table.grid().to_numpy()[1])
    assert "3 of 6" in figure.alt
    inside(figure)
    again = draw_table(table, "downtime_ms", figure)
    assert again is figure
    assert "downtime" in figure.alt
