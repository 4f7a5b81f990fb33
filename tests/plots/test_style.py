"""The palette stays apart for every eye, and every figure carries its words.

Colour blindness is simulated by the one-plane transform of F. Viénot, H. Brettel, J. Mollon,
"Digital video colourmaps for checking the legibility of displays by dichromats" (1999), and
colours are compared in CIELAB (CIE76; about 2.3 is just noticeable).
"""

from __future__ import annotations

import base64
import itertools
import logging
import re
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab.plots import look, style
from virtlab.plots.palette import HARDWARE, HOST, OUTCOMES, PAGES, VMS, Mark, vm_mark

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

LMS = np.array(
    [
        [17.8824, 43.5161, 4.11935],
        [3.45565, 27.1554, 3.86714],
        [0.0299566, 0.184309, 1.46709],
    ]
)
# Gain and offset keep the simulated colours displayable; the matrix takes one cone away.
EYES = {
    "normal": (1.0, 0.0, np.eye(3)),
    "protanopia": (
        0.992052,
        0.003974,
        np.array([[0, 2.02344, -2.52581], [0, 1, 0], [0, 0, 1]]),
    ),
    "deuteranopia": (
        0.957237,
        0.0213814,
        np.array([[1, 0, 0], [0.494207, 0, 1.24827], [0, 0, 1]]),
    ),
}
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
WHITE = np.array([0.95047, 1.0, 1.08883])


def linear(colour: str) -> Floats:
    """Return linear light of #rrggbb, red, green and blue from 0 to 1."""
    value = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def seen(light: Floats, eye: str) -> Floats:
    """Return the light that gives a normal eye what this eye sees."""
    gain, offset, one_cone_less = EYES[eye]
    cones = one_cone_less @ LMS @ (gain * light + offset)
    return np.clip(np.linalg.solve(LMS, cones), 0, 1)


def cielab(light: Floats) -> Floats:
    """Return lightness, red-green and yellow-blue."""
    share = XYZ @ light / WHITE
    root = np.where(share > (6 / 29) ** 3, np.cbrt(share), share / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * root[1] - 16, 500 * (root[0] - root[1]), 200 * (root[1] - root[2])])


def distance(first: str, second: str, eye: str) -> float:
    """Return the CIE76 distance of two colours for an eye."""
    labs = [cielab(seen(linear(colour), eye)) for colour in (first, second)]
    return float(np.linalg.norm(labs[0] - labs[1]))


def luminance(colour: str) -> float:
    return float(XYZ[1] @ linear(colour))


def contrast(first: str, second: str = "#FFFFFF") -> float:
    """Return the contrast ratio of the web's accessibility guidelines, 1 to 21."""
    dark, light = sorted((luminance(first), luminance(second)))
    return (light + 0.05) / (dark + 0.05)


def test_the_measures_are_right() -> None:
    assert cielab(linear("#FFFFFF")) == pytest.approx([100, 0, 0], abs=0.02)
    assert cielab(linear("#FF0000")) == pytest.approx([53.24, 80.09, 67.20], abs=0.05)
    assert contrast("#000000") == pytest.approx(21)
    for eye in EYES:  # a grey stays grey, and full red and green come closer
        grey = seen(linear("#808080"), eye)
        assert np.ptp(grey) < 0.01
    assert distance("#FF0000", "#00B000", "deuteranopia") < 0.5 * distance(
        "#FF0000", "#00B000", "normal"
    )


@pytest.mark.parametrize("eye", EYES)
@pytest.mark.parametrize(
    ("marks", "least"),
    [
        (VMS, 17.0),  # seven times what is just noticeable
        ((*VMS, HOST), 17.0),
        (tuple(OUTCOMES.values()), 30.0),
        (tuple(PAGES.values()), 12.0),  # free and zero: both light, the zero has a dot
    ],
    ids=["VMs", "VMs and host", "outcomes", "pages"],
)
def test_colours_stay_apart(marks: tuple[Mark, ...], least: float, eye: str) -> None:
    for one, other in itertools.combinations(marks, 2):
        apart = distance(one.colour, other.colour, eye)
        assert apart >= least, f"{one.label}, {other.label}: {apart:.1f}"


@pytest.mark.parametrize("mark", [*VMS, HOST, HARDWARE, *OUTCOMES.values()])
def test_marks_stand_out_from_paper(mark: Mark) -> None:
    assert contrast(mark.colour) >= 3  # what the guidelines ask of graphics


@pytest.mark.parametrize("marks", [VMS, tuple(OUTCOMES.values()), tuple(PAGES.values())])
def test_each_mark_has_a_second_sign(marks: tuple[Mark, ...]) -> None:
    assert len({mark.sign for mark in marks}) == len(marks)
    assert len({mark.label for mark in marks}) == len(marks)
    assert len({mark.colour for mark in marks}) == len(marks)


def test_vms_differ_in_marker_and_hatch_too() -> None:
    assert len({mark.marker for mark in VMS}) == len({mark.hatch for mark in VMS}) == len(VMS)


@given(st.integers(0, 40))
def test_more_vms_are_lighter_shades(index: int) -> None:
    mark, later = vm_mark(index), vm_mark(index + 4)
    assert luminance(later.colour) >= luminance(mark.colour)
    assert (later.marker, later.hatch) == (mark.marker, mark.hatch)
    assert mark.label == f"VM{index + 1}"


@pytest.mark.parametrize("key", [key for key in look.RC if key.endswith("size")])
def test_no_text_is_smaller_than_14_pixels(key: str) -> None:
    if key == "lines.markersize":
        return
    assert look.RC[key] * look.DPI / 72 >= 13.99


def text_figure(text: str) -> style.Plate:
    def draw(figure: style.Plate) -> None:
        axes = figure.subplots()
        axes.set_xlabel(text)
        style.finish(axes, text, f"It says {text}.", slide="S1")

    return style.draw_on(None, draw)


def test_japanese_has_no_missing_glyphs(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        # A missing glyph is a warning, and a warning fails a test here.
        text_figure("仮想マシン 仮想化 共有 メモリ バルーン ページ VM2 → ½ ≥ ≈ × –").png(1)
    assert not caplog.records


def test_a_glyph_no_font_has_would_be_seen() -> None:
    with pytest.warns(UserWarning, match="missing from font"):
        text_figure("\U0001f980").png(1)


def test_a_notebook_gets_picture_and_words() -> None:
    figure = text_figure('VM2 > "VM1"')
    bundle, metadata = figure._repr_mimebundle_()
    assert bundle["text/plain"] == figure.alt == 'It says VM2 > "VM1".'
    assert 'alt="It says VM2 &gt; &quot;VM1&quot;."' in bundle["text/html"]
    assert metadata["image/png"] == {"alt": figure.alt, "width": 960}


def pixels(figure: style.Plate, scale: float) -> tuple[int, int]:
    header = figure.png(scale)[16:24]
    return int.from_bytes(header[:4], "big"), int.from_bytes(header[4:], "big")


@pytest.mark.parametrize(("width", "height"), [(960, 540), (380, 475)])
@pytest.mark.parametrize("scale", [1, 1.5, 2])
def test_a_figure_has_the_pixels_it_says(width: int, height: int, scale: float) -> None:
    figure = style.plate(width)
    assert pixels(figure, scale) == (round(width * scale), round(height * scale))
    assert pixels(figure, 1) == (width, height)  # drawing does not change it


def test_drawing_again_leaves_nothing_of_the_old() -> None:
    figure = text_figure("one")
    first = figure.png(1)
    margins = (figure.subplotpars.left, figure.subplotpars.top)

    def other(plate: style.Plate) -> None:
        plate.subplots(2)
        plate.text(0.5, 0.5, "two")

    style.draw_on(figure, other)
    assert figure.png(1) != first

    def again(plate: style.Plate) -> None:
        axes = plate.subplots()
        axes.set_xlabel("one")
        style.finish(axes, "one", "It says one.", slide="S1")

    assert style.draw_on(figure, again).png(1) == first
    assert (figure.subplotpars.left, figure.subplotpars.top) == margins


def test_the_style_stays_in_the_house() -> None:
    before = dict(mpl.rcParams)
    text_figure("quiet").png(1)
    assert dict(mpl.rcParams) == before


def test_nothing_piles_up_in_pyplot() -> None:
    import matplotlib.pyplot as plt

    before = plt.get_fignums()
    text_figure("quiet")
    assert plt.get_fignums() == before


def test_finish_needs_a_plate() -> None:
    from matplotlib.figure import Figure

    with pytest.raises(TypeError, match="make the figure with plate"):
        style.finish(Figure().subplots(), "a", "b")


def image_sizes(html: str) -> list[tuple[int, int]]:
    found = []
    for encoded in re.findall(r"base64,([A-Za-z0-9+/=]+)", html):
        header = base64.b64decode(encoded)[16:24]
        found.append((int.from_bytes(header[:4], "big"), int.from_bytes(header[4:], "big")))
    return found


def test_a_phone_gets_its_own_layout() -> None:
    html = text_figure("one")._repr_mimebundle_()[0]["text/html"]
    assert html.startswith('<picture><source media="(max-width: 599px)"')
    assert image_sizes(html) == [(570, 712), (1440, 810)]  # 1.5 times 380 x 475 and 960 x 540


def test_a_view_is_laid_out_for_a_phone_with_what_it_shows_now() -> None:
    class Words:
        def __init__(self, figure: style.Plate) -> None:
            self.axes = figure.subplots()
            self.still: object = None
            self.layers: list[Any] = []

        def show(self, result: str) -> None:
            style.finish(self.axes, result, f"It says {result}.")

    figure = style.show_on(None, Words, "before")
    style.show_on(figure, Words, "after")
    assert figure.again is not None
    other = style.draw_on(style.plate(380), figure.again)
    assert (other.alt, other.narrow) == ("It says after.", True)
    assert len(image_sizes(figure._repr_mimebundle_()[0]["text/html"])) == 2


def test_what_is_narrow_or_empty_has_one_picture() -> None:
    assert len(image_sizes(style.plate()._repr_mimebundle_()[0]["text/html"])) == 1
    narrow = style.draw_on(style.plate(380), lambda figure: figure.subplots())
    assert len(image_sizes(narrow._repr_mimebundle_()[0]["text/html"])) == 1
