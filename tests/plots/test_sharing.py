"""Figures of page sharing: their numbers in words, at both widths, and nothing sticks out."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.patches import PathPatch
from matplotlib.text import Text

from virtlab.memory.claim import check_claim
from virtlab.memory.ksm.replay import replay_ksm
from virtlab.memory.programs import ProgramSharing, share_programs
from virtlab.memory.published import identical_vms
from virtlab.memory.scan.race import scan_race
from virtlab.plots import sharing, sharing_published, style

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.axes import Axes

    from virtlab.plots.style import Plate

FIGURES: dict[str, tuple[Callable[[], Any], Callable[..., Plate], tuple[str, ...]]] = {
    "identical": (
        identical_vms,
        sharing_published.draw_identical,
        ("shared 66.9", "published 67.0", "at most 0.9"),
    ),
    "claim": (
        check_claim,
        sharing_published.draw_claim,
        ("2 save what the talk says", "bash 68.6"),
    ),
    "kernel": (replay_ksm, sharing_published.draw_ksm, ("14,424 of 21,940", "249 of 249")),
    "race": (
        lambda: scan_race(np.arange(131_072) // 2, np.zeros(131_072, dtype=int)),
        sharing.draw_race,
        ("100 times less",),
    ),
    "kinds": (
        lambda: share_programs({"bash": 2, "python": 1}, minutes=1).to_frame(),
        sharing.draw_kinds,
        ("all together (3): 29.5",),
    ),
    "programs": (
        lambda: share_programs({"bash": 2, "python": 1}, minutes=1, writes_per_s=50),
        sharing.draw_programs,
        ("3 VMs with random addresses", "bash (2)"),
    ),
}


def _tick_labels(axes: Axes) -> list[Text]:
    return [*axes.get_xticklabels(which="both"), *axes.get_yticklabels(which="both")]


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("width", [style.WIDE_PX, style.NARROW_PX])
def test_alt_text_holds_the_numbers_and_nothing_sticks_out(name: str, width: int) -> None:
    make, draw, words = FIGURES[name]
    figure = draw(make(), style.plate(width))
    for word in words:
        assert word in figure.alt
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    # Labels of ticks outside the range exist, but are not drawn.
    ticks = {id(one) for axes in figure.axes for one in _tick_labels(axes)}
    for text in cast("list[Text]", figure.findobj(Text)):
        if id(text) in ticks:
            continue
        if str(text.get_text()).strip() and text.get_visible():
            box = text.get_window_extent(renderer)
            inside = box.x0 >= -2 and box.x1 <= figure.bbox.x1 + 2 and box.y1 <= figure.bbox.y1 + 2
            assert inside, f"{text.get_text()!r} at {box}"


@pytest.mark.parametrize("name", FIGURES)
def test_drawing_again_gives_the_same_picture(name: str) -> None:
    make, draw, _ = FIGURES[name]
    result, figure = make(), style.plate()
    first = draw(result, figure).png(scale=1)
    assert draw(result, figure).png(scale=1) == first


def test_the_line_of_the_model_stands_at_its_values() -> None:
    found = identical_vms()
    axes = sharing_published.draw_identical(found).axes[0]
    drawn = [np.asarray(line.get_ydata()) for line in axes.lines]
    for column in ("our_shared_percent", "shared_percent", "our_reclaimed_percent"):
        wanted = found.to_frame()[column].to_numpy()
        assert any(line.shape == wanted.shape and np.allclose(line, wanted) for line in drawn)


def test_bars_add_up_to_what_can_be_saved() -> None:
    frame = share_programs({"bash": 2}, minutes=1).to_frame()
    axes = sharing.draw_kinds(frame).axes[0]
    kinds = [patch for patch in axes.patches if isinstance(patch, PathPatch)]
    bars = [np.asarray(bar) for kind in kinds for bar in kind.get_path().to_polygons()]
    for row, saved in enumerate(frame["saved_percent"][::-1]):
        widths = [np.ptp(bar[:, 0]) for bar in bars if bar[:, 1].min() < row < bar[:, 1].max()]
        assert len(widths) >= 2
        assert sum(widths) == pytest.approx(saved)


RESULTS = (
    {"copies": {"bash": 2, "python": 1}, "minutes": 1.0},
    {"copies": {"bash": 2, "python": 1}, "minutes": 1.0, "writes_per_s": 50.0},  # a line alone
    {"copies": {"bash": 1, "python": 1, "node": 1}, "minutes": 2.0},  # more rows, a longer axis
    {"copies": {"bash": 4}, "minutes": 2.0},  # fewer rows, a higher axis
)


@cache
def result(number: int) -> ProgramSharing:
    return share_programs(**cast("Any", RESULTS[number]))


@cache
def pictures_of_a_new_figure(number: int, width: int) -> tuple[bytes, bytes, str]:
    fresh = sharing.draw_programs(result(number), style.plate(width))
    return fresh.png(scale=1), fresh.png(scale=1.5), fresh.alt


@pytest.mark.parametrize("width", [style.WIDE_PX, style.NARROW_PX])
@pytest.mark.parametrize("after", range(len(RESULTS)))
@pytest.mark.parametrize("before", range(len(RESULTS)))
def test_a_figure_shows_the_next_result_as_if_it_were_the_first(
    before: int, after: int, width: int
) -> None:
    figure = style.plate(width)
    sharing.draw_programs(result(before), figure).png(scale=1)
    axes = figure.axes[0]
    shown = sharing.draw_programs(result(after), figure)
    assert shown.axes[0] is axes
    found = shown.png(scale=1), shown.png(scale=1.5), shown.alt
    assert found == pictures_of_a_new_figure(after, width)


def test_another_drawing_on_the_figure_starts_anew() -> None:
    figure = sharing.draw_programs(share_programs({"bash": 2}, minutes=1))
    frame = share_programs({"bash": 2, "node": 1}, minutes=1).to_frame()
    figure.png(scale=1)
    again = sharing.draw_kinds(frame, figure).png(scale=1)
    plain = style.plate()
    plain.subplots_adjust(wspace=0.42)  # stays from the drawing before, and has no effect
    assert again == sharing.draw_kinds(frame, plain).png(scale=1)
