"""`Picture`: a matplotlib figure in a notebook, updated in place, with its alt text.

`ipywidgets.interact` makes a new figure for each move of a slider: the page jumps and answers in
a third of a second. A `Picture` keeps one figure; a new drawing goes to the browser as one PNG,
is decoded there before it is shown, and takes the place of the old one. The browser tells how
wide the picture stands, and the figure is laid out anew for a projector or for a phone.
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

    def __init__(self, draw: Callable[[style.Plate], None], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._draw = draw
        self.figure = style.plate()
        self.redraw()
        self.observe(self._resized, names="narrow")

    def redraw(self) -> None:
        """Draw again on the figure there is, and send it to the browser in one message.

        Examples
        --------
        >>> picture = Picture(lambda figure: None)
        >>> picture.redraw()
        """
        style.draw_on(self.figure, self._draw)
        with self.hold_sync():
            self.png = self.figure.png(compress_level=1)
            self.alt = self.figure.alt
            self.version += 1

    def _resized(self, _change: object) -> None:
        self.figure = style.plate(style.NARROW_PX if self.narrow else style.WIDE_PX)
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
