"""Grips stand where the figure has what they move, whatever its size."""

from __future__ import annotations

import math

import pytest

from virtlab.course.tour import map_rows
from virtlab.memory.pressure import under_pressure
from virtlab.memory.pressure_check import SMALL, check_pressure
from virtlab.memory.tax import targets
from virtlab.plots import style, talk
from virtlab.plots.cpu_cores import draw_cores
from virtlab.plots.disk import draw_disk
from virtlab.plots.grips import Grip, knob, tile
from virtlab.plots.reclaim import draw_pressure
from virtlab.plots.shares import draw_allocation, draw_vessels
from virtlab.plots.tax import draw_bottles
from virtlab.resources import DiskLoad, allocate, serve
from virtlab.resources.cpu import Cores, CpuVM, schedule_threads
from virtlab.validate import InvalidInputError

WIDTHS = (style.WIDE_PX, style.NARROW_PX)


def named(figure: style.Plate) -> dict[str, Grip]:
    return {grip.name: grip for grip in figure.grips}


def value_at(figure: style.Plate, grip: Grip) -> float:
    """Read the axes under a knob."""
    axes = figure.axes[0]
    pixels = figure.transFigure.transform((grip.x, 1 - grip.y))
    return float(axes.transData.inverted().transform(pixels)["xy".index(grip.along)])


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("along", ["x", "y"])
def test_a_knob_comes_to_a_value_by_as_many_parts_as_it_says(width: int, along: str) -> None:
    figure = style.plate(width)
    axes = figure.subplots()
    axes.set(xlim=(-3, 17), ylim=(5, 105))
    knob(axes, "one", "", (2, 20), along, 20, per_unit=3)
    knob(axes, "other", "", (9, 60), along, 60, per_unit=3)
    one, other = figure.grips
    parts = {"x": other.x - one.x, "y": one.y - other.y}
    units = {"x": 7, "y": 40}
    assert parts[along] * one.per_part == pytest.approx(3 * units[along])


def test_a_knob_goes_one_of_two_ways() -> None:
    with pytest.raises(InvalidInputError):
        knob(style.plate().subplots(), "one", "", (0, 0), "z", 0)


@pytest.mark.parametrize("size", [(20, 10), (-20, -10)])
def test_a_tile_covers_what_it_says_from_any_corner(size: tuple[int, int]) -> None:
    figure = style.plate()
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, 100), ylim=(0, 100))
    corner = (30, 40) if size[0] > 0 else (50, 50)
    tile(axes, "slide", "", corner, size, 7)
    [one] = figure.grips
    found = (one.x, one.y, one.width, one.height)
    assert found == pytest.approx((0.3, 0.5, 0.2, 0.1))
    assert (one.value, one.along) == (7, "")


def test_a_figure_that_is_drawn_again_has_no_old_ones() -> None:
    figure = draw_allocation(allocate(160, [1, 1]))
    assert figure.grips
    assert style.draw_on(figure, lambda plate: plate.subplots()).grips == []
    assert style.plate().grips == []


@pytest.mark.parametrize("width", WIDTHS)
def test_knobs_of_bars_stand_at_their_values(width: int) -> None:
    result = allocate(160, [1000, 2000, 1000], [10, 0, 0], [160, 90, 500])
    figure = draw_allocation(result, style.plate(width))
    for grip in figure.grips:
        assert value_at(figure, grip) == pytest.approx(grip.value), grip
    found = named(figure)
    assert found["minimum1"].value == 10
    assert found["maximum2"].value == 90
    assert found["maximum3"].value == figure.axes[0].get_ylim()[1], "out of sight: at the edge"
    assert found["amount2"].control == "shares2"


def test_what_cannot_be_pulled_has_no_knob() -> None:
    idle = draw_allocation(allocate(160, [1, 1], [0, 0], [0, 160]))
    assert not [name for name in named(idle) if name.endswith("1")]
    held = draw_allocation(allocate(160, [1, 1, 1], [0, 0, 70], [20, 160, 160]))
    assert {"amount1", "amount2", "amount3"} & set(named(held)) == {"amount2"}


@pytest.mark.parametrize("width", WIDTHS)
def test_a_vessels_wall_is_as_far_as_it_has_shares(width: int) -> None:
    result = allocate(160, [1000, 2000, 500], [0, 0, 40], [30, math.inf, math.inf])
    figure = draw_vessels(result, style.plate(width))
    found = named(figure)
    wall = value_at(figure, found["shares2"])
    side = Grip("", "", "", found["minimum2"].x, found["minimum2"].y, along="x")
    assert wall - value_at(figure, side) == pytest.approx(2000)
    assert found["shares2"].value == 2000
    lid = found["maximum1"]
    assert value_at(figure, lid) == pytest.approx(lid.value)  # 1000 shares: its own scale
    assert value_at(figure, found["minimum3"]) == pytest.approx(80), "40 on 500 shares"
    assert lid.per_part == pytest.approx(2 * found["minimum3"].per_part)


@pytest.mark.parametrize("rate", [0.0, 0.5, 0.75])
def test_a_bottles_knobs(rate: float) -> None:
    figure = draw_bottles(
        targets(344.5, [1000, 500], [60, 40], maximum=256, tax_rate=rate, unit="MB")
    )
    found = named(figure)
    assert value_at(figure, found["active2"]) == pytest.approx(40 / 500)
    assert value_at(figure, found["level"]) == pytest.approx(found["level"].value)
    neck, wall = found["tax_rate"], found["shares2"]  # the last neck is VM2's
    width = value_at(figure, Grip("", "", "", wall.x, wall.y, along="x"))
    middle = width - 250
    assert value_at(figure, neck) - middle == pytest.approx(250 * (1 - rate))
    ahead = Grip("", "", "", neck.x + 0.05, neck.y, along="x")
    wider = (value_at(figure, ahead) - middle) / 250  # part of the body's width
    assert neck.value + 0.05 * neck.per_part == pytest.approx(1 - wider), "wider: a lower rate"


@pytest.mark.parametrize("width", WIDTHS)
def test_a_moment_and_an_amount_stand_where_they_are_drawn(width: int) -> None:
    halves = schedule_threads([CpuVM("VM1"), CpuVM("VM2")], Cores(2), seconds=1)
    disk = serve([DiskLoad(), DiskLoad()], seconds=4)
    pressed = draw_pressure(under_pressure(), style.plate(width))
    for figure, which, value in (
        (draw_disk(disk, 1.5, figure=style.plate(width)), 0, 1.5),
        (draw_cores(halves, 0.4, figure=style.plate(width)), 1, 0.4),
        (pressed, 0, named(pressed)["taken_mib"].value),
    ):
        [grip] = figure.grips
        axes = figure.axes[which]
        pixels = figure.transFigure.transform((grip.x, 1 - grip.y))
        x, y = axes.transData.inverted().transform(pixels)
        assert (x, grip.value) == pytest.approx((value, value))
        assert y == pytest.approx(axes.get_ylim()[0])
    assert not draw_pressure(under_pressure(SMALL, 24, 1), check=check_pressure()).grips


@pytest.mark.parametrize("width", WIDTHS)
def test_each_slide_of_the_map_can_be_pressed(width: int) -> None:
    figure = talk.draw(map_rows(), 20, style.plate(width))
    assert {grip.value for grip in figure.grips} == set(range(1, 54))
    for grip in figure.grips:
        assert 0 <= grip.x <= 1 - grip.width
        assert 0 <= grip.y <= 1 - grip.height
        assert grip.words.startswith(f"S{grip.value:g}: ")
