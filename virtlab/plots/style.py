"""One look for every figure: colours that mean something, text one can read, words for the blind.

A `Plate` is a matplotlib figure that carries its alt text: a plot function draws on one and says
in words what the drawing shows. Margins are fixed in pixels, so that nothing jumps while a widget
draws again. The colours come from `virtlab.plots.palette` and are at hand here too.
"""

from __future__ import annotations

import base64
import html
import logging
import textwrap
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from cycler import cycler
from matplotlib import font_manager
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from virtlab.plots import png
from virtlab.plots.palette import HARDWARE, HOST, OUTCOMES, PAGES, VMS, Mark, vm_mark

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.axes import Axes

__all__ = [
    "HARDWARE",
    "HOST",
    "OUTCOMES",
    "PAGES",
    "VMS",
    "Mark",
    "Plate",
    "draw_on",
    "finish",
    "picture_html",
    "plate",
    "vm_mark",
]


WIDE_PX, NARROW_PX = 960, 380
_DPI = 100  # layout resolution: 1 px of a figure is 1 px on a screen
_PX = 72 / _DPI  # points of one pixel

_RC: Any = {
    "font.family": ["DejaVu Sans", "IPAexGothic"],  # per-glyph fallback: Japanese has no boxes
    "font.size": 15 * _PX,
    "axes.titlesize": 15 * _PX,
    "axes.labelsize": 15 * _PX,
    "xtick.labelsize": 14 * _PX,
    "ytick.labelsize": 14 * _PX,
    "legend.fontsize": 14 * _PX,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#4D4D4D",
    "axes.prop_cycle": cycler(color=[mark.colour for mark in VMS]),
    "axes.axisbelow": True,
    "grid.color": "#E5E5E5",
    "grid.linewidth": 0.8,
    "lines.linewidth": 2.5,
    "lines.markersize": 8,
    "hatch.linewidth": 0.8,
    "figure.facecolor": "white",
    "text.hinting": "none",  # text keeps its place at every number of pixels
    "svg.hashsalt": "virtlab",
}


@cache
def _register_fonts() -> None:
    """Make the Japanese font known, without letting its package change the global settings."""
    with mpl.rc_context():
        try:
            import matplotlib_fontja

            path = matplotlib_fontja.get_font_ttf_path()
            font_manager.fontManager.addfont(Path(path))
            entries = font_manager.fontManager.ttflist
            regular = next(entry for entry in entries if entry.name == "IPAexGothic")
            entries.append(replace(regular, weight=700))  # it has no bold cut: use it as it is
        except ImportError:  # Latin text still works; `virtlab doctor` says what to install
            _RC["font.family"] = ["DejaVu Sans"]
            logging.getLogger(__name__).info("matplotlib-fontja is not installed")


class Plate(Figure):
    """A figure with its alt text, which shows itself in a notebook as an image that has one.

    It is not registered with pyplot, so nothing piles up and nothing leaks. Make one with `plate`.

    Attributes
    ----------
    alt
        What the figure shows, in words, with its numbers.
    width_px
        Width it is laid out for: 960 for a projector, less for a phone.

    Examples
    --------
    >>> figure = plate()
    >>> figure.alt = "Nothing yet."
    >>> figure.png()[1:4]
    b'PNG'
    """

    alt: str = ""
    width_px: int = WIDE_PX

    @property
    def narrow(self) -> bool:
        """Whether it is laid out for a phone."""
        return self.width_px < 600

    def png(self, scale: float = 1.5, compress_level: int = 6) -> bytes:
        """Draw the figure.

        Parameters
        ----------
        scale
            Image pixels per layout pixel; 1.5 is sharp on a projector and on most laptops.
        compress_level
            0 to 9; a widget that answers a slider takes 1, which is faster.

        Returns
        -------
        bytes
            A PNG file.

        Notes
        -----
        This draws once; `savefig` draws twice, to measure first, which a slider would feel.

        Examples
        --------
        >>> plate().png(scale=1)[1:4]
        b'PNG'
        """
        old = self.canvas  # one that stays remembers how wide its words are
        canvas = old if isinstance(old, FigureCanvasAgg) else FigureCanvasAgg(self)
        with mpl.rc_context(_RC):
            self.set_dpi(_DPI * scale)
            canvas.draw()
            pixels = np.asarray(canvas.buffer_rgba())
            self.set_dpi(_DPI)
        return png.encode(pixels, compress_level)

    def margins(self, left: int = 90, right: int = 30, top: int = 62, bottom: int = 64) -> None:
        """Set the room around the axes, in pixels; it stays while a widget draws again.

        Parameters
        ----------
        left, right, top, bottom
            Pixels from the figure's edge to the axes.

        Examples
        --------
        >>> figure = plate()
        >>> figure.margins(left=192)
        >>> float(round(figure.subplotpars.left, 3))
        0.2
        """
        width, height = self.get_size_inches() * _DPI
        self.subplots_adjust(
            left=left / width,
            right=1 - right / width,
            top=1 - top / height,
            bottom=bottom / height,
        )

    def _repr_mimebundle_(
        self, include: object = None, exclude: object = None
    ) -> tuple[dict[str, str], dict[str, Any]]:
        """Give the image with its alt text; text viewers and nbval read the words."""
        del include, exclude
        png = self.png()
        encoded = base64.b64encode(png).decode()
        bundle = {
            "text/html": picture_html(png, self.alt, self.width_px),
            "image/png": encoded,
            "text/plain": self.alt,
        }
        return bundle, {"image/png": {"alt": self.alt, "width": self.width_px}}


def picture_html(png: bytes, alt: str, width_px: int = WIDE_PX) -> str:
    """Return an HTML image with its alt text.

    Parameters
    ----------
    png
        A PNG file.
    alt
        What it shows, in words.
    width_px
        Width in layout pixels; it shrinks where the page is narrower.

    Returns
    -------
    str
        One img element that needs no other file.

    Examples
    --------
    >>> picture_html(b"PNG", 'two "bars"', 380)
    '<img alt="two &quot;bars&quot;" width="380" style="max-width:100%;height:auto" \
src="data:image/png;base64,UE5H">'
    """
    encoded = base64.b64encode(png).decode()
    return (
        f'<img alt="{html.escape(alt)}" width="{width_px}" style="max-width:100%;height:auto" '
        f'src="data:image/png;base64,{encoded}">'
    )


def plate(width_px: int = WIDE_PX, height_px: int | None = None) -> Plate:
    """Make an empty figure in the house style.

    Parameters
    ----------
    width_px
        Width in pixels: 960 for a projector; below 600 the figure is taller than wide.
    height_px
        Height; 16:9 when wide, 5:4 upright when narrow, if not given.

    Returns
    -------
    Plate
        An empty figure.

    Examples
    --------
    >>> plate().get_size_inches().tolist()
    [9.6, 5.4]
    >>> plate(380).narrow
    True
    """
    _register_fonts()
    if height_px is None:
        height_px = round(width_px * (1.25 if width_px < 600 else 9 / 16))
    size = (width_px / _DPI, height_px / _DPI)
    with mpl.rc_context(_RC):
        figure = Plate(figsize=size, dpi=_DPI)
    figure.width_px = width_px
    if figure.narrow:
        figure.margins(left=66, right=14, top=88)
    else:
        figure.margins()
    return figure


def draw_on(figure: Plate | None, draw: Callable[[Plate], None]) -> Plate:
    """Clear `figure` (or make a new one) and draw on it in the house style.

    Every plot function ends in this call, so that a widget can draw again on the figure it has.

    Parameters
    ----------
    figure
        The figure to draw on again, or None for a new one.
    draw
        Draws on the empty figure.

    Returns
    -------
    Plate
        The figure.

    Examples
    --------
    >>> draw_on(None, lambda figure: None).alt
    ''
    """
    figure = figure or plate()
    for axes in figure.axes:
        figure.delaxes(axes)  # clear() alone would first furnish each with new axes: 15 ms
    figure.clear()
    with mpl.rc_context(_RC):
        draw(figure)
    return figure


def finish(axes: Axes, title: str, alt: str, slide: str = "") -> None:
    """Give a figure its title (the finding), its slide number and its alt text.

    Parameters
    ----------
    axes
        The main axes, on a `Plate`.
    title
        What the figure shows, as a finding: "VM2 gets twice the disk".
    alt
        What it shows in words: kind of chart, what is on it, the numbers that matter.
    slide
        The talk's slide, for instance 'S20'; drawn small in a corner.

    Examples
    --------
    >>> figure = plate()
    >>> finish(figure.subplots(), "Nothing yet", "An empty chart.", slide="S20")
    >>> figure.alt
    'An empty chart.'
    """
    figure = axes.figure
    if not isinstance(figure, Plate):
        raise TypeError("finish() needs axes of a Plate: make the figure with plate()")
    size = 16 if figure.narrow else 20  # pixels
    letters = int((figure.width_px - 66) / (0.62 * size))
    height = figure.get_figheight() * _DPI
    lines = "\n".join(textwrap.wrap(title, letters))
    top_left = (14 / figure.width_px, 1 - 12 / height)
    figure.text(*top_left, lines, va="top", weight="bold", fontsize=size * _PX)
    if slide:
        top_right = (1 - 10 / figure.width_px, 1 - 12 / height)
        figure.text(*top_right, slide, ha="right", va="top", color="#6B6B6B", fontsize=14 * _PX)
    figure.alt = alt
