"""Figures of rings (S17): what each instruction does at each, as a table of signs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtlab.plots import style
from virtlab.plots.palette import OUTCOMES
from virtlab.validate import integer

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from virtlab.machine.rings import RingTable
    from virtlab.plots.style import Plate

__all__ = ["draw_rings"]

_MARKS = {
    "works": OUTCOMES["allowed"],
    "faults": OUTCOMES["traps"],
    "differs": OUTCOMES["silently wrong"],
}
_WORDS = {"works": "as at ring 0", "faults": "traps", "differs": "something else, no trap"}


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
    names = list(dict.fromkeys(name for name, _, _ in table.outcomes))

    def draw(figure: Plate) -> None:
        broken = table.violations()
        if figure.narrow:
            shown = [[name for name in names if _breaks(table, name, broken)]]
            figure.margins(left=8, right=8, top=96, bottom=10)
        else:
            third = -(-len(names) // 3)
            shown = [names[k : k + third] for k in range(0, len(names), third)]
            figure.margins(left=20, right=20, top=92, bottom=14)
        blocks = figure.subplots(1, len(shown), squeeze=False)[0]
        figure.subplots_adjust(wspace=0.06)
        rows = max(map(len, shown))
        for axes, part in zip(blocks, shown, strict=True):
            _block(axes, part, table, iopl, rows)
        _legend(blocks[0], figure.narrow)
        title = f"{len(broken)} instructions are sensitive and do not trap"
        style.finish(blocks[0], title, _alt(table, names, iopl), slide="S17")

    return style.draw_on(figure, draw)


def _breaks(table: RingTable, name: str, broken: frozenset[str]) -> bool:
    """Return whether an instruction breaks the theorem in this form: it does not trap."""
    mnemonic = table.outcomes[name, 0, 0].probe.mnemonic
    return mnemonic in broken and table.cell(name, 3, 0) != "faults"


def _block(axes: Axes, names: list[str], table: RingTable, iopl: int, rows: int) -> None:
    """Draw one column of the table: names, and a sign for each ring."""
    axes.set(xlim=(0, 1), ylim=(rows + 0.5, -1))
    axes.axis("off")
    columns = [0.62 + 0.11 * ring for ring in range(4)]
    for ring, x in enumerate(columns):
        axes.text(x, -0.45, str(ring), ha="center", va="center", fontsize=style.SMALL)
    axes.text(0.0, -0.45, "ring", va="center", fontsize=style.SMALL, color="#6B6B6B")
    for row, name in enumerate(names):
        axes.text(0.0, row + 0.5, name, va="center_baseline", fontsize=style.SMALL)
        axes.axhline(row, color="#E5E5E5", lw=0.8)
    for kind, mark in _MARKS.items():
        places = [
            (x, row + 0.5)
            for row, name in enumerate(names)
            for ring, x in enumerate(columns)
            if table.cell(name, ring, iopl) == kind
        ]
        if places:
            at_x, at_y = zip(*places, strict=True)
            size = 5 if kind == "works" else 9
            axes.plot(at_x, at_y, mark.marker, color=mark.colour, ms=size)


def _legend(axes: Axes, narrow: bool) -> None:  # noqa: FBT001 - how wide it is
    """Say what the signs mean, in a line under the title."""
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=mark.colour, marker=mark.marker, ls="", ms=8, label=_WORDS[kind])
        for kind, mark in _MARKS.items()
    ]
    axes.figure.legend(
        handles=handles,
        ncols=2 if narrow else 3,
        loc="upper left",
        bbox_to_anchor=(0.005, 0.9 if narrow else 0.925),
        columnspacing=1.2,
        handletextpad=0.1,
        borderaxespad=0.2,
    )


def _alt(table: RingTable, names: list[str], iopl: int) -> str:
    """Say it in words: how many of each kind at each ring, and which differ."""
    counts = [
        f"at ring {ring} "
        + ", ".join(
            f"{sum(table.cell(name, ring, iopl) == kind for name in names)} {word}"
            for kind, word in (("works", "work"), ("faults", "trap"), ("differs", "differ"))
        )
        for ring in range(4)
    ]
    differing = [name for name in names if table.cell(name, 3, iopl) == "differs"]
    return (
        f"Table of {len(names)} instructions at rings 0 to 3, IOPL {iopl}: {'; '.join(counts)}. "
        f"Without a trap these do something else at ring 3: {', '.join(differing)}. "
        f"{table.explain()}"
    )
