"""A picture is one figure, drawn again in place, in one message, for the pixels it has."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from virtlab.plots import style
from virtlab.plots.grips import knob
from virtlab.widgets.picture import Picture

if TYPE_CHECKING:
    from virtlab.plots.style import Plate


class Drawing:
    """Counts how often it is drawn, and for how wide a place."""

    def __init__(self) -> None:
        self.widths: list[int] = []

    def __call__(self, figure: Plate) -> None:
        self.widths.append(figure.width_px)
        text = f"Drawn {len(self.widths)} times"
        style.finish(figure.subplots(), text, f"{text}.")


@pytest.fixture
def drawing() -> Drawing:
    return Drawing()


def size(picture: Picture) -> tuple[int, int]:
    width, height = Image.open(io.BytesIO(picture.png)).size
    return width, height


def test_the_alt_text_is_that_of_the_newest_drawing(drawing: Drawing) -> None:
    picture = Picture(drawing)
    assert picture.alt == "Drawn 1 times."
    before = picture.png
    picture.redraw()
    assert picture.alt == "Drawn 2 times."
    assert picture.png != before
    assert picture.version == 2


def test_it_keeps_one_figure(drawing: Drawing) -> None:
    picture = Picture(drawing)
    figure = picture.figure
    for _ in range(3):
        picture.redraw()
    assert picture.figure is figure
    assert len(figure.axes) == 1


def test_a_drawing_is_one_message(drawing: Drawing, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = Picture(drawing)
    sent: list[set[str]] = []
    monkeypatch.setattr(picture, "send_state", lambda key=None: sent.append(set(key or ())))
    picture.redraw()
    assert sent == [{"png", "alt", "version"}]


def test_the_browser_says_how_wide_it_stands(drawing: Drawing) -> None:
    picture = Picture(drawing)
    assert size(picture) == (1440, 810)
    picture.set_state({"narrow": True, "pixels": 380})  # one message from the browser
    assert drawing.widths == [960, 380], "one drawing answers both"
    assert size(picture) == (380, 475)
    picture.set_state({"narrow": False, "pixels": 780})
    assert drawing.widths == [960, 380, 960]
    assert size(picture)[0] == 780


@pytest.mark.parametrize(
    ("pixels", "scale"), [(0, 1.5), (960, 1.0), (720, 0.75), (2880, 1.5), (9, 0.5)]
)
def test_there_is_a_pixel_for_each_of_the_screen(
    drawing: Drawing, pixels: int, scale: float
) -> None:
    picture = Picture(drawing)
    picture.pixels = pixels
    assert picture.scale == scale


def test_the_words_stand_in_the_still_view(drawing: Drawing) -> None:
    bundle, metadata = Picture(drawing)._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert 'alt="Drawn 1 times."' in bundle["text/html"]
    assert bundle["text/plain"] == "Drawn 1 times."
    assert metadata["image/png"]["alt"] == "Drawn 1 times."


def test_an_error_in_a_drawing_is_not_hidden() -> None:
    def broken(figure: Plate) -> Any:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Picture(broken)


def test_what_a_reader_takes_hold_of_is_told_with_the_drawing() -> None:
    def draw(figure: Plate) -> None:
        axes = figure.subplots()
        axes.set(xlim=(0, 1), ylim=(0, 10))
        knob(axes, "low", "the minimum", (0.5, 4), "y", 4)
        style.finish(axes, "One knob", "A knob.")

    picture = Picture(draw)
    heard: list[tuple[str, float]] = []
    picture.on_grip(lambda name, value: heard.append((name, value)))
    [grip] = picture.grips
    assert (grip["name"], grip["control"], grip["value"]) == ("low", "low", 4)
    picture.set_state({"gripped": {"name": "low", "value": 5.25, "time": 1}})
    assert heard == [("low", 5.25)]
