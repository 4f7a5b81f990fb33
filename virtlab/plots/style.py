"""One look for every figure: colours that mean something, text one can read, words for the blind.

A `Plate` is a matplotlib figure that carries its alt text: a plot function draws on one and says
in words what the drawing shows. Margins are fixed in pixels, so that nothing jumps while a widget
draws again. The colours come from `virtlab.plots.palette` and are at hand here too.
"""

from __future__ import annotations

import base64
import textwrap
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from virtlab.plots import png
from virtlab.plots.look import DPI, PX, RC, SMALL, register_fonts
from virtlab.plots.palette import HARDWARE, HOST, OUTCOMES, PAGES, VMS, Mark, vm_mark
from virtlab.plots.picture import picture_html

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

    from virtlab.plots.grips import Grip

__all__ = [
    "HARDWARE",
    "HOST",
    "OUTCOMES",
    "PAGES",
    "SMALL",
    "VMS",
    "Mark",
    "Plate",
    "View",
    "draw_on",
    "finish",
    "plate",
    "show_on",
    "vm_mark",
]

WIDE_PX, NARROW_PX = 960, 380

R_contra = TypeVar("R_contra", contravariant=True)


class View(Protocol[R_contra]):
    """Axes and marks on a figure that can show one result after another.

    Making axes and their ticks takes longer than drawing them, and a slider would feel it; so they
    are made once, and drawn again only when `still` changes.

    Attributes
    ----------
    still
        What the axes depend on, such as their limits.
    layers
        What moves, the lowest first: what each layer depends on, and its artists. A layer is drawn
        again if that has changed (a new `object()` always has), or a layer below; titles always.
    """

    @property
    def still(self) -> object:
        """What the axes depend on."""

    @property
    def layers(self) -> Sequence[tuple[object, Sequence[Artist]]]:
        """What moves."""

    def __init__(self, figure: Plate) -> None:
        """Make what all results have in common."""

    def show(self, result: R_contra) -> None:
        """Show a result, and no trace of the one before.

        Parameters
        ----------
        result
            What to show.

        Examples
        --------
        See `show_on`.
        """


class Plate(Figure):
    """A figure with its alt text, which shows itself in a notebook as an image that has one.

    It is not registered with pyplot, so nothing piles up and nothing leaks. Make one with `plate`.

    Attributes
    ----------
    alt
        What the figure shows, in words, with its numbers.
    width_px
        Width it is laid out for: 960 for a projector, less for a phone.
    view
        What is drawn on it, if that can show another result without being drawn anew.
    again
        Draws the same on another plate; None if nothing is drawn yet.
    grips
        Places of it that a widget's reader can take hold of.

    Examples
    --------
    >>> figure = plate()
    >>> figure.alt = "Nothing yet."
    >>> figure.png()[1:4]
    b'PNG'
    """

    alt: str = ""
    width_px: int = WIDE_PX
    view: View[Any] | None = None
    again: Callable[[Plate], object] | None = None
    grips: list[Grip]
    _pictures: list[tuple[object, Any]]  # of the axes and each layer on them, and what they show

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
        with mpl.rc_context(RC):
            self.set_dpi(DPI * scale)
            if self.view is None:
                canvas.draw()
            else:
                self._draw_layers(canvas, self.view)
            pixels = np.asarray(canvas.buffer_rgba())
            self.set_dpi(DPI)
        return png.encode(pixels, compress_level)

    def _draw_layers(self, canvas: FigureCanvasAgg, view: View[Any]) -> None:
        """Draw what has changed on the pictures of what has not."""
        layers = [*view.layers, (object(), self.texts)]
        keys = [(self.dpi, view.still), *(key for key, _ in layers)]
        kept = self._pictures
        same = 0
        while same < len(kept) and kept[same][0] == keys[same]:
            same += 1
        del kept[same:]
        if kept:
            canvas.restore_region(kept[-1][1])
        else:
            moving = [artist for _, artists in layers for artist in artists]
            for artist in moving:
                artist.set_animated(True)  # so `canvas.draw` leaves it out
            canvas.draw()
            for artist in moving:
                artist.set_animated(False)
            kept.append((keys[0], canvas.copy_from_bbox(self.bbox)))
        for number, (key, artists) in enumerate(layers[len(kept) - 1 :], len(kept)):
            for artist in artists:
                artist.draw(canvas.get_renderer())
            if len(kept) == number and type(key) is not object:  # it may be there again
                kept.append((key, canvas.copy_from_bbox(self.bbox)))

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
        width, height = self.get_size_inches() * DPI
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
            "text/html": picture_html(png, self.alt, self.width_px, self._for_a_phone()),
            "image/png": encoded,
            "text/plain": self.alt,
        }
        return bundle, {"image/png": {"alt": self.alt, "width": self.width_px}}

    def _for_a_phone(self) -> bytes | None:
        """Draw the same, laid out for a phone; None if this is, or cannot be drawn again."""
        if self.narrow or self.again is None:
            return None
        return draw_on(plate(NARROW_PX), self.again).png()


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
    register_fonts()
    if height_px is None:
        height_px = round(width_px * (1.25 if width_px < 600 else 9 / 16))
    size = (width_px / DPI, height_px / DPI)
    with mpl.rc_context(RC):
        figure = Plate(figsize=size, dpi=DPI)
    figure.width_px, figure.grips = width_px, []
    if figure.narrow:
        figure.margins(left=66, right=14, top=88)
    else:
        figure.margins()
    return figure


def draw_on(figure: Plate | None, draw: Callable[[Plate], object]) -> Plate:
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
    figure.view, figure.again, figure.grips = None, draw, []
    with mpl.rc_context(RC):
        draw(figure)
    return figure


def show_on(figure: Plate | None, view: type[View[R_contra]], result: R_contra) -> Plate:
    """Show a result on `figure`, which is drawn anew only if it does not hold such a view yet.

    Parameters
    ----------
    figure
        The figure to show it on, or None for a new one.
    view
        What makes the axes, and shows results on them.
    result
        What to show.

    Returns
    -------
    Plate
        The figure.

    Examples
    --------
    >>> class Dot:
    ...     def __init__(self, figure):
    ...         (self.dot,) = figure.subplots().plot([0], [0], "o")
    ...         self.still, self.layers = None, []
    ...     def show(self, result):
    ...         self.dot.set_data([result], [result])
    ...         self.layers = [(result, [self.dot])]
    >>> figure = show_on(None, Dot, 0.2)
    >>> axes = figure.axes[0]
    >>> show_on(figure, Dot, 0.7).axes[0] is axes
    True
    """
    figure = figure or plate()
    if type(figure.view) is not view:

        def build(figure: Plate) -> None:
            figure.view, figure._pictures = view(figure), []  # noqa: SLF001 - a part of the view

        draw_on(figure, build)
    for text in list(figure.texts):
        text.remove()  # the title, which `finish` writes anew
    with mpl.rc_context(RC):
        cast("View[R_contra]", figure.view).show(result)
    figure.again = lambda other: show_on(other, view, result)
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
    height = figure.get_figheight() * DPI
    lines = "\n".join(textwrap.wrap(title, letters))
    top_left = (14 / figure.width_px, 1 - 12 / height)
    figure.text(*top_left, lines, va="top", weight="bold", fontsize=size * PX)
    if slide:
        top_right = (1 - 10 / figure.width_px, 1 - 12 / height)
        figure.text(*top_right, slide, ha="right", va="top", color="#6B6B6B", fontsize=14 * PX)
    figure.alt = alt
