"""Figures of rings (S17): what each instruction does at each, as a table of signs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matplotlib.lines import Line2D

from virtlab.machine.ring_choice import BESIDE, RingChoice, differences
from virtlab.plots import style
from virtlab.plots.palette import HARDWARE, OUTCOMES, VMS
from virtlab.validate import integer

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

    from virtlab.machine.rings import RingTable
    from virtlab.plots.style import Plate

__all__ = ["cell_at", "draw_ring_choice", "draw_rings"]

_MARKS = {
    "works": OUTCOMES["allowed"],
    "faults": OUTCOMES["traps"],
    "differs": OUTCOMES["silently wrong"],
    "tells": OUTCOMES["silently wrong"],
}
_WORDS = {
    "works": "as at ring 0",
    "faults": "traps",
    "differs": "something else, no trap",
    "tells": "tells of the machine, no trap",
}
_SIZES = {"works": 5, "faults": 9, "differs": 9, "tells": 8}
_COLUMNS = tuple(0.62 + 0.11 * ring for ring in range(4))
_VERBS = {"works": "work", "faults": "trap", "differs": "differ", "tells": "tell of the machine"}


def draw_rings(table: RingTable, iopl: int = 0, figure: Plate | None = None) -> Plate:
    """Draw what each instruction does at each ring.

    Parameters
    ----------
    table
        All probes, run.
    iopl
        Which of the four tables.
    figure
        The figure to draw on again.

    Returns
    -------
    Plate
        The figure; on a phone it shows those that break the theorem alone.

    Examples
    --------
    >>> from virtlab.machine.rings import ring_table
    >>> draw_rings(ring_table()).alt[:41]
    'Table of 47 instructions at rings 0 to 3,'
    """
    integer("iopl", iopl, minimum=0, maximum=3)
    return style.show_on(figure, _Rings, RingChoice(table, "", 0, iopl))


def draw_ring_choice(choice: RingChoice, figure: Plate | None = None) -> Plate:
    """Draw the table of rings with one cell chosen, and the cells that are otherwise elsewhere.

    Parameters
    ----------
    choice
        Which cell, and beside whose table.
    figure
        The figure to draw on again.

    Returns
    -------
    Plate
        The figure.

    Examples
    --------
    >>> from virtlab.machine.ring_choice import choose
    >>> draw_ring_choice(choose("popf", 1)).alt[:55]
    'Chosen: popf, IF = 0 at ring 1: something else, no trap'
    """
    return style.show_on(figure, _Rings, choice)


def cell_at(figure: Plate, x: float, y: float) -> tuple[str, int] | None:
    """Return the instruction and the ring of the cell at a place of the figure.

    Parameters
    ----------
    figure
        On which `draw_ring_choice` has drawn.
    x, y
        Parts of its width, from the left, and of its height, from the top.

    Returns
    -------
    tuple or None
        Name of the probe, and ring; None where there is no row.

    Examples
    --------
    >>> from virtlab.machine.ring_choice import choose
    >>> cell_at(draw_ring_choice(choose("popf")), 0.21, 0.24)
    ('add', 0)
    """
    view = figure.view
    if not isinstance(view, _Rings):
        return None
    for block, axes in enumerate(view.blocks):
        place = axes.get_position()
        if not place.x0 <= x <= place.x1 or not place.y0 <= 1 - y <= place.y1:
            continue
        bottom, top = axes.get_ylim()
        row = int((bottom + (1 - y - place.y0) / place.height * (top - bottom)) // 1)
        across = (x - place.x0) / place.width
        ring = min(range(4), key=lambda ring: abs(_COLUMNS[ring] - across))
        for name, where in view.rows.items():
            if where == (block, row):
                return name, ring
    return None


class _Rings:
    """A table of signs: names, a column for each ring; one cell may be framed."""

    def __init__(self, figure: Plate) -> None:
        self.figure, self.narrow = figure, figure.narrow
        self.still: object = None
        self.layers: list[tuple[object, list[Artist]]] = []
        self.blocks: list[Axes] = []
        self.rows: dict[str, tuple[int, int]] = {}
        self.signs: dict[str, list[Line2D]] = {}

    def show(self, choice: RingChoice) -> None:
        """Put a sign into each cell, and a frame around the one that is chosen."""
        table, iopl = choice.table, choice.iopl
        broken = table.violations()
        names = _shown(choice, broken, narrow=self.narrow)
        key = tuple(names)
        if self.still != key:
            self._furnish(names)
            self.still = key
        other = differences(choice.beside, iopl)
        for kind, lines in self.signs.items():
            for block, line in enumerate(lines):
                line.set_data(
                    *self._places(block, lambda n, r, k=kind: _is(choice, other, n, r, k))
                )
        self.frame[0].set_data([], [])
        for block, line in enumerate(self.frame):
            here = self.rows.get(choice.name)
            spot = here is not None and here[0] == block
            line.set_data(
                [_COLUMNS[choice.ring]] if spot else [], [here[1] + 0.5] if spot and here else []
            )
        marks: list[Artist] = [line for lines in self.signs.values() for line in lines]
        self.layers = [((id(table), iopl, choice.beside), marks), (object(), [*self.frame])]
        style.finish(self.blocks[0], _title(choice, broken, other), _alt(choice), slide="S17")

    def _places(self, block: int, wanted: Any) -> tuple[list[float], list[float]]:
        found = [
            (_COLUMNS[ring], row + 0.5)
            for name, (where, row) in self.rows.items()
            if where == block
            for ring in range(4)
            if wanted(name, ring)
        ]
        return [x for x, _ in found], [y for _, y in found]

    def _furnish(self, names: list[str]) -> None:
        """Make the blocks with their names, once for these rows."""
        figure = self.figure
        for axes in self.blocks:
            figure.delaxes(axes)
        for legend in list(figure.legends):
            legend.remove()
        columns = 1 if self.narrow else 3
        high = -(-len(names) // columns)
        if self.narrow:
            figure.margins(left=8, right=8, top=96, bottom=10)
        else:
            figure.margins(left=20, right=20, top=92, bottom=14)
        self.blocks = list(figure.subplots(1, columns, squeeze=False)[0])
        figure.subplots_adjust(wspace=0.06)
        self.rows = {name: (k // high, k % high) for k, name in enumerate(names)}
        for block, axes in enumerate(self.blocks):
            _block(axes, [name for name in names if self.rows[name][0] == block], high)
        self.signs = {
            kind: [_line(axes, mark.marker, mark.colour, _SIZES[kind]) for axes in self.blocks]
            for kind, mark in _MARKS.items()
        }
        for line in self.signs["tells"]:
            line.set(markerfacecolor="none", markeredgewidth=2)
        size = 11 if self.narrow else 14
        self.signs["other"] = [
            axes.plot([], [], "D", mfc="none", mec=VMS[3].colour, mew=2, ms=size)[0]
            for axes in self.blocks
        ]
        self.frame = [
            axes.plot([], [], "s", mfc="none", mec=HARDWARE.colour, mew=2.5, ms=size + 4)[0]
            for axes in self.blocks
        ]
        _legend(figure)


def _line(axes: Axes, marker: str, colour: str, size: float) -> Line2D:
    return axes.plot([], [], marker, color=colour, ms=size)[0]


def _is(
    choice: RingChoice, other: dict[tuple[str, int], str], name: str, ring: int, kind: str
) -> bool:
    if kind == "other":
        return (name, ring) in other
    return _kind(choice.table, name, ring, choice.iopl) == kind


def _kind(table: RingTable, name: str, ring: int, iopl: int) -> str:
    """Return the sign of a cell: what works outside ring 0 and tells of the machine has its own."""
    kind = table.cell(name, ring, iopl)
    quiet = kind == "works" and ring > 0 and not table.outcomes[name, ring, iopl].fault
    return "tells" if quiet and table.sensitive(name)[1] else kind


def _shown(choice: RingChoice, broken: frozenset[str], *, narrow: bool) -> list[str]:
    """Return the rows: all, or on a phone those that break the theorem, and the chosen one."""
    names = list(dict.fromkeys(name for name, _, _ in choice.table.outcomes))
    if not narrow:
        return names
    return [n for n in names if _breaks(choice.table, n, broken) or n == choice.name]


def _breaks(table: RingTable, name: str, broken: frozenset[str]) -> bool:
    """Return whether an instruction breaks the theorem in this form: it does not trap."""
    mnemonic = table.outcomes[name, 0, 0].probe.mnemonic
    return mnemonic in broken and table.cell(name, 3, 0) != "faults"


def _block(axes: Axes, names: list[str], rows: int) -> None:
    """Write one column of the table: names, and the numbers of the rings."""
    axes.set(xlim=(0, 1), ylim=(rows + 0.5, -1))
    axes.axis("off")
    for ring, x in enumerate(_COLUMNS):
        axes.text(x, -0.45, str(ring), ha="center", va="center", fontsize=style.SMALL)
    axes.text(0.0, -0.45, "ring", va="center", fontsize=style.SMALL, color="#6B6B6B")
    for row, name in enumerate(names):
        axes.text(0.0, row + 0.5, name, va="center_baseline", fontsize=style.SMALL)
        axes.axhline(row, color="#E5E5E5", lw=0.8)


def _legend(figure: Plate) -> None:
    """Say what the signs mean, in a line under the title."""
    handles = [
        Line2D([], [], color=mark.colour, marker=mark.marker, ls="", ms=8, label=_WORDS[kind])
        for kind, mark in _MARKS.items()
    ]
    handles[-1].set(markerfacecolor="none", markeredgewidth=2)
    if figure.narrow:  # four lines of words have no room there
        short = ("as at ring 0", "traps", "something else", "tells of the machine")
        for handle, words in zip(handles, short, strict=True):
            handle.set_label(words)
    figure.legend(
        handles=handles,
        ncols=2 if figure.narrow else 4,
        loc="upper left",
        bbox_to_anchor=(0.005, 0.9 if figure.narrow else 0.925),
        columnspacing=1.2,
        handletextpad=0.1,
        borderaxespad=0.2,
    )


def _title(choice: RingChoice, broken: frozenset[str], other: dict[tuple[str, int], str]) -> str:
    if choice.beside != BESIDE[0]:
        return f"In {len(other)} cells {choice.beside} does otherwise (diamonds)"
    if choice.name:
        where = f"{choice.outcome.probe.text} at ring {choice.ring}"
        return f"IOPL {choice.iopl}: {where}: {_word(choice)}"
    return f"{len(broken)} instructions are sensitive and do not trap"


def _word(choice: RingChoice) -> str:
    return _WORDS[_kind(choice.table, choice.name, choice.ring, choice.iopl)]


def _alt(choice: RingChoice) -> str:
    """Say it in words: how many of each kind at each ring, and which differ."""
    table, iopl = choice.table, choice.iopl
    names = list(dict.fromkeys(name for name, _, _ in table.outcomes))
    counts = [
        f"at ring {ring} "
        + ", ".join(
            f"{sum(_kind(table, name, ring, iopl) == kind for name in names)} {word}"
            for kind, word in _VERBS.items()
        )
        for ring in range(4)
    ]
    differing = [name for name in names if table.cell(name, 3, iopl) == "differs"]
    chosen = ""
    if choice.name:
        text = choice.outcome.probe.text
        chosen = f"Chosen: {text} at ring {choice.ring}: {_word(choice)}. "
    other = differences(choice.beside, iopl)
    cells = ", ".join(f"{name} at {ring}" for name, ring in other)
    beside = f" With {choice.beside} these are otherwise: {cells}." if other else ""
    return (
        f"{chosen}Table of {len(names)} instructions at rings 0 to 3, IOPL {iopl}: "
        f"{'; '.join(counts)}. Without a trap these do something else at ring 3: "
        f"{', '.join(differing)}. {table.explain()}{beside}"
    )
