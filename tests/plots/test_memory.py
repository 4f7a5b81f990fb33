"""Figures of memory: what they show is what the results say, at both widths."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest
from matplotlib.lines import Line2D

from virtlab.memory.admission import VmMemory, admit
from virtlab.memory.experiments import reallocation
from virtlab.memory.host.scenario import Event
from virtlab.memory.host.simulation import run
from virtlab.memory.sampling_run import sample_steps
from virtlab.memory.tax import targets
from virtlab.memory.tax_curve import figure_7, tax_curve
from virtlab.plots import style
from virtlab.plots.memory import draw_admission
from virtlab.plots.memory_time import draw_moment, draw_timeline
from virtlab.plots.sampling import draw_sampling
from virtlab.plots.tax import draw_bottles, draw_figure_7, draw_tax_curve
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from virtlab.memory.admission import Admission
    from virtlab.memory.host.run import MemoryRun
    from virtlab.plots.style import Plate


def _slide(host: float = 2048) -> Admission:
    return admit([VmMemory(f"VM{i}", 512, 512, 2) for i in (1, 2, 3)], host)


def _words(figure: Plate) -> list[str]:
    axes = figure.axes[0]
    ticks = [label.get_text() for label in axes.get_xticklabels()]
    return [text.get_text() for text in (*axes.texts, *figure.texts)] + ticks


# --- admission -----------------------------------------------------------------------------------


def test_the_bars_of_admission_are_as_high_as_the_sums() -> None:
    axes = draw_admission(_slide()).axes[0]
    heights = np.zeros(3)  # the last is the bar at -1
    for patch in axes.patches:
        heights[round(patch.get_x() + patch.get_width() / 2)] += patch.get_height()  # type: ignore[attr-defined] # bars
    assert heights == pytest.approx([2036.16, 2047.68, 216 + 3 * 576])
    lines = [line for line in axes.lines if line.get_ydata()[0] == 2048]  # type: ignore[index] # an array
    assert len(lines) == 1


@pytest.mark.parametrize(
    ("host", "title"),
    [
        (2048, "The talk's sum leaves 11.8 MB, the guide's leaves 0.32 MB"),
        (2040, "The talk's sum leaves 3.84 MB, the guide's lacks 7.68 MB"),
        (1945, "The talk's sum lacks 91.2 MB, the guide's lacks 103 MB"),
        (1024, "1 of 3 VMs start; 2 VMs can't"),
    ],
)
def test_the_title_of_admission_says_what_is_left_or_lacks(host: float, title: str) -> None:
    words = " ".join(_words(draw_admission(_slide(host)))).replace("\n", " ")
    assert title in words


def test_who_is_refused_stands_above_the_line() -> None:
    figure = draw_admission(_slide(1500))
    dashed = [patch for patch in figure.axes[0].patches if patch.get_linestyle() != "solid"]
    assert len(dashed) == 1
    assert dashed[0].get_y() + dashed[0].get_height() == 216 + 3 * 576 > 1500  # type: ignore[attr-defined] # a bar
    assert "VM3" in _words(figure)
    assert "VM3 576 (refused): 1368 MB" in figure.alt


def test_many_vms_are_one_block() -> None:
    result = admit([VmMemory(f"VM{i}", 256, 512) for i in range(8)], host_mib=4096)
    figure = draw_admission(result)
    assert "8 VMs" in _words(figure)
    assert "8 VMs 4096" in figure.alt


def test_names_beside_the_bars_keep_apart() -> None:
    for width in (style.WIDE_PX, style.NARROW_PX):
        figure = draw_admission(_slide(), style.plate(width))
        figure.png(scale=1)
        beside = [text for text in figure.axes[0].texts if text.get_position()[0] == 1.5]
        assert len(beside) == 7
        boxes = sorted((text.get_window_extent() for text in beside), key=lambda box: box.y0)
        assert all(low.y1 <= high.y0 + 2 for low, high in pairwise(boxes))


# --- the tax -------------------------------------------------------------------------------------


def test_figure_7_has_published_points_and_our_lines() -> None:
    axes = draw_figure_7(figure_7()).axes[0]
    points = [float(line.get_ydata()[0]) for line in axes.lines if len(line.get_ydata()) == 1]  # type: ignore[index,arg-type] # arrays
    ours = [float(line.get_ydata()[0]) for line in axes.lines if len(line.get_ydata()) == 2]  # type: ignore[index,arg-type] # arrays
    assert points == pytest.approx([178.9, 179.1, 101.3, 243.2])
    assert ours == pytest.approx([179.0, 179.0, 100.775, 243.725])
    assert any("−0.5 %" in words for words in _words(draw_figure_7(figure_7())))


def test_the_tax_curve_draws_each_target_and_names_it_at_its_end() -> None:
    curve = tax_curve(344.5, [1, 1], [9.8, 200.4], maximum=256)
    figure = draw_tax_curve(curve)
    drawn = [line for line in figure.axes[0].lines if len(line.get_ydata()) == 100]  # type: ignore[arg-type] # an array
    for line, column in zip(drawn, curve.target.T, strict=True):
        assert np.array_equal(np.asarray(line.get_ydata()), column)
    assert {"VM1 88", "VM2 256", "in use 9.8", "in use 200"} <= set(_words(figure))
    assert "The tax takes 84 MiB from VM1, and VM2 gets 84 more" in _words(figure)


def test_the_areas_of_the_bottles_are_memory() -> None:
    result = targets(800, [1000, 1000, 2000], [30, 200, 100], 50, [256, 512, 512])
    axes = draw_bottles(result).axes[0]
    areas = [patch.get_width() * patch.get_height() for patch in axes.patches]  # type: ignore[attr-defined] # bars
    full, light = np.array(areas).reshape(3, 2).T
    assert full == pytest.approx(np.minimum(result.target, result.active))
    assert full + light == pytest.approx(result.target)
    tops = [patch.get_y() + patch.get_height() for patch in axes.patches][1::2]  # type: ignore[attr-defined] # bars
    assert tops == pytest.approx([tops[0]] * 3)  # one level in all
    assert "At a tax rate of 0.75, VM3 keeps" in " ".join(_words(draw_bottles(result)))


def test_bottles_without_idle_memory_say_so() -> None:
    figure = draw_bottles(targets(100, [1, 1], [90, 90]))
    assert "No VM keeps idle memory" in _words(figure)
    with pytest.raises(InvalidInputError, match="shares"):
        draw_bottles(targets(100, [1, 0], [90, 90]))


def test_a_tax_that_changes_nothing_is_said() -> None:
    assert "The tax changes nothing here" in _words(draw_tax_curve(tax_curve(100, [1, 1], [0, 0])))


def test_too_many_vms_for_a_curve() -> None:
    with pytest.raises(InvalidInputError, match="vms = 7"):
        draw_tax_curve(tax_curve(700, np.ones(7), np.zeros(7)))


# --- the sampler ---------------------------------------------------------------------------------


def test_the_sampler_is_drawn_from_the_first_count_on() -> None:
    run = sample_steps((0, 100, 0), np.random.default_rng(3))
    axes = draw_sampling(run).axes[0]
    estimate = next(line for line in axes.lines if line.get_linewidth() == 3)
    assert isinstance(estimate, Line2D)
    assert np.array_equal(np.asarray(estimate.get_ydata()), run.estimate_mib[29:])
    assert axes.get_ylim()[1] < 200  # not the 512 MiB of the guess before it


def test_the_samplers_title_has_numbers_with_and_without_change() -> None:
    told = sample_steps().summary()
    words = " ".join(_words(draw_sampling(sample_steps())))
    assert f"{told['rise_followed_s']:.0f} s" in words
    assert "MiB below" in " ".join(_words(draw_sampling(sample_steps((100,)))))
    assert "115 MiB, as an area" in draw_sampling(sample_steps((100,))).alt


# --- a moment, and time ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def short() -> MemoryRun:
    events = (Event(20, "power on", "VM4"), Event(30, "power off", "VM4"))
    return run(replace(reallocation.scenario(), seconds=40, events=events))


@pytest.mark.parametrize("width", [style.WIDE_PX, style.NARROW_PX])
def test_words_over_a_timeline_do_not_touch(width: int, short: MemoryRun) -> None:
    figure = draw_timeline(short, style.plate(width))
    figure.png(scale=1)
    boxes = [
        text.get_window_extent()
        for text in figure.axes[0].texts
        if text.get_text() in ("VM4 starts", "VM4 stops")
    ]
    assert len(boxes) == 2
    assert not boxes[0].overlaps(boxes[1])
    assert all(box.x0 >= 0 and box.x1 <= width for box in boxes)


@pytest.mark.parametrize("width", [style.WIDE_PX, style.NARROW_PX])
def test_a_moment_draws_the_past_and_not_what_comes(width: int, short: MemoryRun) -> None:
    figure = style.plate(width)
    for second in (35, 15):
        draw_moment(short, second, figure)
        figure.png(scale=1)
        lines = [line for line in figure.artists if isinstance(line, Line2D)]
        latest = max(float(np.max(line.get_xdata())) for line in lines if len(line.get_xdata()) > 3)  # type: ignore[arg-type] # arrays
        assert second - 5 < latest <= second
        assert f"after {second} s" in figure.alt
    assert "VM4 is off" in figure.alt
    assert len(figure.axes) == 1
    for text in figure.texts:
        box = text.get_window_extent()
        assert 0 <= box.x0 < box.x1 <= width, text.get_text()
        assert box.y0 >= 0, text.get_text()


# --- all -----------------------------------------------------------------------------------------

DRAWN: list[Callable[[Plate | None], Plate]] = [
    lambda figure: draw_admission(_slide(), figure),
    lambda figure: draw_bottles(targets(344.5, [1, 1], [9.8, 200.4]), figure),
    lambda figure: draw_figure_7(figure_7(), figure),
    lambda figure: draw_tax_curve(tax_curve(344.5, [1, 1], [9.8, 200.4]), figure),
    lambda figure: draw_sampling(sample_steps((0, 50), step_s=60), figure),
]


@pytest.mark.parametrize("draw", DRAWN)
def test_drawing_again_on_the_same_figure_leaves_nothing_behind(
    draw: Callable[[Plate | None], Plate],
) -> None:
    figure = draw(None)
    count = len(figure.axes), len(figure.texts)
    assert draw(figure) is figure
    assert (len(figure.axes), len(figure.texts)) == count
