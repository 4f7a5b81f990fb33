"""The map's words and tiles follow from its rows; nothing overlaps or leaves the picture."""

from __future__ import annotations

import pytest
from matplotlib.patches import Rectangle

from virtlab.course.tour import map_rows
from virtlab.plots import style
from virtlab.plots.palette import PAGES, VMS
from virtlab.plots.talk import Row, draw

ROWS = (
    Row("01-first", "Begin", tuple(range(1, 15)), built=True, guests=(13,)),
    Row("02-next", "Go on", (15, 16), built=False),
)


def _tiles(figure: style.Plate) -> list[Rectangle]:
    return [patch for patch in figure.axes[0].patches if isinstance(patch, Rectangle)]


@pytest.mark.parametrize("width", [style.WIDE_PX, style.NARROW_PX])
@pytest.mark.parametrize("rows", [ROWS, tuple(map_rows())], ids=["small", "talk"])
def test_every_slide_has_its_own_tile_inside_the_picture(width: int, rows: tuple[Row, ...]) -> None:
    figure = draw(rows, figure=style.plate(width))
    tiles = _tiles(figure)
    assert len(tiles) == sum(len(row.slides) for row in rows)
    boxes = {(tile.get_x(), tile.get_y()) for tile in tiles}
    assert len(boxes) == len(tiles)
    height = figure.get_figheight() * 100
    for tile in tiles:
        assert 0 <= tile.get_x() <= width - tile.get_width()
        assert 0 <= tile.get_y() <= height - tile.get_height()


@pytest.mark.parametrize("width", [style.WIDE_PX, style.NARROW_PX])
def test_no_text_leaves_the_picture(width: int) -> None:
    figure = draw(map_rows(), figure=style.plate(width))
    figure.png(scale=1)
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]  # the Agg canvas has it
    edge = figure.bbox
    for text in [*figure.axes[0].texts, *figure.texts]:
        box = text.get_window_extent(renderer)
        assert edge.x0 <= box.x0, text.get_text()
        assert box.x1 <= edge.x1, text.get_text()


def test_built_is_filled_and_said_and_marked() -> None:
    figure = draw(ROWS)
    faces = [tile.get_facecolor() for tile in _tiles(figure)]
    assert len(set(faces[:14])) == 1
    assert set(faces[:14]).isdisjoint(faces[14:])
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert "✔ Begin" in texts
    assert "Go on" in texts
    assert "Built and filled: 01-first (S1, " in figure.alt
    assert "To come, in outline: 02-next (S15, S16)." in figure.alt
    assert any("1 of 2 chapters" in text.get_text() for text in figure.texts)


def test_one_slide_is_pointed_out() -> None:
    figure = draw(ROWS, chosen=16)
    chosen = _tiles(figure)[15]
    assert chosen.get_linewidth() > _tiles(figure)[14].get_linewidth()
    assert figure.alt.endswith("Pointed out: S16, in 02-next.")
    assert "Pointed out" not in draw(ROWS).alt
    assert PAGES["ballooned"].colour != VMS[0].colour


def test_a_guest_is_dotted() -> None:
    tiles = _tiles(draw(ROWS))
    assert [tile.get_linestyle() for tile in tiles].count(":") == 1
