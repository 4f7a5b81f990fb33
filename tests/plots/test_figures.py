"""Every figure of the house, as its own documentation draws it, keeps the house's rules.

The examples of each `draw...` function are run, and each call is drawn again for a projector and
for a phone: text of 14 pixels or more, inside the figure, and alt text with numbers.
"""

from __future__ import annotations

import doctest
import importlib
import pkgutil
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
from matplotlib.text import Text

import virtlab.plots
from virtlab.plots import look, style

if TYPE_CHECKING:
    from collections.abc import Callable

    Call = Callable[[style.Plate], style.Plate]


def drawing_functions() -> list[tuple[str, str]]:
    """Return module and name of each function that draws a figure."""
    found: list[tuple[str, str]] = []
    for info in pkgutil.iter_modules(virtlab.plots.__path__):
        module = importlib.import_module(f"virtlab.plots.{info.name}")
        names = () if module is style else getattr(module, "__all__", ())
        found += [(module.__name__, name) for name in names if name.startswith("draw")]
    return found


@cache
def calls_of(module_name: str, name: str) -> list[Call]:
    """Run the examples of a function once; return its calls, to be made again on other figures."""
    module = importlib.import_module(module_name)
    function = getattr(module, name)
    made: list[Call] = []

    def recording(*arguments: Any, **named: Any) -> Any:
        given = {key: value for key, value in named.items() if key != "figure"}
        made.append(lambda figure: function(*arguments, **given, figure=figure))
        return function(*arguments, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, name, recording)
        for test in doctest.DocTestFinder(recurse=False).find(function, name, module=module):
            test.globs[name] = recording
            flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
            assert doctest.DocTestRunner(optionflags=flags).run(test).failed == 0
    return made


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Text]:
    """Return the list into which each text comes when it is drawn: a tick out of range is not."""
    texts: list[Text] = []
    draw = Text.draw

    def recording(self: Text, renderer: Any) -> None:
        if self.get_visible() and self.get_text().strip():
            texts.append(self)
        draw(self, renderer)

    monkeypatch.setattr(Text, "draw", recording)
    return texts


@pytest.mark.parametrize("width", [style.WIDE_PX, style.NARROW_PX])
@pytest.mark.parametrize(("module", "name"), drawing_functions())
def test_a_figure_can_be_read(module: str, name: str, width: int, drawn: list[Text]) -> None:
    calls = calls_of(module, name)
    assert calls, "its documentation has no example"
    for call in calls:
        figure = call(style.plate(width))
        drawn.clear()
        figure.png(scale=1)
        assert any(letter.isdigit() for letter in figure.alt), figure.alt
        assert drawn
        room = figure.bbox.padded(2)
        for text in drawn:
            says = f"{text.get_text()!r} at {width} px"
            pixels = float(text.get_fontsize()) * look.DPI / 72
            assert pixels >= 13.9, f"{says} is too small: {pixels:.1f} px"
            box = text.get_window_extent()
            inside = room.contains(box.x0, box.y0) and room.contains(box.x1, box.y1)
            assert inside, f"{says} leaves the figure: {box}"
