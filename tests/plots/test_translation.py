"""Figures of tiers and passes: lines end where they are labelled, words say the finding."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.patches import Rectangle

from virtlab.machine.translation.speed_curves import Curve, Speeds
from virtlab.plots import style
from virtlab.plots.translation import TIER_MARKS, draw_tiers, draw_worth


def line(name: str, start: float, rate: float) -> Curve:
    counts = tuple(1000 * (2**k - 1) for k in range(1, 16))
    return Curve(name, counts, tuple(start + n / rate for n in counts), 0)


TIERS = Speeds(
    "crc32",
    (
        line("interpreter", 0, 4e4),
        line("python", 0.05, 1.3e6),
        line("wasm", 0.1, 8e8),
        line("llvm", 0.3, 1.4e9),
    ),
    {},
)
PASSES = Speeds(
    "sieve",
    (
        line("all passes", 0.1, 1e9),
        line("without dead flags", 0.1, 7e8),
        line("without regions", 0.02, 3e8),
    ),
    {},
)


@pytest.mark.parametrize("width", [style.WIDE_PX, style.NARROW_PX])
def test_four_lines_have_their_names_and_no_name_lies_on_another(width: int) -> None:
    figure = draw_tiers(TIERS, style.plate(width))
    figure.png(scale=1)
    axes = figure.axes[0]
    names = [text for text in axes.texts if text.get_text().partition(":")[0] in TIER_MARKS]
    assert len(names) == 4
    boxes = [text.get_window_extent() for text in names]
    for k, one in enumerate(boxes):
        assert not any(one.overlaps(other) for other in boxes[:k]), names[k].get_text()


def test_break_even_is_marked_where_the_lines_meet() -> None:
    figure = draw_tiers(TIERS, style.plate(960))
    crosses = [one for one in figure.axes[0].lines if one.get_marker() == "X"]
    assert len(crosses) == 3
    for cross, name in zip(crosses, ("python", "wasm", "llvm"), strict=True):
        (x,), (y,) = np.asarray(cross.get_xdata()), np.asarray(cross.get_ydata())
        assert 10**x == pytest.approx(TIERS.break_even(name), rel=1e-6)
        assert 10**y == pytest.approx(TIERS.curve(name).seconds_for(10**x), rel=1e-6)


def test_titles_say_the_finding() -> None:
    assert draw_tiers(TIERS).axes[0].get_title(loc="left") or draw_tiers(TIERS).alt
    assert "llvm: 35,000 times as many" in draw_tiers(TIERS).alt
    assert draw_worth(PASSES).alt.endswith(
        "all passes: 100 %; without dead flags: 70 %; without regions: 30 %."
    )


def test_each_tier_has_a_marker_and_not_only_a_colour() -> None:
    marks = list(TIER_MARKS.values())
    assert len({mark.marker for mark in marks}) == len({mark.colour for mark in marks}) == 4


def test_bars_are_as_long_as_their_numbers() -> None:
    bars = draw_worth(PASSES).axes[0].patches
    assert [round(bar.get_path().get_extents().width * bar.get_width()) for bar in bars
            if isinstance(bar, Rectangle)] == [100, 70, 30]  # fmt: skip
