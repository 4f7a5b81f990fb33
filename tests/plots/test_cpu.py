"""Figures of shared processors: they draw what the numbers say, at both widths."""

from __future__ import annotations

import numpy as np
import pytest

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
    assert drawn == int(((trace["to_s"] > 5.8) & (trace["from_s"] < 6.3)).sum()) == 50
    assert [label.get_text() for label in lower.get_yticklabels()] == list(run.names)


def test_the_title_says_who_is_left_behind() -> None:
    def title(figure: style.Plate) -> str:
        return figure.texts[0].get_text().replace("\n", " ")

    assert "within" in title(draw_timeline(RUNS["talk"]))
    unfair = schedule([CpuVM("a", 1000), CpuVM("b", 3000)], seconds=2, policy=RoundRobin())
    assert "a is up to 50.2 quanta away from its part" in title(draw_timeline(unfair))


@pytest.mark.parametrize(("at_s", "window_s"), [(-1, 1), (12, 1), (0, 0)])
def test_a_stretch_must_be_inside(at_s: float, window_s: float) -> None:
    with pytest.raises(InvalidInputError, match="inside 12 s"):
        draw_timeline(RUNS["talk"], at_s, window_s)
