"""Three ways as a figure: its marks stand where things happened, its words where the runs part."""

from __future__ import annotations

import numpy as np
import pytest

from virtlab.machine.guests import guest, mirror
from virtlab.machine.vmm.ways import Ways, run_ways
from virtlab.plots import style
from virtlab.plots.palette import OUTCOMES
from virtlab.plots.rings_ways import draw_ways


@pytest.fixture(scope="module")
def ways() -> Ways:
    return run_ways(mirror())


@pytest.fixture(scope="module")
def plain() -> Ways:
    return run_ways(guest("sieve").path(), max_instructions=2000)


def marks(figure: style.Plate, marker: str) -> dict[int, list[float]]:
    """Return where marks of a kind stand, by lane: 2 is the highest."""
    found: dict[int, list[float]] = {}
    for line in figure.axes[0].lines:
        if line.get_marker() == marker:
            for x, y in np.asarray(line.get_xydata(), dtype=float).tolist():
                found.setdefault(round(y), []).append(1000 * x)
    return found


def test_each_mark_is_where_it_happened(ways: Ways) -> None:
    figure = draw_ways(ways)
    lies = [wrong.step for wrong in ways.deprivileged.wrongs]
    assert marks(figure, OUTCOMES["silently wrong"].marker) == {1: pytest.approx(lies)}
    assert marks(figure, "|") == {
        1: pytest.approx(ways.deprivileged.entered_at),
        0: pytest.approx(ways.patched.entered_at),
    }
    assert marks(figure, "v") == {
        2 - number: pytest.approx(way.interrupted_at) for number, way in enumerate(ways.all)
    }


def test_each_line_that_is_said_has_a_mark(ways: Ways) -> None:
    figure = draw_ways(ways)
    same, other = marks(figure, "o"), marks(figure, "x")
    assert {lane: len(found) for lane, found in same.items()} == {2: 16, 1: 2, 0: 16}
    assert {lane: len(found) for lane, found in other.items()} == {1: 14}
    assert max(other[1]) < max(same[1])


@pytest.mark.parametrize("width", [style.WIDE_PX, style.NARROW_PX])
def test_the_words_begin_before_the_first_other_line(ways: Ways, width: int) -> None:
    figure = draw_ways(ways, style.plate(width))
    words = [text.get_text() for text in figure.axes[1].texts if text.get_text()]
    assert words[:3] == [
        "native, and patched, says",
        "  mirror: what am I?",
        "  mov from cs: 00000008",
    ]
    at = words.index("deprivileged says")
    assert words[at + 1 : at + 3] == ["  mirror: what am I?", "≠ mov from cs: 00000009"]


def test_title_and_alt_text(ways: Ways, plain: Ways) -> None:
    figure = draw_ways(ways)
    assert any("11 instructions do not trap" in text.get_text() for text in figure.texts)
    assert f"{ways.patched.total_entries:,} traps" in figure.alt
    assert "Line 2 is 'mov from cs: 00000008' at ring 0" in figure.alt
    assert "All say the same." in draw_ways(plain).alt


def test_a_figure_shows_another_result_and_no_trace_of_the_one_before(
    ways: Ways, plain: Ways
) -> None:
    figure = draw_ways(ways)
    figure.png()
    axes = figure.axes[0]
    assert draw_ways(plain, figure) is figure
    assert figure.axes[0] is axes
    assert marks(figure, OUTCOMES["silently wrong"].marker) == {}
    assert any("trap and emulate is enough" in text.get_text() for text in figure.texts)
    assert figure.png() == draw_ways(plain).png()
