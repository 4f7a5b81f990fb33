"""Figures of the architectures: what they say, and that a packet's way is lit step by step."""

from __future__ import annotations

import numpy as np
import pytest

from virtlab.machine.architectures import IoLoad, held_against, run_io
from virtlab.machine.io_paths import ARCHITECTURES
from virtlab.plots import architectures, style
from virtlab.plots.architectures import draw_architectures, draw_io
from virtlab.plots.architectures_published import draw_published
from virtlab.plots.stacks import points

KEYS = list(ARCHITECTURES)
WIDTHS = (style.WIDE_PX, style.NARROW_PX)


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("width", WIDTHS)
def test_each_architecture_is_drawn_with_all_its_layers_and_steps(key: str, width: int) -> None:
    run = run_io(IoLoad(key))
    figure = draw_io(run, figure=style.plate(width))
    said = {text.get_text() for axes in figure.axes for text in axes.texts}
    assert {layer.name for layer in run.architecture.layers} <= said
    assert {str(number) for number in range(1, len(run.path) + 1)} <= said
    assert sum("not published" in words for words in said) == (1 if key == "system" else 0)
    assert figure.png(scale=1)[1:4] == b"PNG"


@pytest.mark.parametrize("key", KEYS)
def test_a_way_leads_through_the_layers_that_the_model_names(key: str) -> None:
    corners, steps = points(key)
    one = ARCHITECTURES[key]
    for (x, y), step in zip([corners[at] for at in steps], one.path, strict=True):
        layer = next(layer for layer in one.layers if layer.name == step.where)
        assert layer.columns[0] <= x <= layer.columns[1]
        assert layer.row <= y <= layer.row + 1


def test_the_way_grows_with_the_steps_and_the_words_with_it() -> None:
    run = run_io(IoLoad("hosted"))
    figure = style.plate()
    lengths, words = [], []
    for step in range(8):
        draw_io(run, step, figure)
        assert isinstance(figure.view, architectures._Io)
        lengths.append(len(np.asarray(figure.view.way.get_xdata())))
        words.append(figure.alt)
    assert lengths == sorted(lengths)
    assert lengths[0] == 1
    assert len(set(words)) == 8
    assert "step 2 of 7: all state saved" in words[2]


def test_another_architecture_leaves_no_trace_of_the_one_before() -> None:
    again = draw_io(run_io(IoLoad("hosted")))
    draw_io(run_io(IoLoad("system")), figure=again)
    draw_io(run_io(IoLoad("dedicated")), 1, again)
    fresh = draw_io(run_io(IoLoad("dedicated")), 1)
    assert again.png(scale=1) == fresh.png(scale=1)
    assert again.alt == fresh.alt


def test_bars_are_as_long_as_their_times() -> None:
    figure = draw_io(run_io(IoLoad("hosted")))
    assert isinstance(figure.view, architectures._Io)
    boxes = [np.asarray(path.vertices) for path in figure.view.rectangles.get_paths()]
    widths = np.array([np.ptp(box[:, 0]) for box in boxes])
    us = np.array([step.us for step in run_io(IoLoad("hosted")).path])
    assert widths / widths.max() == pytest.approx(us / us.max())


def test_the_load_adds_up_to_all_of_the_processor() -> None:
    figure = draw_io(run_io(IoLoad("dedicated", packets_per_s=2000)))
    assert isinstance(figure.view, architectures._Io)
    ends = [
        float(np.asarray(path.vertices)[:, 0].max())
        for span in figure.view.spans.values()
        for path in span.get_paths()
    ]
    assert ends == sorted(ends)
    assert ends[-1] == pytest.approx(100)


@pytest.mark.parametrize("width", WIDTHS)
def test_three_architectures_side_by_side(width: int) -> None:
    figure = draw_architectures(style.plate(width))
    assert len(figure.axes) == 3
    for words in (
        "Hosted (S8)",
        "31.63 µs",
        "A dedicated kernel (S10)",
        "18.53 µs",
        "no published",
    ):
        assert words in figure.alt


@pytest.mark.parametrize("width", WIDTHS)
def test_what_was_published_stands_beside_ours(width: int) -> None:
    figure = draw_published(style.plate(width))
    points = [
        float(np.asarray(line.get_xdata())[0])
        for axes in figure.axes
        for line in axes.lines
        if line.get_marker() == "D"
    ]
    rows = held_against()
    assert sorted(points) == sorted(theirs for _, _, theirs, _ in rows)
    for name, unit, theirs, ours in rows:
        assert f"{name}: {theirs:g}, ours {ours:.1f} {unit}" in figure.alt
