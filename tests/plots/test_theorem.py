"""The theorem as areas: each name stands in the area where the runs put it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from matplotlib.colors import same_color

from virtlab.machine.theorem import NAMES, theorem
from virtlab.plots import style
from virtlab.plots.palette import OUTCOMES
from virtlab.plots.theorem import draw_theorem
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from virtlab.machine.theorem import Theorem

TRAPS, WRONG = OUTCOMES["traps"].colour, OUTCOMES["silently wrong"].colour


def areas(figure: style.Plate, colour: str) -> list[Any]:
    """Return the areas of a colour, without the legend's."""
    boxes = [box for box in figure.axes[0].patches if not box.get_fill()]
    found = [box for box in boxes if same_color(box.get_edgecolor(), colour)]
    return [box.get_path().get_extents() for box in found if box.get_path().get_extents().y0 > 90]


def names(figure: style.Plate) -> dict[str, tuple[float, float]]:
    return {text.get_text(): text.get_position() for text in figure.axes[0].texts}


def signs(figure: style.Plate) -> dict[tuple[int, int], bool]:
    """Return which warning signs are full, by their place."""
    found = {}
    for line in figure.axes[0].lines:
        x, y = np.asarray(line.get_xydata(), dtype=float)[0]
        found[round(x), round(y)] = not same_color(line.get_markerfacecolor(), "white")
    return found


@pytest.mark.parametrize("name", NAMES)
def test_each_name_stands_where_it_belongs(name: str) -> None:
    result = theorem(name)
    figure = draw_theorem([result])
    (traps,), (sensitive,) = areas(figure, TRAPS), areas(figure, WRONG)
    found, drawn = names(figure), signs(figure)
    for kind in result.kinds:
        x, y = found[kind.name]
        assert traps.contains(x, y) == kind.privileged, kind.name
        assert sensitive.contains(x, y) == kind.sensitive, kind.name
        sign = drawn.get((round(x - 10), round(y - 0.5)))
        broken = kind.sensitive and not kind.privileged
        assert sign == (kind.user if broken else None), kind.name


@pytest.mark.parametrize(("name", "inside"), [("fixed-i386", True), ("jrst", False)])
def test_the_sensitive_lie_within_what_traps_if_the_theorem_holds(
    *, name: str, inside: bool
) -> None:
    figure = draw_theorem([theorem(name)])
    (traps,), (sensitive,) = areas(figure, TRAPS), areas(figure, WRONG)
    assert (sensitive.y1 <= traps.y1) == inside


def test_four_side_by_side_and_again_on_the_same_figure() -> None:
    results = [theorem(name) for name in NAMES[:4]]
    figure = draw_theorem(results)
    assert len(areas(figure, TRAPS)) == 4
    before = figure.axes[0]
    again = draw_theorem(results[3:], figure)
    assert again is figure
    assert figure.axes == [before]
    assert len(areas(figure, TRAPS)) == 1
    assert "jrst: 1 sensitive instruction does not trap" in {
        text.get_text().replace("with JRST", "jrst") for text in figure.texts
    }


def test_a_phone_sees_what_breaks_the_theorem() -> None:
    figure = draw_theorem([theorem("i386")], style.plate(style.NARROW_PX))
    assert {"POPF", "SGDT", "15 sensitive instructions trap"} <= set(names(figure))
    assert "LGDT" not in names(figure)


def test_the_words() -> None:
    figure = draw_theorem([theorem("open-lra"), theorem("third-generation")])
    assert "with open LRA: 2 sensitive instructions trap, 1 do not (lra (user mode too))" in (
        figure.alt
    )
    assert "third generation: 3 sensitive instructions trap, 0 do not;" in figure.alt
    holds = draw_theorem([theorem("third-generation")])
    assert "third generation: each sensitive instruction traps" in {
        text.get_text() for text in holds.texts
    }


@pytest.mark.parametrize("count", [0, 5])
def test_how_many(count: int) -> None:
    results: list[Theorem] = [theorem("jrst")] * count
    with pytest.raises(InvalidInputError, match="results"):
        draw_theorem(results)
