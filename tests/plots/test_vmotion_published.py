"""Figures of rounds and of published migrations: their numbers in words, at both widths."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from virtlab.migration.algorithms import Algorithm, Clark, Deck, PostCopy, StopAndCopy
from virtlab.migration.link import Link
from virtlab.migration.published import CLARK, HINES, replay, replay_hines
from virtlab.migration.vm import Vm
from virtlab.migration.vmotion import migrate
from virtlab.migration.workloads import Uniform
from virtlab.plots import style
from virtlab.plots.vmotion_published import draw_clark, draw_hines
from virtlab.plots.vmotion_rounds import draw_rounds

if TYPE_CHECKING:
    from virtlab.plots.style import Plate

WIDTHS = pytest.mark.parametrize("width", [style.WIDE_PX, style.NARROW_PX])


def inside(figure: Plate) -> None:
    figure.png(1)
    width, height = 100 * figure.get_size_inches()
    texts = [*figure.texts, *(text for axes in figure.axes for text in axes.texts)]
    for text in [one for one in texts if one.get_text()]:
        box = text.get_window_extent()
        assert -1 <= box.x0 < box.x1 <= width + 1, text.get_text()
        assert -1 <= box.y0 < box.y1 <= height + 1, text.get_text()


@WIDTHS
@pytest.mark.parametrize("name", CLARK)
def test_published_rounds_are_points_and_ours_a_line(name: str, width: int) -> None:
    both = replay(name)
    figure = draw_clark(both, style.plate(width))
    lines = figure.axes[0].get_lines()
    points = [line for line in lines if line.get_marker() == "o"]
    frame = both.to_frame()
    assert points[0].get_linestyle() in {"-", "None"}
    shown = np.asarray(points[0].get_ydata(), dtype=float)
    assert shown.tolist() == pytest.approx(frame["published_mb"].tolist(), nan_ok=True)
    assert f"{both.run.downtime_ms:.0f} ms ours" in figure.alt
    inside(figure)


@WIDTHS
def test_hines_s_rows_are_all_there(width: int) -> None:
    figure = draw_hines(replay_hines(), style.plate(width))
    for row in HINES:
        assert f"{row.title} by post-copy {row.pages[0] / 1000:.0f} and" in figure.alt
    assert len(figure.axes) == 2
    assert len(figure.axes[0].patches) == 2 * len(HINES)
    inside(figure)


@WIDTHS
@pytest.mark.parametrize(
    ("algorithm", "finding"),
    [
        (Clark(min_mbit_s=100), "until little is left"),
        (StopAndCopy(), "go over the wire"),
        (Deck(), "go over the wire"),
        (PostCopy(), "go over the wire"),
    ],
)
def test_rounds_say_what_was_sent_and_what_got_dirty(
    algorithm: Algorithm, finding: str, width: int
) -> None:
    run = migrate(Vm(ram_mib=16), Uniform(2000, 600), Link(bandwidth_mib_s=30), algorithm)
    figure = draw_rounds(run, style.plate(width))
    assert finding in " ".join(figure.texts[0].get_text().split())
    first = run.rounds.iloc[0]
    assert f"{first['sent_bytes'] / 2**20:.1f}, {first['dirty_pages'] / 256:.1f}" in figure.alt
    inside(figure)
