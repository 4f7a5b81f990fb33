"""Figures of shares and of the disk queue: they draw what the numbers say, at both widths."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from matplotlib.patches import Rectangle

from virtlab.plots import style
from virtlab.plots.disk import draw_disk, draw_service, draw_throughput
from virtlab.plots.pools import draw_pools
from virtlab.plots.shares import draw_allocation, draw_vessels, finding
from virtlab.resources import VM, Change, DiskLoad, Pool, allocate, divide, serve
from virtlab.resources.disk_policies import Fifo
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from virtlab.plots.style import Plate

TALK = allocate(160, [1000, 2000, 1000], unit="MB/s")
CASES = {
    "talk": TALK,
    "bounds": allocate(160, [1000, 2000, 1000], [0, 0, 60], [10, 160, 160], unit="MB/s"),
    "left": allocate(160, [1000, 2000, 500], maximum=[20, 50, 30]),
    "zero": allocate(100, [1000, 0], [0, 20]),
    "nothing": allocate(0, [1, 2]),
    "idle": allocate(160, [1000, 1000], maximum=[0, math.inf]),
    "steps": allocate(100, [1, 1], height=[0, 30]),
    "one": allocate(5, [7]),
}
RUN = serve(
    [DiskLoad(), DiskLoad(2000), DiskLoad(busy=((0, 1), (2, math.inf)))],
    changes=[Change(1.5, 0, 3000)],
    seconds=3,
)
TREE = divide(
    160,
    Pool(
        "host",
        children=(
            Pool("production", 3000, children=(VM("db", 2000), VM("web"))),
            Pool("test", children=tuple(VM(f"t{i}") for i in range(6))),
        ),
    ),
)


@pytest.mark.parametrize("width", [style.WIDE_PX, style.NARROW_PX])
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("draw", [draw_allocation, draw_vessels])
def test_every_case_can_be_drawn_and_said(
    draw: Callable[..., Plate], case: str, width: int
) -> None:
    result = CASES[case]
    figure = draw(result, style.plate(width))
    assert figure.png(scale=1)
    for name, amount in zip(result.labels, result.allocation, strict=True):
        assert f"{name}: " in figure.alt
        assert f"gets {amount:.4g}" in figure.alt


def _rectangles(figure: Plate) -> list[Rectangle]:
    patches = figure.axes[0].patches
    return [patch for patch in patches if isinstance(patch, Rectangle)]


@pytest.mark.parametrize("case", ["talk", "bounds", "left", "one"])
def test_the_area_of_the_water_is_the_allocation(case: str) -> None:
    result = CASES[case]
    areas = [patch.get_width() * patch.get_height() for patch in _rectangles(draw_vessels(result))]
    per = 10 ** math.floor(math.log10(result.shares.max()))
    assert np.array(areas) / per == pytest.approx(result.allocation, rel=1e-9)


def test_a_vessel_on_a_step_begins_there() -> None:
    bottoms = [patch.get_y() for patch in _rectangles(draw_vessels(CASES["steps"]))]
    assert bottoms == [0, 30]


def test_bars_are_as_high_as_the_allocation() -> None:
    heights = [patch.get_height() for patch in _rectangles(draw_allocation(TALK))]
    assert heights == [40, 80, 40]


def test_findings() -> None:
    assert finding(TALK) == "VM2 gets 80 of 160 MB/s, 2 times what VM1 gets"
    assert finding(CASES["left"]).startswith("Nobody can use the last 60")
    assert finding(CASES["idle"]) == "VM2 gets 160 of 160 MB/s".replace(" MB/s", "")
    assert finding(CASES["nothing"]) == "Each VM gets 0 of 0"


def test_too_many_vms_for_a_figure() -> None:
    with pytest.raises(InvalidInputError, match="vms = 13"):
        draw_allocation(allocate(1, np.ones(13)))


def test_a_figure_is_drawn_again_in_place() -> None:
    figure = draw_allocation(TALK)
    assert draw_vessels(CASES["bounds"], figure) is figure
    assert len(figure.axes) == 1


@pytest.mark.parametrize("width", [style.WIDE_PX, style.NARROW_PX])
def test_disk_figures(width: int) -> None:
    for figure in (
        draw_throughput(RUN, figure=style.plate(width)),
        draw_service(RUN, 1.2, figure=style.plate(width)),
        draw_disk(RUN, 1.2, figure=style.plate(width)),
    ):
        assert figure.png(scale=1)
        assert figure.alt


def test_the_lines_are_the_throughput() -> None:
    figure = draw_throughput(RUN, window_s=0.5)
    stairs = [patch for patch in figure.axes[0].patches if hasattr(patch, "get_data")]
    drawn = np.stack([patch.get_data().values for patch in stairs])
    counted = RUN.throughput(0.5)["mb_per_s"].to_numpy().reshape(-1, 3).T
    assert drawn == pytest.approx(counted)


def test_events_are_named() -> None:
    figure = draw_throughput(RUN)
    words = [text.get_text() for text in figure.axes[0].texts]
    for event in ("VM3 idle", "VM1: 3000 shares", "VM3 is back"):
        assert event in words


def test_the_order_of_service_is_said() -> None:
    run = serve([DiskLoad(), DiskLoad(2000)], seconds=1)
    order = draw_service(run, from_s=0.5).alt.split("by VM: ")[1].rstrip(".")
    first = int(np.searchsorted(run.served[5], 0.5, side="right"))
    assert order == "".join(str(int(vm) + 1) for vm in run.served[0, first : first + 24])
    assert (order.count("1"), order.count("2")) == (8, 16)


def test_a_queue_that_does_not_keep_to_shares_is_called_so() -> None:
    loads = [DiskLoad(3000, outstanding=1), DiskLoad(1000, outstanding=7)]
    figure = draw_throughput(serve(loads, policy=Fifo, seconds=1))
    titles = [text.get_text() for text in figure.texts]
    assert any("by its shares it would get" in title for title in titles)


def test_runs_without_requests_or_time() -> None:
    for run in (serve([DiskLoad(busy=())], seconds=1), serve([DiskLoad()], seconds=0)):
        assert draw_service(run).png(scale=1)
    assert draw_throughput(serve([DiskLoad(busy=())], seconds=1)).png(scale=1)


@pytest.mark.parametrize("width", [style.WIDE_PX, style.NARROW_PX])
def test_pools_stand_under_the_pool_they_are_part_of(width: int) -> None:
    figure = draw_pools(TREE, style.plate(width))
    assert figure.png(scale=1)
    bands = _rectangles(figure)
    upper = [band for band in bands if band.get_y() == 0]
    lower = [band for band in bands if band.get_y() == 1]
    assert sum(band.get_width() for band in upper) == pytest.approx(160)
    assert sum(band.get_width() for band in lower) == pytest.approx(160)
    assert "test / t5: 6.667" in figure.alt
