"""Figures of shared processors: they draw what the numbers say, at both widths."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg

from virtlab.plots import style
from virtlab.plots.cpu import draw_timeline
from virtlab.resources.cpu import Add, Change, CpuVM, Remove, RoundRobin, schedule
from virtlab.validate import InvalidInputError

VMS = [CpuVM("vm1"), CpuVM("vm2"), CpuVM("vm3")]
RUNS = {
    "talk": schedule(
        VMS, 1, 12, [Change(4, "vm2", shares=2000), Add(6, CpuVM("vm4")), Remove(9, "vm1")]
    ),
    "two processors": schedule(VMS, 2, 2),
    "many": schedule([CpuVM(f"v{i}") for i in range(9)], 2, 2),
    "nobody runs": schedule([CpuVM("none", 0)], seconds=1),
}


@pytest.mark.parametrize("width", [style.WIDE_PX, style.NARROW_PX])
@pytest.mark.parametrize("case", RUNS)
def test_every_case_can_be_drawn_and_said(case: str, width: int) -> None:
    run = RUNS[case]
    figure = draw_timeline(run, 0.2, figure=style.plate(width))
    assert figure.png(scale=1)
    for name in run.names:
        assert f"{name} received " in figure.alt


def test_the_lines_end_at_what_was_received_and_the_bars_are_the_intervals() -> None:
    run = RUNS["talk"]
    figure = draw_timeline(run, 5.8, 0.5)
    upper, lower = figure.axes
    ends = [np.asarray(line.get_ydata())[-1] for line in upper.lines[:8]]
    assert ends[1::2] == pytest.approx(run.run_s.tolist())
    assert ends[0::2] == pytest.approx(run.run_s.tolist(), abs=0.02)
    drawn = sum(len(bars.get_paths()) for bars in lower.collections)
    trace = run.trace()
    assert drawn == int(((trace["to_s"] > 5.8) & (trace["from_s"] < 6.3)).sum())
    assert drawn > 40
    assert [label.get_text() for label in lower.get_yticklabels()] == list(run.names)


def test_the_title_says_who_is_left_behind() -> None:
    def title(figure: style.Plate) -> str:
        return figure.texts[0].get_text().replace("\n", " ")

    assert "within" in title(draw_timeline(RUNS["talk"]))
    unfair = schedule([CpuVM("a", 1000), CpuVM("b", 3000)], seconds=2, policy=RoundRobin())
    assert "a is up to 50.2 quanta away from its part" in title(draw_timeline(unfair))


NAMES = ["vm1", "vm2", "vm3", "a machine with quite a long name", "db"]
EVENTS = st.lists(
    st.tuples(st.floats(0, 12), st.sampled_from(NAMES), st.integers(1, 90_000), st.booleans()),
    max_size=12,
)


@pytest.mark.parametrize("width", [style.WIDE_PX, style.NARROW_PX])
@settings(max_examples=15, deadline=None)
@given(EVENTS)
def test_no_events_name_is_on_another_text_and_all_are_in_the_figure(
    width: int, drawn: list[tuple[float, str, int, bool]]
) -> None:
    events = [
        Change(at_s, name, shares, 20 if both else None)
        for at_s, name, shares, both in sorted(drawn, key=lambda one: one[0])
    ]
    vms = [CpuVM(name) for name in NAMES[:3]]
    run = replace(schedule(vms, 1, 12, quantum_ms=1000), events=tuple(events))
    figure = draw_timeline(run, figure=style.plate(width))
    renderer = FigureCanvasAgg(figure).get_renderer()
    texts = [*figure.texts, *figure.axes[0].texts]
    boxes = [text.get_window_extent(renderer) for text in texts]
    for one, other in combinations(boxes, 2):
        assert not one.overlaps(other)
    for box in boxes[2:]:
        assert box.x0 > 0
        assert box.x1 <= width
    lines = [line for line in figure.axes[0].lines if line.get_linestyle() == ":"]
    assert [np.asarray(line.get_xdata())[0] for line in lines] == pytest.approx(
        [event.at_s for event in events]
    )
    labels = " ".join(text.get_text() for text in texts)
    counted = [int(found) for found in re.findall(r"(\d+) events", labels)]
    assert sum(counted) + sum(event.label in labels for event in events) >= len(
        events
    ) - labels.count("…")
    assert all(event.label in figure.alt for event in events)


def test_each_of_a_few_events_is_named() -> None:
    for width in (style.WIDE_PX, style.NARROW_PX):
        figure = draw_timeline(RUNS["talk"], figure=style.plate(width))
        labels = [text.get_text() for text in figure.axes[0].texts]
        assert {"vm2.shares = 2000", "+ vm4", "- vm1"} <= set(labels)


@pytest.mark.parametrize(("at_s", "window_s"), [(-1, 1), (12, 1), (0, 0)])
def test_a_stretch_must_be_inside(at_s: float, window_s: float) -> None:
    with pytest.raises(InvalidInputError, match="inside 12 s"):
        draw_timeline(RUNS["talk"], at_s, window_s)
