"""Figure of Popek and Goldberg's theorem (S17): what is sensitive, and what traps, as areas.

An area for what traps in user mode, another for what is sensitive. Where the second lies within
the first, a monitor by traps can be built; what sticks out is named, with a warning sign that is
full if it is sensitive in user mode too, and so in the way of a hybrid monitor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matplotlib.patches import FancyBboxPatch

from virtlab.plots import style
from virtlab.plots.palette import OUTCOMES
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.artist import Artist

    from virtlab.machine.theorem import Theorem
    from virtlab.machine.theorem.classify import Kind
    from virtlab.plots.style import Plate

__all__ = ["draw_theorem"]

_TRAPS, _WRONG = OUTCOMES["traps"], OUTCOMES["silently wrong"]
_WORDS = {
    "i386": "i386",
    "fixed-i386": "i386, repaired",
    "third-generation": "third generation",
    "jrst": "with JRST",
    "open-mode": "with open MODE",
    "open-lra": "with open LRA",
}
_LINE = 19  # pixels from line to line
_GREY = "#6B6B6B"


def draw_theorem(results: Sequence[Theorem], figure: Plate | None = None) -> Plate:
    """Draw what is sensitive and what traps, for up to four instruction sets side by side.

    Parameters
    ----------
    results
        What the theorem says of each.
    figure
        The figure to draw on again.

    Returns
    -------
    Plate
        The figure; on a phone only what breaks the theorem is named.

    Raises
    ------
    InvalidInputError
        If there are none, or more than four.

    Examples
    --------
    >>> from virtlab.machine.theorem import theorem
    >>> names = ("i386", "fixed-i386", "third-generation", "jrst")
    >>> draw_theorem([theorem(name) for name in names]).alt[:46]
    'Sets of instructions as areas, for 4 machines.'
    """
    if not 1 <= len(results) <= 4:
        raise InvalidInputError("results", len(results), "1 to 4 of them")
    return style.show_on(figure, _Areas, results)


class _Areas:
    """A panel for each instruction set."""

    def __init__(self, figure: Plate) -> None:
        self.narrow = figure.narrow
        self.width, self.height = figure.get_size_inches() * 100
        self.axes = figure.add_axes((0, 0, 1, 1))
        self.axes.set(xlim=(0, self.width), ylim=(self.height, 0))
        self.axes.axis("off")
        self.still: object = None
        self.artists: list[Artist] = []
        self.layers: list[tuple[object, list[Artist]]] = []

    def show(self, results: Sequence[Theorem]) -> None:
        """Draw the panels of these sets."""
        for artist in self.artists:
            artist.remove()
        self.artists = []
        self._legend()
        if self.narrow:
            top = 128.0
            for result in results:
                top = self._short(result, top)
        else:
            wide = (self.width - 28) / len(results)
            for k, result in enumerate(results):
                self._panel(result, 14 + wide * k, min(wide, 300) - 14)
        self.layers = [(object(), self.artists)]
        first = results[0]
        broken, of = len(first.violations), _WORDS[first.name]
        many = "instruction does" if broken == 1 else "instructions do"
        title = f"{of}: each sensitive instruction traps"
        if broken:
            title = f"{of}: {broken} sensitive {many} not trap"
        alt = f"Sets of instructions as areas, for {len(results)} machines. "
        style.finish(self.axes, title, alt + " ".join(map(_alt, results)), slide="S17")

    # --- parts ------------------------------------------------------------------------------------

    def _text(self, x: float, y: float, words: str, **how: Any) -> None:
        how = {"fontsize": style.SMALL, "va": "center_baseline", **how}
        self.artists.append(self.axes.text(x, y, words, **how))

    def _box(self, x: float, y: float, width: float, height: float, colour: str) -> None:
        """Draw an area: light inside, with an edge."""
        for fill, alpha in ((True, 0.1), (False, 1.0)):
            box = FancyBboxPatch(
                (x + 4, y + 4),
                width - 8,
                height - 8,
                boxstyle="round,pad=4",
                color=colour,
                fill=fill,
                alpha=alpha,
                lw=0 if fill else 1.5,
            )
            self.artists.append(self.axes.add_patch(box))

    def _sign(self, x: float, y: float, *, full: bool) -> None:
        face = _WRONG.colour if full else "white"
        self.artists += self.axes.plot(
            [x], [y - 0.5], _WRONG.marker, ms=7, mfc=face, mec=_WRONG.colour, mew=1.3
        )

    def _legend(self) -> None:
        """Say what the areas and the signs mean."""
        rows = ((14, 64), (14, 86), (14, 108)) if self.narrow else ((14, 58), (266, 58), (590, 58))
        words = ("traps in user mode (privileged)", "sensitive, and no trap: breaks theorem 1")
        last = "in user mode too: theorem 3"
        (x, y), *signs = rows
        self._box(x, y - 7, 18, 14, _TRAPS.colour)
        self._text(x + 26, y, words[0])
        for (at_x, at_y), full, text in zip(signs, (False, True), (words[1], last), strict=True):
            self._sign(at_x + 9, at_y, full=full)
            self._text(at_x + 26, at_y, text)
        if not self.narrow:
            self._text(842, 58, "not sensitive", color=_GREY)

    def _names(
        self, kinds: Sequence[Kind], x: float, y: float, width: float, columns: int, colour: str
    ) -> float:
        """Write names in columns; return where the next line is."""
        signs = any(kind.sensitive and not kind.privileged for kind in kinds)
        for k, kind in enumerate(kinds):
            row, column = divmod(k, columns)
            at_x, at_y = x + column * width / columns, y + row * _LINE
            if signs:
                self._sign(at_x + 5, at_y, full=kind.user)
            self._text(at_x + (15 if signs else 0), at_y, kind.name, color=colour)
        return y + -(-len(kinds) // columns) * _LINE

    def _panel(self, result: Theorem, x: float, width: float) -> None:
        """Draw one set with all its names."""
        inside, traps, outside, rest = _parts(result)
        self._text(x, 92, _WORDS[result.name], weight="bold", fontsize=15 * 0.72)
        columns = 3
        self._text(x, 114, "   ".join(_verdicts(result)))
        top = 130.0
        y = self._names(traps, x + 10, top + 16, width - 12, columns, _GREY)
        low = y - 6
        self._text(x + 12, low + 16, f"sensitive: {len(inside) + len(outside)}", color=_GREY)
        y = self._names(inside, x + 12, low + 16 + _LINE, width - 16, columns, "black")
        edge = y + 0.0
        self._box(x, top, width, edge - top + 4, _TRAPS.colour)
        if outside:
            y = self._names(outside, x + 12, edge + 16, width - 16, columns, "black")
        end = y - 4 if outside else edge - 4
        self._box(x + 4, low + 2, width - 8, end - low, _WRONG.colour)
        y = max(end, edge) + 22
        self._names(rest, x + 10, y, width - 12, columns, _GREY)

    def _short(self, result: Theorem, top: float) -> float:
        """Draw one set on a phone: how many trap, and the names of what does not."""
        inside, _, outside, _ = _parts(result)
        width = self.width - 28
        self._text(14, top + 8, _WORDS[result.name], weight="bold")
        self._text(
            self.width - 14, top + 8, " ".join(_verdicts(result)), ha="right", color="#4D4D4D"
        )
        self._box(14, top + 20, width, 26, _TRAPS.colour)
        self._text(24, top + 33, f"{len(inside)} sensitive instructions trap")
        y = top + 46
        if outside:
            y = self._names(outside, 20, y + 14, width - 6, 5, "black") - 6
        return y + 12


def _verdicts(result: Theorem) -> list[str]:
    return [
        f"{'✓' if truth else '✗'} {words}"
        for truth, words in ((result.virtualizable, "monitor"), (result.hybrid, "hybrid monitor"))
    ]


def _parts(result: Theorem) -> tuple[list[Kind], list[Kind], list[Kind], list[Kind]]:
    """Return what is sensitive and traps, traps only, is sensitive only, and is neither."""
    parts: tuple[list[Kind], ...] = ([], [], [], [])
    for kind in result.kinds:
        parts[(not kind.sensitive) + 2 * (not kind.privileged)].append(kind)
    return parts[0], parts[1], parts[2], parts[3]


def _alt(result: Theorem) -> str:
    """Say one panel in words."""
    inside, traps, outside, rest = _parts(result)
    named = ", ".join(kind.name + (" (user mode too)" if kind.user else "") for kind in outside)
    return (
        f"{_WORDS[result.name]}: {len(inside)} sensitive instructions trap, {len(outside)} do not"
        f"{f' ({named})' if named else ''}; {len(traps)} more trap, {len(rest)} are neither; "
        f"{'a' if result.virtualizable else 'no'} monitor, "
        f"{'a' if result.hybrid else 'no'} hybrid monitor."
    )
