"""Figures of the live migration: what is drawn is what was measured."""

from __future__ import annotations

import numpy as np
import pytest

from virtlab.migration.live.predict import Traffic, predict_pause
from virtlab.migration.live.stored import repeats, stored
from virtlab.plots import style
from virtlab.plots.hot_migration import (
    NAMES,
    draw_hot_migration,
    draw_moment,
    draw_pauses,
    draw_prediction,
)
from virtlab.validate import InvalidInputError


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


def test_a_bar_a_round() -> None:
    predicted = predict_pause(Traffic(), "deck")
    figure = draw_prediction(predicted, style.plate(380))
    heights = [round(bar.get_height(), 6) for bar in figure.axes[0].patches]  # type: ignore[attr-defined]
    pages = [*predicted.rounds, predicted.left_pages]
    assert heights == [round(float(np.log10(page)), 6) for page in pages]
    assert "4 ms" in figure.alt
