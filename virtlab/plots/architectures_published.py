"""The model of one packet held against the paper that measured it (S8): theirs and ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from virtlab.machine.architectures import held_against
from virtlab.plots import style
from virtlab.plots.palette import HARDWARE, HOST, PAGES, VMS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from virtlab.plots.style import Plate

__all__ = ["draw_published"]

_SHORT = {
    "Workstation 2.0, speed": "Workstation 2.0",
    "Workstation 2.0, idle": "Workstation 2.0",
    "ports in the monitor, idle": "+ ports in the monitor",
    "and sends combined, idle": "+ sends combined",
    "and interrupts notified, idle": "+ interrupts notified",
    "no virtual machine, idle": "no virtual machine",
    "Workstation 2.0 at 350 MHz, speed": "the same, 350 MHz",
    "all three at 350 MHz, speed": "all three, 350 MHz",
}
_FITTED = ("Workstation 2.0, speed", "Workstation 2.0, idle")


def draw_published(figure: Plate | None = None) -> Plate:
    """Draw what was measured as points, and what the model says as bars, with the difference.

    Parameters
    ----------
    figure
        The figure to draw on again.

    Returns
    -------
    Plate
        The figure.

    Examples
    --------
    >>> draw_published().alt[:30]
    'Two panels: bars are the model'
    """
    rows = held_against()
    panels = {unit: [row for row in rows if row[1] == unit] for unit in ("%", "Mb/s")}

    def draw(figure: Plate) -> None:
        narrow = figure.narrow
        counts = [len(panel) for panel in panels.values()]
        if narrow:
            figure.margins(left=10, right=12, top=70, bottom=56)
            places = figure.subplots(2, 1, height_ratios=counts)
            figure.subplots_adjust(hspace=0.42)
        else:
            figure.margins(left=200, right=20, top=70, bottom=62)
            places = figure.subplots(2, 1, height_ratios=counts)
            figure.subplots_adjust(hspace=0.55)
        labels = ("idle, percent of the time", "throughput, Mb/s")
        for axes, panel, label in zip(places, panels.values(), labels, strict=True):
            _panel(axes, panel, narrow=narrow)
            axes.set_xlabel(label)
        worst = max(abs(ours - theirs) for _, _, theirs, ours in panels["%"])
        title = f"Fewer world switches: predicted within {worst:.1f} points of idle time"
        words = "; ".join(f"{name}: {theirs:g}, ours {ours:.1f} {unit}"
                          for name, unit, theirs, ours in rows)  # fmt: skip
        alt = f"Two panels: bars are the model, diamonds the paper. {words}."
        style.finish(places[0], title, alt, slide="S8")

    return style.draw_on(figure, draw)


def _panel(axes: Axes, rows: list[tuple[str, str, float, float]], *, narrow: bool) -> None:
    for k, (name, _, theirs, ours) in enumerate(rows):
        y, high = (k + 0.2, 0.42) if narrow else (k, 0.56)
        axes.barh(y, ours, high, color=PAGES["shared"].colour, edgecolor=HARDWARE.colour, lw=0.8)
        axes.plot([theirs], [y], "D", color=VMS[1].colour, ms=9,
                  mec=HARDWARE.colour, clip_on=False, zorder=4)  # fmt: skip
        fitted = " (fitted)" if name in _FITTED else ""
        words = f"{theirs:.3g}, ours {ours:.1f}{fitted}"
        if narrow:
            axes.text(0, k - 0.22, f"{_SHORT[name]}: {words}", va="center", fontsize=style.SMALL)
        else:
            beside: Any = {"textcoords": "offset points", "va": "center", "color": HARDWARE.colour}
            axes.annotate(f"published {words}", (max(theirs, ours), k), (12, 0), **beside)
    axes.set(xlim=(0, 100 if narrow else 124), ylim=(len(rows) - 0.4, -0.6))
    axes.set_xticks(range(0, 101, 20))
    if narrow:
        axes.set_yticks([])
    else:
        axes.set_yticks(range(len(rows)), [_SHORT[row[0]] for row in rows])
        axes.tick_params(axis="y", length=0, pad=12)
    axes.spines["left"].set_color(HOST.colour)
