"""The widgets of chapter 02: the table of signs, and the two walks by their short names."""

from __future__ import annotations

import pytest

from virtlab.machine.ring_choice import BESIDE
from virtlab.machine.rings import ring_table
from virtlab.widgets import rings as widgets


def test_a_cell_is_chosen_by_the_controls() -> None:
    app = widgets.table()
    assert app.result.kind == "differs"
    assert "popf, IF = 0 at ring 3: something else, no trap" in app.picture.alt
    app.set(instruction="lgdt", ring=1)
    assert "lgdt [data] at ring 1: traps" in app.picture.alt
    assert "a monitor hears of it" in app.answer.sentence
    app.set(instruction="sgdt")
    assert "tells of the machine, no trap" in app.picture.alt


@pytest.mark.parametrize("iopl", range(4))
def test_each_iopl_has_its_table(iopl: int) -> None:
    app = widgets.table().set(iopl=iopl, instruction="cli", ring=2)
    assert app.result.kind == ring_table().cell("cli", 2, iopl)
    assert f"IOPL {iopl}" in app.picture.alt


@pytest.mark.parametrize("beside", BESIDE[1:])
def test_what_is_otherwise_elsewhere_is_marked(beside: str) -> None:
    app = widgets.table()
    plain = app.picture.png
    app.set(beside=beside)
    assert app.picture.png != plain
    assert f"With {beside} these are otherwise" in app.picture.alt


def test_axes_stay_while_controls_move() -> None:
    app = widgets.table()
    axes = list(app.picture.figure.axes)
    app.set(iopl=2, ring=1, beside="Unicorn", instruction="in")
    assert list(app.picture.figure.axes) == axes


def test_on_a_phone_the_chosen_row_is_there() -> None:
    app = widgets.table("lgdt")
    app.picture.narrow = True
    shown = {text.get_text() for axes in app.picture.figure.axes for text in axes.texts}
    assert "lgdt" in shown
    assert "lidt" not in shown
    app.set(instruction="lidt")
    shown = {text.get_text() for axes in app.picture.figure.axes for text in axes.texts}
    assert "lidt" in shown


def test_the_walks_have_short_names() -> None:
    assert widgets.kernel().moment.how == "int 0x80"
    assert widgets.attempt().moment.number == 0


@pytest.mark.parametrize("width", [960, 380])
def test_a_finger_chooses_the_cell_it_points_at(width: int) -> None:
    app = widgets.table()
    app.picture.narrow = width == 380
    figure = app.picture.figure
    for axes in figure.axes:
        for text in axes.texts:
            if text.get_text() in ("smsw", "int 0x80", "pushf"):
                across, down = axes.transData.transform((0.62 + 0.11 * 2, text.get_position()[1]))
                x, y = across / figure.bbox.width, 1 - down / figure.bbox.height
                app.picture.picked = {"x": x, "y": y, "time": down}
                assert (app.result.name, app.result.ring) == (text.get_text(), 2)
    before = app.result
    app.picture.picked = {"x": 0.5, "y": 0.01, "time": 0}  # the title
    assert app.result == before
