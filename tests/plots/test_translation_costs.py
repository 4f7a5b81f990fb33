"""Figures of costs: bars as long as the model says, points where they were published."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from virtlab.machine.translation_costs import (
    Load,
    Slowdown,
    fit_costs,
    fork_events,
    slowdown,
)
from virtlab.machine.translation_costs.parts import OPERATIONS, published
from virtlab.machine.translation_costs.slowdown import RESTS, fork_load, round_trips
from virtlab.plots import style, translation_costs, translation_slowdown
from virtlab.plots.translation_costs import draw_costs, draw_forkwait
from virtlab.plots.translation_slowdown import draw_slowdown

WIDTHS = [style.WIDE_PX, style.NARROW_PX]
LOADS = {
    "fork": fork_load(),
    "calls": Load(syscalls=500_000),
    "tables": Load(pte_writes=200_000),
    "ports": Load(ins=400_000),
    "nothing": Load(),
    "mixed": Load(syscalls=1e6, pte_writes=1e5),  # equal at 12,424 cycles, beyond the axis
    "all": Load(2e6, 1e6, 4e6, 2e6, 0, 4e5, 2e8),
}


@pytest.mark.parametrize("width", WIDTHS)
def test_bars_are_ours_and_points_are_theirs(width: int) -> None:
    fit = fit_costs(switch=3000)
    view = draw_costs(fit, style.plate(width)).view
    assert isinstance(view, translation_costs._Table)
    for way, bars in view.bars.items():
        ends = [np.asarray(bar.vertices)[:, 0].max() for bar in bars.get_paths()]
        assert ends == pytest.approx([fit.cost(row, way) for row in OPERATIONS])
    cells = itertools.product(OPERATIONS, ("native", "bt", "hw"))
    theirs = [published()["P4", *cell][0] for cell in cells]
    assert np.asarray(view.points.get_xdata()).tolist() == theirs
    if width == style.WIDE_PX:
        error = 100 * (fit.cost("syscall", "bt") / 2300 - 1)
        assert view.words[0].get_text() == f"BT {error:+.1f} %"


def test_another_fit_leaves_no_trace() -> None:
    again = draw_costs(fit_costs())
    draw_costs(fit_costs(switch=100, lookup=0), again)
    assert again.png(scale=1) == draw_costs(fit_costs(switch=100, lookup=0)).png(scale=1)


def test_a_title_says_how_far_off_the_parts_are() -> None:
    assert "within 1.7 %: VT-x loses" in draw_costs(fit_costs()).texts[0].get_text()
    bad = draw_costs(fit_costs(switch=6000)).texts[0].get_text()
    assert bad.startswith("Off by ")
    assert "translated" in bad or "rap" in bad


@pytest.mark.parametrize("width", WIDTHS)
def test_the_stacks_add_up(width: int) -> None:
    found = fork_events()
    axes = draw_forkwait(found, style.plate(width)).axes[0]
    bars = [bar for bar in axes.patches if bar.get_height() == 0.5]  # type: ignore[attr-defined]
    assert len(bars) == 1 + 6 + 6
    ends = [bar.get_x() + bar.get_width() for bar in bars]  # type: ignore[attr-defined]
    assert ends[0] == pytest.approx(6.02)
    assert ends[6] == pytest.approx(found.seconds("bt"))
    assert ends[12] == pytest.approx(found.seconds("hw"))
    points = [np.asarray(line.get_xdata()).item(0) for line in axes.lines]
    assert points == [6.02, 36.95, 106.4]


def lines(figure: style.Plate) -> translation_slowdown._Lines:
    assert isinstance(figure.view, translation_slowdown._Lines)
    return figure.view


@pytest.mark.parametrize("load", LOADS)
@pytest.mark.parametrize("processor", ["Pentium 4 672", "Westmere"])
@pytest.mark.parametrize("rest", RESTS)
def test_the_lines_are_the_models(load: str, processor: str, rest: str) -> None:
    found = slowdown(LOADS[load], processor, rest)
    view = lines(draw_slowdown(found))
    assert np.asarray(view.hw.get_ydata()) == pytest.approx([found.at(0), found.at(4700)])
    assert np.asarray(view.bt.get_ydata()) == pytest.approx([found.bt, found.bt])
    assert np.asarray(view.chosen.get_ydata()) == pytest.approx([found.hw])
    assert len(np.asarray(view.models.get_xdata())) == len(round_trips())
    low, high = view.axes.get_ylim()
    every = [found.bt, *np.asarray(view.models.get_ydata()).tolist(), found.at(4700)]
    assert low <= min(every)
    assert max(every) <= high
    crossed = np.asarray(view.cross.get_xdata())
    assert (len(crossed) == 1) == (found.cross <= 4700)


@pytest.mark.parametrize("load", LOADS)
@pytest.mark.parametrize("width", WIDTHS)
def test_words_do_not_lie_on_one_another(load: str, width: int) -> None:
    figure = style.plate(width)  # one for all: what is drawn before leaves no trace
    for processor, rest in itertools.product(round_trips(), RESTS):
        draw_slowdown(slowdown(LOADS[load], processor, rest), figure)
        figure.png(scale=1)
        words = [text for text in lines(figure).words.values() if text.get_text()]
        boxes = [text.get_window_extent() for text in words]
        for one, other in itertools.combinations(boxes, 2):
            assert not one.padded(-2).overlaps(other.padded(-2)), (processor, rest, load)


def test_another_load_leaves_no_trace() -> None:
    again = draw_slowdown(slowdown(fork_load()))
    found: Slowdown = slowdown(LOADS["calls"], "Merom")
    draw_slowdown(found, again)
    assert again.png(scale=1) == draw_slowdown(found).png(scale=1)


def test_a_title_says_who_wins() -> None:
    assert "Translation wins" in draw_slowdown(slowdown(fork_load())).texts[0].get_text()
    assert "VT-x wins" in draw_slowdown(slowdown(LOADS["calls"])).texts[0].get_text()
    assert "Both as slow" in draw_slowdown(slowdown(Load())).texts[0].get_text()
