"""The page map as a picture: what it counts, and the colour of each page on it."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from virtlab.plots import style
from virtlab.plots.pagemap import _fit, draw_pagemap
from virtlab.plots.pages import SIGNS, Pages, ink
from virtlab.validate import InvalidInputError

ALL = tuple(style.PAGES)


def rgb(colour: str) -> tuple[int, int, int]:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return red, green, blue


def pixels(pages: Pages, width: int = 960) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    figure = draw_pagemap(pages, figure=style.plate(width))
    return np.asarray(Image.open(io.BytesIO(figure.png(scale=1))).convert("RGB"))


def count(image: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], colour: str) -> int:
    return int((image == rgb(colour)).all(axis=2).sum())


@st.composite
def maps(draw: st.DrawFn) -> Pages:
    sizes = draw(st.lists(st.integers(0, 60), min_size=1, max_size=5))
    states = draw(st.lists(st.integers(0, len(ALL) - 1), min_size=sum(sizes), max_size=sum(sizes)))
    groups = [(f"VM{i + 1}", size) for i, size in enumerate(sizes)]
    return Pages(np.array(states, dtype=np.uint8), groups, ALL)


@given(maps())
def test_counts_add_up_to_the_pages_of_each_group(pages: Pages) -> None:
    assert pages.counts.sum(axis=1).tolist() == [size for _, size in pages.groups]
    for state, label in enumerate(pages.labels):
        assert pages.counts[label].sum() == (pages.states == state).sum()


@given(maps(), st.data())
def test_a_change_touches_the_named_pages_only(pages: Pages, data: st.DataObject) -> None:
    some = data.draw(st.lists(st.integers(0, max(pages.states.size - 1, 0)), unique=True))
    if not pages.states.size:
        some = []
    changed = pages.changed(some, 1)
    others = np.setdiff1d(np.arange(pages.states.size), some)
    assert (changed.states[some] == 1).all()
    assert (changed.states[others] == pages.states[others]).all()
    assert changed.groups == pages.groups
    assert changed.labels == pages.labels


@given(maps())
def test_words_name_every_page_by_its_number_in_its_group(pages: Pages) -> None:
    index = 0
    for name, size in pages.groups:
        for number in range(size):
            state = pages.labels[pages.states[index]]
            assert pages.describe(index) == f"page {number:,} of {name}: {state}"
            index += 1


@pytest.mark.parametrize(
    ("states", "groups", "legend", "said"),
    [
        ([0, 2], [], ("free", "used"), "states = 2: must be an index into the legend, 0 to 1"),
        ([0, -1], [], ("free", "used"), "states = -1"),
        ([0, 1], [("VM1", 3)], ("free", "used"), "groups = 3: must be 2 pages in all"),
        ([0], [], ("free", "lost"), "legend = 'lost'"),
        ([0.5], [], ("free",), "one whole number a page"),
        ([[0]], [], ("free",), "one whole number a page"),
    ],
)
def test_bad_input_is_named(
    states: list[int], groups: list[tuple[str, int]], legend: tuple[str, ...], said: str
) -> None:
    with pytest.raises(InvalidInputError) as raised:
        Pages(states, groups, legend)
    assert said in str(raised.value)


def test_a_change_outside_the_map_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="indices = 3: must be a page, 0 to 2"):
        Pages([0, 0, 0]).changed([3], 1)
    with pytest.raises(InvalidInputError, match="states = 7"):
        Pages([0, 0, 0]).changed([1], 7)


def test_a_legend_may_have_its_own_words() -> None:
    pages = Pages([0, 1], legend={"free": "nobody's", "shared": "seen twice"})
    assert pages.labels == ("nobody's", "seen twice")
    assert pages.changed([0], 1).labels == pages.labels


def test_every_state_is_on_the_picture_in_its_colour() -> None:
    states = np.repeat(np.arange(len(ALL)), 20)
    image = pixels(Pages(states, [("VM1", states.size)], ALL))
    for key in ALL:
        colour = style.vm_mark(0).colour if key == "used" else style.PAGES[key].colour
        assert count(image, colour) > 20 * 40, key


def test_areas_are_in_proportion_to_the_counts() -> None:
    states = [0] * 300 + [1] * 100
    image = pixels(Pages(states, [("VM1", 400)], ("free", "shared")))
    free, shared = count(image, style.PAGES["free"].colour), count(image, "#56B4E9")
    # Signs cover some of a shared page, and the legend shows one square of each.
    assert 3 <= free / shared < 5.5


def test_used_pages_have_the_colour_of_their_vm() -> None:
    image = pixels(Pages([1, 1, 1, 1], [("VM1", 2), ("VM2", 2)]))
    first, second = (count(image, style.vm_mark(i).colour) for i in range(2))
    assert first == pytest.approx(second, rel=0.05)
    assert first > 1000


def test_where_pages_are_smaller_than_dots_colours_mix() -> None:
    """A dot that stands for a free and a used page has the mean of their colours."""
    states = np.tile([0, 1], 1_000_000)
    image = pixels(Pages(states, [("VM1", states.size)]))
    free, used = np.array(rgb("#D9D9D9")), np.array(rgb(style.vm_mark(0).colour))
    middle = image[250, 500]
    assert (np.minimum(free, used) <= middle).all()
    assert (middle <= np.maximum(free, used)).all()
    assert (middle != free).any()
    assert (middle != used).any()


@pytest.mark.parametrize(
    "sizes", [[1], [0, 5], [200] * 4, [1_000_000], [300_000, 700_000], [3] * 40]
)
@pytest.mark.parametrize(("width", "height"), [(840, 400), (300, 300)])
def test_every_page_has_its_place(sizes: list[int], width: float, height: float) -> None:
    layout = _fit(sizes, 62, width, height)
    assert layout.columns * layout.cell <= max(width, layout.cell)
    for size, rows in zip(sizes, layout.rows, strict=True):
        assert rows * layout.columns * layout.pages >= size
    ends = [top + rows * layout.cell for top, rows in zip(layout.tops, layout.rows, strict=True)]
    for end, top in zip(ends, layout.tops[1:], strict=False):
        assert end <= top, "bands overlap"
    if len(sizes) < 10:
        assert ends[-1] <= 62 + height


@pytest.mark.parametrize("width", [960, 380])
def test_the_alt_text_has_the_numbers(width: int) -> None:
    pages = Pages([0, 1, 1, 2], [("VM1", 2), ("VM2", 2)], ("free", "used", "shared"))
    figure = draw_pagemap(pages, "Half is used", style.plate(width))
    assert figure.alt == (
        "Half is used. Page map of 4 pages in 2 groups: "
        "1 free (25 %), 2 used by one VM (50 %), 1 shared (25 %)."
    )


def test_drawing_again_leaves_nothing_behind() -> None:
    figure = style.plate()
    draw_pagemap(Pages([0, 1] * 50), "First", figure)
    before = len(figure.findobj())
    draw_pagemap(Pages([0, 1] * 50), "Again", figure)
    assert len(figure.findobj()) == before


def test_every_state_but_the_plain_two_has_a_second_sign() -> None:
    assert set(SIGNS) == set(ALL) - {"free", "used"}
    for key, sign in SIGNS.items():
        points = np.concatenate([np.array(line) for line in sign.lines])
        assert np.abs(points).max() <= 0.5, f"the sign of {key} leaves its square"


def test_ink_can_be_read_on_each_colour() -> None:
    def luminance(colour: str) -> float:
        channels = np.array(rgb(colour)) / 255
        linear = np.where(
            channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4
        )
        return float(linear @ [0.2126, 0.7152, 0.0722])

    for mark in style.PAGES.values():
        low, high = sorted([luminance(mark.colour), luminance(ink(mark.colour))])
        assert (high + 0.05) / (low + 0.05) >= 3, mark.label
