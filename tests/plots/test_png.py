"""The PNG encoder: another program reads back what was written."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from virtlab.plots.png import encode


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 9), st.integers(0, 2**32 - 1))
def test_pixels_come_back(width: int, height: int, level: int, seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 4), dtype=np.uint8)
    image = Image.open(io.BytesIO(encode(pixels, level)))
    assert image.format == "PNG"
    assert (np.asarray(image) == pixels).all()


def test_a_broken_file_is_noticed() -> None:
    """The check sums are there: a changed byte does not go unseen."""
    png = bytearray(encode(np.zeros((4, 4, 4), np.uint8)))
    png[20] ^= 1  # in the header's width
    with pytest.raises((OSError, SyntaxError)):
        Image.open(io.BytesIO(bytes(png))).load()
