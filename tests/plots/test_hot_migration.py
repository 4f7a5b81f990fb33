"""Figures of the live migration: what is drawn is what was measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from matplotlib import colors
from matplotlib.patches import Rectangle

from virtlab.migration.live.predict import Traffic, predict_pause
from virtlab.migration.live.stored import repeats, stored
from virtlab.plots import style
from virtlab.plots.hot_migration import (
    NAMES,
    draw_hot_migration,
    draw_moment,
    draw_pauses,
)
from virtlab.plots.hot_migration_pause import WAYS, draw_prediction
from virtlab.plots.palette import HARDWARE
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def test_a_row_a_run_and_a_dot_a_payment() -> None:
    runs = [stored(name) for name in ("stop", "precopy", "deck")]
    figure = draw_hot_migration(runs)
    assert len(figure.axes) == 3
    for axes, run in zip(figure.axes, runs, strict=True):
        source, target = axes.lines
        end = axes.get_xlim()[1] + run.begin_s
        drawn = np.size(source.get_xdata()) + np.size(target.get_xdata())
        assert drawn == (run.payments.answered_s <= end).sum()
        start, stop = run.pause_s
        words = f"{1000 * (stop - start):.0f} ms"
        assert any(words in text.get_text() for text in axes.texts)
        assert words in figure.alt


@pytest.mark.parametrize("count", [0, 5])
def test_one_to_four_runs(count: int) -> None:
    with pytest.raises(InvalidInputError, match="one to four runs"):
        draw_hot_migration([stored("stop")] * count)


def test_the_pauses_are_those_of_the_table() -> None:
    figure = draw_pauses(repeats())
    dots = [line.get_xdata() for line in figure.axes[0].lines if np.size(line.get_xdata()) == 7]
    assert len(dots) == len(NAMES)
    assert sorted(np.concatenate(dots).tolist()) == sorted(repeats()["pause_ms"].tolist())


def test_what_is_to_come_is_not_drawn() -> None:
    run = stored("precopy")
    early = draw_moment(run, 0.1)
    (source, target) = early.axes[0].lines[:2]
    assert np.max(source.get_xdata()) <= 0.1
    assert np.size(target.get_xdata()) == 0
    late = draw_moment(run, 0.7)
    assert np.size(late.axes[0].lines[1].get_xdata()) > 100


def test_black_is_the_pause_in_all_of_them() -> None:
    for figure in (draw_hot_migration([stored("stop")]), draw_moment(stored("stop"), 0.7)):
        start, end = stored("stop").pause_s
        black = [
            patch.get_extents().transformed(figure.axes[0].transData.inverted())
            for patch in figure.axes[0].patches
            if colors.to_hex(patch.get_facecolor()) == HARDWARE.colour.lower()
        ]
        assert [round(one.width, 6) for one in black] == [round(end - start, 6)]
        assert "stands still" in [text.get_text() for text in figure.legends[0].get_texts()]
    follows = draw_hot_migration([stored("deck")]).legends[0].get_texts()
    assert "pages follow" in [text.get_text() for text in follows]


TRAFFICS = (Traffic(), Traffic(memory_mib=512, link_mib_s=4, payments_s=20_000), Traffic(8, 0))


def bars(axes: Axes) -> list[Rectangle]:
    return [patch for patch in axes.patches if isinstance(patch, Rectangle)]


@pytest.mark.parametrize("width", [style.WIDE_PX, style.NARROW_PX])
@pytest.mark.parametrize("traffic", TRAFFICS)
@pytest.mark.parametrize("way", WAYS)
def test_a_row_is_as_long_as_the_way_takes(traffic: Traffic, way: str, width: int) -> None:
    figure = draw_prediction(predict_pause(traffic, way), style.plate(width))
    times, pauses = figure.axes
    for row, name in enumerate(WAYS):
        told = predict_pause(traffic, name)
        parts = [one for one in bars(times) if one.get_y() < -row < one.get_y() + one.get_height()]
        ends = [one.get_x() + one.get_width() for one in parts]
        assert max(ends) == pytest.approx(float(told.summary()["total_s"]))
        assert 10 ** bars(pauses)[row].get_width() == pytest.approx(told.pause_ms)
    assert f"Pointed out: {NAMES[way]}." in figure.alt
    named = [text.get_text() for text in times.texts]
    assert [words for words in named if words.startswith("▶")] == [f"▶ {NAMES[way]}"]


def test_rows_can_be_pressed_and_the_rule_dragged() -> None:
    grips = draw_prediction(predict_pause(Traffic())).grips
    assert [grip.value for grip in grips if grip.name == "way"] == [0, 1, 2, 0, 1, 2]
    [rule] = [grip for grip in grips if grip.name == "rule"]
    assert 10**rule.value == pytest.approx(Traffic().downtime_limit_ms)
