"""The figure of the home lab: its points and line stand where the numbers are, at both widths."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

from virtlab.migration.lab.lab import LabRun
from virtlab.migration.lab.predicted import stored_run
from virtlab.plots import style
from virtlab.plots.vmotion_lab import MEASURES, draw_lab
from virtlab.validate import InvalidInputError


@pytest.mark.parametrize("what", MEASURES)
@pytest.mark.parametrize("width", [style.WIDE_PX, style.NARROW_PX])
def test_alt_text_holds_the_numbers_and_nothing_sticks_out(what: str, width: int) -> None:
    run = stored_run()
    figure = draw_lab(run, style.plate(width), what=what)
    numbers = run.summary()
    name = MEASURES[what][2]
    assert f"within {float(numbers[f'{name}_median']):.2g} {MEASURES[what][3]}" in figure.alt
    assert f"within {float(numbers[f'{name}_p90']):.2g} {MEASURES[what][3]}" in figure.alt
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    for text in cast("list[Text]", figure.findobj(Text)):
        if str(text.get_text()).strip() and text.get_visible() and text.axes is None:
            box = text.get_window_extent(renderer)
            inside = box.x0 >= -2 and box.x1 <= figure.bbox.x1 + 2 and box.y1 <= figure.bbox.y1 + 2
            assert inside, f"{text.get_text()!r} at {box}"


def test_points_are_measured_and_the_line_is_predicted() -> None:
    run = stored_run()
    frame = run.to_frame()
    shown = frame[frame["calm"] & frame["total_error_pct"].notna()]
    above, below = draw_lab(run).axes
    line, *points = above.lines
    assert np.allclose(np.asarray(line.get_ydata()), np.sort(shown["predicted_total_s"]))
    drawn = np.concatenate([np.asarray(each.get_ydata()) for each in points])
    assert np.allclose(np.sort(drawn), np.sort(shown["total_s"]))
    errors = np.concatenate([np.asarray(each.get_ydata()) for each in below.lines[:3]])
    assert np.allclose(np.sort(errors), np.sort(shown["total_error_pct"]))


def test_drawing_again_gives_the_same_picture() -> None:
    run, figure = stored_run(), style.plate()
    first = draw_lab(run, figure).png(scale=1)
    assert draw_lab(run, figure).png(scale=1) == first


def test_what_can_not_be_drawn_is_said() -> None:
    run = stored_run()
    with pytest.raises(InvalidInputError, match="what = 'colour'"):
        draw_lab(run, what="colour")
    with pytest.raises(InvalidInputError, match="with predictions"):
        draw_lab(LabRun(run.records))
    noisy = tuple(replace(each, host_cpu_busy_pct=99.0, qemu_waited_ms=1e6) for each in run.records)
    with pytest.raises(InvalidInputError, match="calm migrations"):
        draw_lab(LabRun(noisy, (), run.predicted))
