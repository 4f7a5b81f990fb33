"""Figures of a walk through a guest (S17): one moment of it, and all of it over time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.patches import Circle

from virtlab.plots import style
from virtlab.plots.palette import HARDWARE, HOST, VMS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes

    from virtlab.machine.walk.moment import Moment
    from virtlab.machine.walk.ride import Ride
    from virtlab.plots.style import Plate

__all__ = ["draw_moment", "draw_ride"]

_RADII = (0.4, 0.6, 0.8, 1.0)
_FACE, _HERE = "#F2F2F2", "#BFE0F5"
_SIGNS = {0: HOST, 1: VMS[1], 2: VMS[2], 3: VMS[0]}


def draw_moment(
    moment: Moment, title: str, names: Mapping[int, str] | None = None, figure: Plate | None = None
) -> Plate:
    """Draw the rings, and beside them the code and what has changed.

    Parameters
    ----------
    moment
        Of a ride.
    title
        The finding.
    names
        What runs at which ring.
    figure
        The figure to draw on again.

    Returns
    -------
    Plate
        The figure.

    Examples
    --------
    >>> from virtlab.machine.walk.programs import attempt
    >>> moment = attempt(bytes.fromhex("cd80"), ring=3).go(1)
    >>> draw_moment(moment, "Ring 3 calls ring 0", {0: "kernel"}).alt[:43]
    'Four rings; the processor came from ring 3 '
    """

    def draw(figure: Plate) -> None:
        if figure.narrow:
            figure.margins(left=10, right=10, top=70, bottom=10)
            rings, words = figure.subplots(2, 1, height_ratios=[5, 6])
        else:
            figure.margins(left=20, right=20, top=64, bottom=14)
            rings, words = figure.subplots(1, 2, width_ratios=[35, 65])
        figure.subplots_adjust(wspace=0.05, hspace=0.04)
        _rings(rings, moment, names or {}, figure.narrow)
        _words(words, moment, figure.narrow)
        style.finish(rings, title, _alt(moment), slide="S17")

    return style.draw_on(figure, draw)


def _middle(ring: int) -> float:
    return (_RADII[ring] + _RADII[ring - 1]) / 2 if ring else 0.16


def _rings(axes: Axes, moment: Moment, names: Mapping[int, str], narrow: bool) -> None:  # noqa: FBT001
    axes.set(xlim=(-1.04, 1.04), ylim=(-1.04, 1.04), aspect="equal")
    axes.axis("off")
    for ring in (3, 2, 1, 0):
        here = ring == moment.ring
        axes.add_patch(
            Circle((0, 0), _RADII[ring], facecolor=_HERE if here else _FACE,
                   edgecolor=HARDWARE.colour if here else HOST.colour, lw=3 if here else 0.8)
        )  # fmt: skip
    for ring in range(4):
        word = str(ring) if narrow else f"{ring} {names.get(ring, '')}".strip()
        here = ring == moment.ring
        axes.text(0, _middle(ring) if ring else 0.2, word, ha="center", va="center",
                  fontsize=style.SMALL, weight="bold" if here else "normal")  # fmt: skip
    to = _middle(moment.ring)
    axes.plot([to], [-0.03], "o", ms=10, color=VMS[1].colour, mec=HARDWARE.colour)
    if moment.came != moment.ring:
        axes.annotate("", (to, -0.1), (_middle(moment.came), -0.1),
                      arrowprops={"arrowstyle": "-|>", "lw": 2.2, "color": HARDWARE.colour,
                                  "connectionstyle": "arc3,rad=-0.4"})  # fmt: skip
    if moment.how:
        axes.text(0.5, -0.5, moment.how, ha="center", va="center", weight="bold",
                  fontsize=style.SMALL, backgroundcolor="white")  # fmt: skip


def _words(axes: Axes, moment: Moment, narrow: bool) -> None:  # noqa: FBT001 - how wide it is
    """Write the code, and what the step changed, in one column or in two."""
    axes.set(xlim=(0, 1), ylim=(12.6 if narrow else 14, -0.6))
    axes.axis("off")
    code = [f"   {moment.at:#x}  {moment.what}" if moment.at >= 0 else "", ""]
    lines = moment.lines
    at = next((k for k, line in enumerate(lines) if line.now), 0)
    for line in lines[at : at + 3] if narrow else lines[:8]:
        if line.name and not narrow:
            code.append(f"{line.name}:")
        code.append(f"{'▶' if line.now else ' '}  {line.address:#x}  {line.text}")
    changed = [value for value in (*moment.registers, *moment.flags) if value.changed]
    change = [f"◆ {value.name}: {value.before:#x} → {value.now:#x}" for value in changed]
    if moment.frame is not None and not narrow:
        pushed = moment.frame.pushed
        change += ["", "left on the stack:" if pushed else "taken from the stack:"]
        change += [f"   {value:#x}  {name}" for name, _, value in moment.frame.words]
    if narrow:
        _column(axes, 0.02, [*code[:5], "", *change], 12, 36)
    else:
        _column(axes, 0.02, code, 14, 36)
        _column(axes, 0.64, change, 14, 26)


def _column(axes: Axes, x: float, rows: list[str], most: int, letters: int) -> None:
    if len(rows) > most:
        rows = [*rows[: most - 1], f"and {len(rows) - most + 1} more"]
    for at, row in enumerate(rows):
        text = row if len(row) <= letters else row[: letters - 1] + "…"
        weight = "bold" if row.startswith("▶") else "normal"
        axes.text(x, at, text, va="center", fontsize=style.SMALL, weight=weight,
                  family=["DejaVu Sans Mono", "DejaVu Sans"])  # fmt: skip


def _alt(moment: Moment) -> str:
    line = moment.next
    next_one = f"; next is {line.address:#x} {line.text}" if line else ""
    return (
        f"Four rings; the processor came from ring {moment.came} and is at ring {moment.ring}, "
        f"step {moment.number:,} of {moment.last:,}{next_one}. {moment.explain()}"
    )


def draw_ride(ride: Ride, title: str = "", figure: Plate | None = None) -> Plate:
    """Draw which ring ran when, and what took it from one to the next.

    Parameters
    ----------
    ride
        A run.
    title
        The finding; how many steps each ring did, if not given.
    figure
        The figure to draw on again.

    Returns
    -------
    Plate
        The figure.

    Examples
    --------
    >>> from virtlab.machine.walk.programs import attempt
    >>> draw_ride(attempt(bytes.fromhex("90 cd80"), ring=3)).alt[:27]
    'Which ring ran when, over 3'
    """

    def draw(figure: Plate) -> None:
        figure.margins(left=80, right=20, top=80 if figure.narrow else 62, bottom=64)
        axes = figure.subplots()
        rings = sorted({ring for _, _, ring in ride.stretches()})
        for ring in rings:
            spans = [(a, b - a) for a, b, one in ride.stretches() if one == ring]
            axes.broken_barh(spans, (ring - 0.25, 0.5), color=_SIGNS[ring].colour)
        kinds = list(dict.fromkeys(e.how for e in ride.events if e.how != "iret"))
        for row, how in enumerate(kinds):
            at = [event.number for event in ride.events if event.how == how]
            axes.plot(
                at,
                [-1.1 - row] * len(at),
                _MARKERS[row % 4],
                color=HARDWARE.colour,
                ms=8,
                clip_on=False,
            )
        axes.set_ylim(-1.6 - max(0, len(kinds) - 1), max(rings) + 0.6)
        axes.set_xlim(0, ride.last)
        ticks = {float(ring): f"ring {ring}" for ring in rings}
        ticks |= {-1.1 - row: how for row, how in enumerate(kinds)}
        axes.set_yticks(list(ticks), list(ticks.values()))
        axes.locator_params(axis="x", nbins=3 if figure.narrow else 7)
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.set_xlabel("steps")
        style.finish(axes, title or _shares(ride), _ride_alt(ride), slide="S17")

    return style.draw_on(figure, draw)


_MARKERS = ("v", "s", "o", "D")


def _shares(ride: Ride) -> str:
    told = ride.summary()
    part = 100 * int(told["steps_at_ring_0"]) / max(1, ride.last)
    return f"Ring 0 does {part:.0f} % of the steps"


def _ride_alt(ride: Ride) -> str:
    told = ride.summary()
    rings = ", ".join(
        f"ring {ring} {int(told[f'steps_at_ring_{ring}']):,}"
        for ring in range(4)
        if told[f"steps_at_ring_{ring}"]
    )
    return f"Which ring ran when, over {ride.last:,} steps: {rings}. {ride.explain()}"
