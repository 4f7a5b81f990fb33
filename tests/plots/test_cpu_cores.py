"""The core map: it draws what a moment says, at both widths, and fast enough for a slider."""

from __future__ import annotations

import pytest
from matplotlib.colors import to_hex, to_rgba
from matplotlib.patches import Rectangle

from virtlab.plots import style
from virtlab.plots.cpu_cores import draw_cores
from virtlab.plots.palette import vm_mark
from virtlab.resources.cpu import Bursty, Cores, CpuVM, schedule_threads
from virtlab.validate import InvalidInputError

RUNS = {
    "none": schedule_threads(
        [CpuVM("db", sharing="none"), CpuVM("web"), CpuVM("mail", kind="cache")], Cores(2), 2
    ),
    "bound": schedule_threads([CpuVM("a", affinity={0}), CpuVM("b", affinity={1})], Cores(2), 2),
    "many": schedule_threads(
        [CpuVM(f"machine{i}", 500 * (i + 1), workload=Bursty()) for i in range(12)], Cores(6), 2
    ),
    "one thread": schedule_threads([CpuVM("a", affinity={1})], Cores(2, 1), 1),
    "nobody runs": schedule_threads([CpuVM("none", 0)], Cores(1), 1),
}


@pytest.mark.parametrize("width", [style.WIDE_PX, style.NARROW_PX])
@pytest.mark.parametrize("at_s", [0, 0.503, 1])
@pytest.mark.parametrize("case", RUNS)
def test_every_case_can_be_drawn_and_said(case: str, at_s: float, width: int) -> None:
    run = RUNS[case]
    figure = draw_cores(run, at_s, figure=style.plate(width))
    assert figure.png(scale=1)
    assert figure.alt.startswith(f"Core map at {at_s:g} s")
    shown = min(run.cpus, 2 if figure.narrow else 4) * run.threads
    for place in run.moment(at_s)[:shown]:
        assert f"CPU {place.cpu} {'runs' if place.state == 'runs' else 'is ' + place.state}" in (
            figure.alt
        )


def bars(figure: style.Plate) -> list[tuple[float, str]]:
    """Return the filled bars of the boxes: how long, in parts of a whole, and their colour."""
    boxes = [patch for patch in figure.axes[0].patches if isinstance(patch, Rectangle)]
    whole = max(patch.get_width() for patch in boxes)
    white = to_rgba("white")
    return [
        (patch.get_width() / whole, to_hex(patch.get_facecolor()).upper())
        for patch in boxes
        if patch.get_height() == 18
        and patch.get_facecolor() != white
        and patch.get_hatch() != "xxx"
    ]


def test_a_bar_is_as_long_as_the_speed_and_has_its_vms_colour() -> None:
    run = RUNS["bound"]
    figure = draw_cores(run, 1.0)
    drawn = bars(figure)
    assert [length for length, _ in drawn] == pytest.approx([0.62, 0.62])
    assert [colour for _, colour in drawn] == [vm_mark(0).colour, vm_mark(1).colour]
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts.count("speed 0.62") == 2
    assert texts.count("idle") == 2


def test_who_has_a_core_and_who_shares_is_the_title() -> None:
    figure = draw_cores(RUNS["none"], 0.005)
    titles = [text.get_text() for text in figure.texts]
    assert "web and mail share core 1, at 0.58 and 0.52; db has all of core 0" in titles
    assert "halted for db" in [text.get_text() for text in figure.axes[0].texts]
    assert "Nobody shares a core" in [t.get_text() for t in draw_cores(RUNS["one thread"]).texts]
    assert "All cores idle" in [t.get_text() for t in draw_cores(RUNS["nobody runs"]).texts]


def test_it_says_that_there_are_more_cores() -> None:
    figure = draw_cores(RUNS["many"], 1.0)
    assert "seconds (the first 4 of 6 cores)" in figure.axes[1].get_xlabel()
    assert "the first 4 of 6 cores" in figure.alt
    assert any(text.get_text().startswith("+ ") for text in figure.axes[0].texts)


def test_it_is_drawn_again_on_the_figure_it_has() -> None:
    first = draw_cores(RUNS["none"], 0.5)
    alt = first.alt
    again = draw_cores(RUNS["none"], 0.51, figure=first)
    assert again is first
    assert len(again.axes) == 2
    assert again.alt != alt


@pytest.mark.parametrize(("at_s", "window_s"), [(3, 0.2), (-1, 0.2), (1, 0)])
def test_a_moment_outside_is_refused(at_s: float, window_s: float) -> None:
    with pytest.raises(InvalidInputError, match="inside 2 s"):
        draw_cores(RUNS["none"], at_s, window_s)
