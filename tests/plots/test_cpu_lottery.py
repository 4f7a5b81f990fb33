"""Figures of lottery against stride: lines are the runs, points are published."""

from __future__ import annotations

import numpy as np
import pytest

from virtlab.plots import style
from virtlab.plots.cpu_lottery import draw_chance, draw_published_ratios
from virtlab.resources.cpu.lottery import PUBLISHED_RATIOS, chance

OURS = [chance(run.shares, run.seconds, runs=3) for run in PUBLISHED_RATIOS]


@pytest.mark.parametrize("width", [style.WIDE_PX, style.NARROW_PX])
def test_lines_are_the_runs(width: int) -> None:
    result = chance(2, 20, runs=5)
    figure = draw_chance(result, style.plate(width))
    assert figure.png(scale=1)
    lines = [np.asarray(line.get_ydata()) for line in figure.axes[0].lines]
    for line, run in zip(lines, result.lottery, strict=False):
        assert np.array_equal(line, run)
    assert np.array_equal(lines[-1], result.stride)
    assert result.explain() in figure.alt


@pytest.mark.parametrize("width", [style.WIDE_PX, style.NARROW_PX])
def test_published_runs_are_points(width: int) -> None:
    figure = draw_published_ratios(OURS, style.plate(width))
    assert figure.png(scale=1)
    drawn = [line for line in figure.axes[0].lines if line.get_marker() == "D"]
    at = [float(np.asarray(line.get_xdata())[0]) for line in drawn]
    assert at == pytest.approx([run.observed / run.shares for run in PUBLISHED_RATIOS])
    assert "at most 1.8 standard" in figure.texts[0].get_text().replace("\n", " ")
    assert "published 13.42 : 1, +1.84 deviations" in figure.alt
