"""`Picture`: a matplotlib figure in a notebook, updated in place, with its alt text.

`ipywidgets.interact` makes a new figure for each move of a slider: the page jumps and answers in
a third of a second. A `Picture` keeps one figure; a new drawing goes to the browser as one PNG,
is decoded there before it is shown, and takes the place of the old one. The browser tells how
wide the picture stands, and the figure is laid out anew for a projector or for a phone, with as
many pixels as the screen gives it: sharper than a scaled image, and faster.
"""

from __future__ import annotations

import pathlib
from typing import TYPE_CHECKING, Any

import anywidget
import traitlets

from virtlab.plots import style

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Picture"]

_HERE = pathlib.Path(__file__).parent


class Picture(anywidget.AnyWidget):
    """A figure that is redrawn in place.

    Parameters
    ----------
    draw
        Draws on the empty `Plate` that it is given and sets its alt text (`style.finish`).

    Attributes
    ----------
    figure
        The one figure.
    alt
        Its alt text, in the browser too.
    version
        Counts the drawings; the browser shows it as `data-version` of the image.

    Examples
    --------
    >>> def draw(figure):
    ...     style.finish(figure.subplots(), "Nothing yet", "An empty chart.")
    >>> picture = Picture(draw)
    >>> picture.alt, picture.version
    ('An empty chart.', 1)
    >>> picture.redraw()
    >>> picture.version
    2
    """

    _esm = _HERE / "picture.js"
    _css = _HERE / "virtlab.css"

    png = traitlets.Bytes(b"").tag(sync=True)
    alt = traitlets.Unicode("").tag(sync=True)
    version = traitlets.Int(0).tag(sync=True)
    narrow = traitlets.Bool(default_value=False).tag(sync=True)
    pixels = traitlets.Int(0).tag(sync=True)  # that the browser gives its width; 0: not known yet
    pickable = traitlets.Bool(default_value=False).tag(sync=True)
    picked: Any = traitlets.Dict().tag(sync=True)
    grips = traitlets.List(traitlets.Dict()).tag(
        sync=True
    )  # knobs and tiles, as the figure has them
    gripped: Any = traitlets.Dict().tag(sync=True)

    def __init__(self, draw: Callable[[style.Plate], None], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._draw = draw
        self.figure = style.plate()
        self.redraw()
        self.observe(self._resized, names=["narrow", "pixels"])

    def on_pick(self, action: Callable[[float, float], object]) -> None:
        """Call something with the place at which a reader points.

        Parameters
        ----------
        action
            Called with parts of the width, from the left, and of the height, from the top.

        Examples
        --------
        >>> picture = Picture(lambda figure: None)
        >>> picture.on_pick(lambda x, y: print(x, y))
        >>> picture.picked = {"x": 0.25, "y": 0.5, "time": 1}
        0.25 0.5
        """
        self.pickable = True
        self.observe(
            lambda change: action(float(change["new"]["x"]), float(change["new"]["y"])),
            names="picked",
        )

    def on_grip(self, action: Callable[[str, float], object]) -> None:
        """Call something when a reader drags a knob of the figure, or presses a tile of it.

        Parameters
        ----------
        action
            Called with the grip's name and the value that it was brought to.

        Examples
        --------
        >>> picture = Picture(lambda figure: None)
        >>> picture.on_grip(print)
        >>> picture.gripped = {"name": "minimum1", "value": 25.0, "time": 1}
        minimum1 25.0
        """
        self.observe(
            lambda change: action(str(change["new"]["name"]), float(change["new"]["value"])),
            names="gripped",
        )

    @property
    def scale(self) -> float:
        """Image pixels per layout pixel: one for each the screen has, at most 1.5."""
        if not self.pixels:
            return 1.5
        return min(max(self.pixels / self.figure.width_px, 0.5), 1.5)

    def redraw(self) -> None:
        """Draw again on the figure there is, and send it to the browser in one message.

        Examples
        --------
        >>> picture = Picture(lambda figure: None)
        >>> picture.redraw()
        """
        self._drawn_at = self.scale
        if self.figure.view is None:
            style.draw_on(self.figure, self._draw)
        else:
            self._draw(self.figure)  # it has axes already, and shows another result on them
        with self.hold_sync():
            self.png = self.figure.png(self.scale, compress_level=1)
            self.alt = self.figure.alt
            self.grips = [grip.as_dict() for grip in self.figure.grips]
            self.version += 1

    def _resized(self, _change: object) -> None:
        width = style.NARROW_PX if self.narrow else style.WIDE_PX
        if self.figure.width_px != width:
            self.figure = style.plate(width)
        elif self.scale == self._drawn_at:
            return  # the two traits came in one message: one drawing answers both
        self.redraw()

    def __repr__(self) -> str:
        """Keep it short: traitlets would print the image's bytes."""
        return f"Picture({self.alt!r})"

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        """Give the live view, and the image and its words where no kernel runs."""
        live = super()._repr_mimebundle_(**kwargs)
        bundle, metadata = self.figure._repr_mimebundle_()
        if live is None:
            return bundle, metadata
        return {**live[0], **bundle}, {**live[1], **metadata}
