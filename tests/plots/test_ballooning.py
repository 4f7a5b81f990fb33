"""Figures of a host's memory and of the experiments: they say what their results say."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from virtlab.memory.experiments import balloon_cost, contest, idle_tax, overcommit, reallocation
from virtlab.memory.host.simulation import run
from virtlab.memory.reclaim_measured import reclaim
from virtlab.memory.states import State
from virtlab.plots import style
from virtlab.plots.ballooning import LIGHTS, draw_bars
from virtlab.plots.ballooning_published import (
    draw_balloon_cost,
    draw_contest,
    draw_idle_tax,
    draw_overcommit,
)
from virtlab.plots.memory_time import draw_timeline, state_strip
from virtlab.plots.reclaim_measured import draw_reclaim

if TYPE_CHECKING:
    from collections.abc import Callable

    from virtlab.memory.host.run import MemoryRun
    from virtlab.plots.style import Plate

Draw = "Callable[[Plate], Plate]"


@pytest.fixture(scope="module")
def found() -> MemoryRun:
    return run(replace(reallocation.scenario(), seconds=320))


@pytest.fixture(scope="module")
def drawings(found: MemoryRun) -> dict[str, Callable[[Plate | None], Plate]]:
    """Every figure of these modules, on results that are quick to make."""
    cost = balloon_cost.balloon_cost(seeds=1)
    tax, five = idle_tax.idle_tax(120, 90), overcommit.overcommit(300, 260)
    ways = contest.contest(seconds=60)
    return {
        "bars": lambda figure: draw_bars(found, 260, figure),
        "timeline": lambda figure: draw_timeline(found, figure),
        "cost": lambda figure: draw_balloon_cost(cost, figure),
        "tax": lambda figure: draw_idle_tax(tax, figure),
        "five": lambda figure: draw_overcommit(five, figure),
        "contest": lambda figure: draw_contest(ways, figure),
        "reclaim": lambda figure: draw_reclaim(reclaim("popular files"), figure),
    }


NAMES = ("bars", "timeline", "cost", "tax", "five", "contest", "reclaim")


@pytest.mark.parametrize("width", [960, 380])
@pytest.mark.parametrize("name", NAMES)
def test_every_figure_has_words_and_keeps_its_text_inside(
    drawings: dict[str, Callable[[Plate | None], Plate]], name: str, width: int
) -> None:
    figure = drawings[name](style.plate(width))
    figure.png(scale=1)
    assert len(figure.alt) > 80
    canvas = figure.bbox
    for text in figure.texts:
        if text.get_text():
            box = text.get_window_extent()
            assert box.x0 >= canvas.x0 - 1, text.get_text()
            assert box.x1 <= canvas.x1 + 1, text.get_text()


@pytest.mark.parametrize("name", NAMES)
def test_drawn_again_it_is_the_same(
    drawings: dict[str, Callable[[Plate | None], Plate]], name: str
) -> None:
    figure = drawings[name](None)
    first, axes = figure.png(scale=1), len(figure.axes)
    again = drawings[name](figure)
    assert again is figure
    assert len(figure.axes) == axes
    assert figure.png(scale=1) == first


class TestBars:
    def test_a_bar_is_as_high_as_the_memory_configured(self, found: MemoryRun) -> None:
        figure = draw_bars(found, 260)
        tops: dict[int, float] = {}
        for bar in figure.axes[0].patches:
            middle = round(bar.get_x() + bar.get_width() / 2)  # type: ignore[attr-defined] # bars
            top = bar.get_y() + bar.get_height()  # type: ignore[attr-defined] # bars
            tops[middle] = max(tops.get(middle, 0), top)
        assert list(tops.values()) == pytest.approx([512] * 4, abs=1)

    def test_a_vm_that_is_off_has_no_bar_and_is_said_to_be(self, found: MemoryRun) -> None:
        figure = draw_bars(found, 150)
        assert "VM4 is off." in figure.alt
        assert max(bar.get_x() for bar in figure.axes[0].patches) < 2.5  # type: ignore[attr-defined] # bars

    def test_one_light_is_lit_the_states(self, found: MemoryRun) -> None:
        soft = int(np.argmax(found.of_host["state"] == State.SOFT))
        for second in (100, soft):
            figure = draw_bars(found, second)
            bold = [text.get_text() for text in figure.texts if text.get_fontweight() == "bold"]
            state = State(int(found.of_host["state"][second]))
            assert state.label in bold
            assert sum(word in {mark.label for mark in LIGHTS.values()} for word in bold) == 1

    def test_the_title_says_what_is_taken(self, found: MemoryRun) -> None:
        def title(second: int) -> str:
            return draw_bars(found, second).texts[-2].get_text().replace("\n", " ")

        assert "memory is enough" in title(100)
        assert f"balloons hold {found.of_vm['ballooned_mib'][260].sum():.0f} MiB" in title(260)

    def test_nothing_jumps_while_time_runs(self, found: MemoryRun) -> None:
        early, late = draw_bars(found, 100).axes[0], draw_bars(found, 300).axes[0]
        assert early.get_ylim() == late.get_ylim()
        assert early.get_position().bounds == late.get_position().bounds


class TestTime:
    def test_events_are_named(self, found: MemoryRun) -> None:
        figure = draw_timeline(found)
        words = [text.get_text() for text in figure.axes[0].texts]
        assert "VM4 starts" in words
        assert "at 200 s VM4 starts" in figure.alt

    def test_what_the_host_has_reaches_its_line(self, found: MemoryRun) -> None:
        host = found.scenario.host
        on = found.of_vm["on"].sum(axis=1)
        whole = host.own_mib + 64 * on + found.of_vm["allocated_mib"].sum(axis=1)
        whole += found.of_host["free_mib"] - found.of_host["saved_mib"]
        assert whole == pytest.approx(host.mib, abs=0.1)

    def test_the_strip_covers_every_second(self, found: MemoryRun) -> None:
        axes = style.plate().subplots()
        state_strip(axes, found)
        widths = sum(bar.get_width() for bar in axes.patches)  # type: ignore[attr-defined] # bars
        assert widths == pytest.approx(320, abs=5)
        labels = [text.get_text() for text in axes.get_yticklabels()]
        assert labels == ["low", "hard", "soft", "high"]


def test_published_values_stand_in_the_words(
    drawings: dict[str, Callable[[Plate | None], Plate]],
) -> None:
    assert "published 4.4 %" in drawings["cost"](None).alt
    assert "(published 179)" in drawings["tax"](None).alt
    assert "published 325" in drawings["five"](None).alt
