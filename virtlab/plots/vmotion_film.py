"""Still pictures of a migration (S41-S45): both memories, the step, what travels; and a GIF of all.

They stand where no kernel runs, and go on slides. `virtlab.widgets.vmotion` shows the same moving.
"""

from __future__ import annotations

import io
import itertools
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import numpy as np
from matplotlib.patches import FancyArrow, FancyBboxPatch
from PIL import Image
from tqdm import tqdm

from virtlab.migration.film_frame import PAGE_STATES
from virtlab.plots import style
from virtlab.plots.pagemap import Box, paint_map
from virtlab.plots.pages import Pages
from virtlab.plots.palette import HARDWARE, VMS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from matplotlib.axes import Axes

    from virtlab.migration.film import Film
    from virtlab.migration.film_frame import FilmFrame
    from virtlab.plots.style import Plate

__all__ = ["LEGEND", "STEP_WORDS", "draw_frame", "headline", "link_words", "save_gif"]

LEGEND: Final[Mapping[str, str]] = MappingProxyType(
    dict(
        zip(
            ("free", "zero", "used", "dirty", "stale", "fetched", "wrong"),
            ("not there", "zero", "up to date", "dirty", "stale", "fetched", "wrong"),
            strict=True,
        )
    )
)
"""Legend of both maps, in the order of `PAGE_STATES`."""

_AT_SOURCE = ("zero", "used", "dirty")
_AT_TARGET = ("free", "zero", "used", "stale", "fetched", "wrong")
_PLACE = {  # of each of LEGEND in the shorter legend of a side
    keys: np.array([keys.index(key) if key in keys else 0 for key in LEGEND], np.uint8)
    for keys in (_AT_SOURCE, _AT_TARGET)
}

STEP_WORDS = (
    "prepare the target",
    "copy memory, log writes",
    "pause, copy the bitmap",
    "run on the target",
    "fetch on demand",
    "delete the source",
    "announce (ARP)",
)
"""The talk's seven steps, in a few words each."""

_PX = 72 / 100
_FADE_MS, _HOLD_MS = 160, 1600  # how long a GIF shows a picture, and the last one


def headline(frame: FilmFrame) -> str:
    """Return what a picture shows, as a finding.

    Parameters
    ----------
    frame
        The picture.

    Returns
    -------
    str
        A title.

    Examples
    --------
    >>> from virtlab.migration.film import film
    >>> headline(film().frame(10))
    '0.26 s: 64 of 256 pages are on the target, 18 are dirty again'
    """
    told = frame.summary()
    pages = frame.target.size
    there = pages - frame.count("target", "absent")
    words = f"{frame.time_s:.2f} s: {there} of {pages} pages are on the target"
    if told["wrong_pages"]:
        return f"{words}, {told['wrong_pages']} of them wrong"
    if frame.where == "target" and told["stale_pages"]:
        return f"{words}, {told['stale_pages']} of them stale"
    if frame.where != "target" and told["dirty_pages"]:
        return f"{words}, {told['dirty_pages']} are dirty again"
    return words


def link_words(frame: FilmFrame) -> tuple[str, ...]:
    """Return what is written at the link, a line each.

    Parameters
    ----------
    frame
        The picture.

    Returns
    -------
    tuple of str
        Time, and what has been sent.

    Examples
    --------
    >>> from virtlab.migration.film import film
    >>> link_words(film().frame(0))
    ('0.00 s', '0.00 MiB sent')
    """
    return f"{frame.time_s:.2f} s", f"{frame.sent_mib:.2f} MiB sent"


def draw_frame(frame: FilmFrame, figure: Plate | None = None) -> Plate:
    """Draw one picture of a migration.

    Parameters
    ----------
    frame
        The picture.
    figure
        The figure to draw on again; a new one if not given.

    Returns
    -------
    Plate
        The figure, with its alt text.

    Examples
    --------
    >>> from virtlab.migration.film import film
    >>> draw_frame(film().frame(10)).alt[:63]
    '0.26 s: 64 of 256 pages are on the target, 18 are dirty again. '
    """
    size = frame.source.size
    maps = [
        Pages(_PLACE[keys][states], [("", size)], {key: LEGEND[key] for key in keys})
        for keys, states in ((_AT_SOURCE, frame.source), (_AT_TARGET, frame.target))
    ]
    title = headline(frame)

    def draw(plate: Plate) -> None:
        width, height = (100 * plate.get_size_inches()).tolist()
        axes = plate.add_axes((0, 0, 1, 1))
        _steps(axes, frame, width, narrow=plate.narrow)
        boxes = _boxes(width, height, narrow=plate.narrow)
        for host, pages, box in zip(("source", "target"), maps, boxes, strict=True):
            paint_map(axes, pages, box)
            axes.text(box.left, box.top - 7, _name(frame, host), va="bottom", fontsize=15 * _PX)
        _link(axes, frame, boxes, narrow=plate.narrow)
        axes.set(xlim=(0, width), ylim=(height, 0))
        axes.set_axis_off()
        style.finish(axes, title, _alt(frame, title, maps), slide="S41-S45")

    return style.draw_on(figure, draw)


def _alt(frame: FilmFrame, title: str, maps: list[Pages]) -> str:
    """Say all of it."""
    sides = " ".join(
        f"{host}: {pages.alt()}" for host, pages in zip(("Source", "Target"), maps, strict=True)
    )
    step = f"Step {frame.step} of 7: {STEP_WORDS[frame.step - 1]}. " if frame.step else ""
    return f"{title}. {step}{frame.explain()} {sides}"


def _name(frame: FilmFrame, host: str) -> str:
    """Name a host, and what the machine does there."""
    if frame.where == host:
        return f"$\\blacktriangleright$ {host} host: the VM runs here"
    if host == "source" and frame.where == "paused":
        return "source host: the VM is paused"
    return f"{host} host{': deleted' if host == 'source' and frame.deleted else ''}"


def _boxes(width: float, height: float, *, narrow: bool) -> tuple[Box, Box]:
    """Stand the maps side by side, or one above the other on a phone."""
    # The source's legend is a row shorter: so both maps are of one size.
    if narrow:
        middle = height / 2 + 60
        return Box(14, 128, width - 14, middle - 30), Box(14, middle + 16, width - 14, height - 8)
    source = Box(24, 150, 0.4 * width, height - 38)
    return source, Box(0.6 * width, 150, width - 24, height - 12)


def _steps(axes: Axes, frame: FilmFrame, width: float, *, narrow: bool) -> None:
    """Draw the strip of steps: done, now, to come; on a phone only numbers, and now in words."""
    top, tall, gap = (66.0, 26.0, 5.0) if narrow else (58.0, 54.0, 8.0)
    wide = (width - (28 if narrow else 48) - 6 * gap) / 7
    for number, words in enumerate(STEP_WORDS, 1):
        left = (14 if narrow else 24) + (number - 1) * (wide + gap)
        now, done = number == frame.step, number < frame.step
        axes.add_patch(
            FancyBboxPatch(
                (left, top), wide, tall, boxstyle="round,pad=0,rounding_size=5",
                fc="#E9E9E9" if done else "white",
                ec=VMS[0].colour if now else "#8C8C8C", lw=2.4 if now else 0.8,
            )
        )  # fmt: skip
        text = str(number) if narrow else f"{number} {_wrapped(words)}"
        axes.text(
            left + wide / 2 if narrow else left + 6, top + tall / 2, text, va="center",
            ha="center" if narrow else "left", fontsize=14 * _PX,
        )  # fmt: skip


def _wrapped(words: str) -> str:
    """Break a step's words in two lines at the space next to the middle."""
    spaces = [i for i, letter in enumerate(words) if letter == " "]
    if not spaces:
        return words
    at = min(spaces, key=lambda i: abs(i - len(words) / 2))
    return f"{words[:at]}\n   {words[at + 1 :]}"


def _link(axes: Axes, frame: FilmFrame, boxes: tuple[Box, Box], *, narrow: bool) -> None:
    """Draw the link, and what travels on it."""
    if narrow:
        return
    first, second = boxes
    middle = (first.right + second.left) / 2
    y, reach = first.top + 96, second.left - first.right - 36
    busy = frame.moving.size > 0
    colour = VMS[0].colour if busy else "#8C8C8C"
    axes.add_patch(
        FancyArrow(
            middle - reach / 2, y, reach, 0, width=5 if busy else 1.5, head_width=18,
            head_length=14, length_includes_head=True, color=colour,
        )
    )  # fmt: skip
    above = {"fetched": "on demand", "pushed": "unasked"}.get(frame.how, "")
    count = f"{frame.moving.size} pages" if frame.moving.size != 1 else "1 page"
    if busy:
        axes.text(middle, y - 16, f"{count}\n{above}".strip(), ha="center", va="bottom",
                  fontsize=14 * _PX, weight="bold", color=HARDWARE.colour)  # fmt: skip
    axes.text(middle, y + 20, "\n".join(link_words(frame)), ha="center", va="top",
              fontsize=14 * _PX, linespacing=1.5)  # fmt: skip


def save_gif(
    film: Film, path: Path, *, every: int = 1, scale: float = 1.0, progress: bool = False
) -> int:
    """Write a film as a GIF that any slide can show.

    Parameters
    ----------
    film
        The film.
    path
        Where to; written in one step, so a killed run leaves no half of a file.
    every
        Which pictures: each one, each second one, and so on; the last is always there.
    scale
        Pixels of the image for each pixel of the layout, which is 960 wide.
    progress
        Whether a bar shows how far it is.

    Returns
    -------
    int
        How many pictures it has.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from virtlab.migration.film import film
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "talk.gif")
    ...     count = save_gif(film(), path, every=20, scale=0.5)
    ...     count, path.read_bytes()[:6]
    (4, b'GIF89a')
    """
    numbers = sorted({*range(0, len(film), every), len(film) - 1})
    plate = style.plate()
    images = []
    for number in tqdm(numbers, disable=not progress, unit="picture", leave=False):
        png = draw_frame(film.frame(number), plate).png(scale)
        images.append(Image.open(io.BytesIO(png)).convert("P", palette=Image.Palette.ADAPTIVE))
    durations = [*itertools.repeat(_FADE_MS, len(images) - 1), _HOLD_MS]
    new = path.with_suffix(".gif.new")
    images[0].save(
        new, format="GIF", save_all=True, append_images=images[1:], duration=durations, loop=0
    )
    new.replace(path)
    return len(images)


assert len(PAGE_STATES) == len(LEGEND)  # noqa: S101 - one legend entry for each state
