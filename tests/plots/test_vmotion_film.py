"""Still pictures of a migration, and the GIF of all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from PIL import Image

from virtlab.migration.algorithms import Deck
from virtlab.migration.film import film
from virtlab.plots import style
from virtlab.plots.vmotion_film import draw_frame, headline, save_gif

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("width", [960, 380])
@pytest.mark.parametrize("number", [0, 12, 36, -1])
def test_a_picture_says_what_it_shows(width: int, number: int) -> None:
    frame = film(Deck(as_told=True)).frame(number)
    figure = draw_frame(frame, style.plate(width))
    assert figure.alt.startswith(headline(frame))
    assert frame.explain() in figure.alt
    assert f"{frame.count('source', 'dirty')} dirty" in figure.alt
    assert f"{frame.count('target', 'wrong')} wrong" in figure.alt
    width_px, height_px = 100 * figure.get_size_inches()
    for text in [one for one in figure.axes[0].texts if one.get_text()]:
        box = text.get_window_extent()
        assert box.x0 >= 0
        assert box.x1 <= width_px + 1, text.get_text()
        assert 0 <= box.y0 < box.y1 <= height_px + 1


def test_pictures_differ_where_the_film_does() -> None:
    shown = film()
    plate = style.plate()
    first, later = (draw_frame(shown.frame(number), plate).png(0.5) for number in (3, 25))
    assert first != later


def test_a_gif_has_all_the_pictures_it_was_asked_for(tmp_path: Path) -> None:
    shown = film()
    path = tmp_path / "talk.gif"
    path.write_bytes(b"an older one")
    count = save_gif(shown, path, every=15, scale=0.4)
    with Image.open(path) as image:
        assert getattr(image, "n_frames", 1) == count == len({*range(0, len(shown), 15), 51})
        assert image.size == (384, 216)
    assert [one.name for one in tmp_path.iterdir()] == ["talk.gif"]


def test_a_gif_that_fails_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "talk.gif"
    path.write_bytes(b"an older one")
    (tmp_path / "talk.gif.new").mkdir()  # so it can't be written
    with pytest.raises(OSError, match=r"talk\.gif\.new"):
        save_gif(film(), path, every=30, scale=0.3)
    assert path.read_bytes() == b"an older one"
