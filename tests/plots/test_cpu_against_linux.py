"""Figures of our scheduler against Linux's: they draw what the numbers say, at both widths."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from virtlab.plots import style
from virtlab.plots.cpu_against_linux import draw_against_linux, draw_turns_against_linux
from virtlab.resources.cpu_against_linux import against_linux, turns_against_linux
from virtlab.resources.cpu_turns import TRACED

WIDTHS = [style.WIDE_PX, style.NARROW_PX]


def texts_keep_apart(figure: style.Plate) -> None:
    renderer = FigureCanvasAgg(figure).get_renderer()
    texts = [*figure.texts]
    for axes in figure.axes:
        texts += [*axes.texts, axes.title, axes._left_title]  # type: ignore[attr-defined]
    boxes = [text.get_window_extent(renderer) for text in texts if text.get_text()]
    for one, other in combinations(boxes, 2):
        assert not one.overlaps(other)
    assert all(box.x1 <= figure.width_px for box in boxes)


@pytest.mark.parametrize("width", WIDTHS)
def test_points_are_linuxs_and_lines_ours(width: int) -> None:
    result = against_linux()
    figure = draw_against_linux(result, style.plate(width))
    (axes,) = figure.axes
    dots = np.concatenate([np.asarray(line.get_xdata(), dtype=float) for line in axes.lines])
    linux = [case.linux.ravel() for case in reversed(result.cases)]
    assert dots == pytest.approx(np.concatenate(linux))
    lines = [segment[0, 0] for rows in axes.collections for segment in rows.get_segments()]  # type: ignore[attr-defined] # they are lines
    ours = [case.predicted.ravel() for case in reversed(result.cases)]
    assert lines == pytest.approx(np.concatenate(ours))
    shown = [text.get_text() for text in axes.texts]
    assert shown[:-1] == [f"{case.off:.2f}" for case in reversed(result.cases)]
    assert f"by {result.off:.2f} at most" in figure.texts[0].get_text().replace("\n", " ")
    assert "one takes naps, Linux 25.3" in figure.alt
    texts_keep_apart(figure)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", TRACED)
def test_both_orders_of_turns_are_drawn(name: str, width: int) -> None:
    result = turns_against_linux(name)
    figure = draw_turns_against_linux(result, style.plate(width))
    upper, lower = figure.axes
    for axes, turns in ((upper, result.linux), (lower, result.ours)):
        assert sum(len(bars.get_paths()) for bars in axes.collections) == turns.process.size
    assert result.explain() in figure.alt
    texts_keep_apart(figure)
    assert figure.png(scale=1)
