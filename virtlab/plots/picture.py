"""A figure as HTML: an image with its alt text, and another layout of it for a phone."""

from __future__ import annotations

import base64
import html

__all__ = ["picture_html"]

_NARROW = "(max-width: 599px)"  # of the page; as `Plate.narrow`


def picture_html(png: bytes, alt: str, width_px: int = 960, narrow: bytes | None = None) -> str:
    """Return an HTML image with its alt text.

    Parameters
    ----------
    png
        A PNG file.
    alt
        What it shows, in words.
    width_px
        Width in layout pixels; it shrinks where the page is narrower.
    narrow
        Another PNG file of the same, for a phone: a projector's would shrink to letters of 4 px.

    Returns
    -------
    str
        An element that needs no other file. Who knows no `picture` shows the img in it.

    Examples
    --------
    >>> picture_html(b"PNG", 'two "bars"', 380)
    '<img alt="two &quot;bars&quot;" width="380" style="max-width:100%;height:auto" \
src="data:image/png;base64,UE5H">'
    >>> picture_html(b"PNG", "bars", narrow=b"png")[:81]
    '<picture><source media="(max-width: 599px)" srcset="data:image/png;base64,cG5n"><'
    """
    image = (
        f'<img alt="{html.escape(alt)}" width="{width_px}" style="max-width:100%;height:auto" '
        f'src="{_address(png)}">'
    )
    if narrow is None:
        return image
    return f'<picture><source media="{_NARROW}" srcset="{_address(narrow)}">{image}</picture>'


def _address(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
