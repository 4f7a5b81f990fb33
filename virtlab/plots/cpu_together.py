"""Figures of virtual processors that run together (S21): slot by slot, by both rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.collections import PolyCollection
from matplotlib.lines import Line2D

from virtlab.plots import style
from virtlab.plots.palette import HARDWARE, vm_mark

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from virtlab.plots.style import Plate
    from virtlab.resources.cpu import CoRules, CoRun

    Box = list[tuple[float, float]]

__all__ = ["draw_together"]

_SLOTS, _SLOTS_NARROW = 24, 12
_IDLE = "#EFEFEF"
_SMALL = 10.1  # points: 14 pixels
_BETWEEN_PX = 74  # between the two rules: numbers of slots, and a heading


def draw_together(rules: CoRules, figure: Plate | None = None) -> Plate:
    """Draw which VM has how many processors in each slot, under both rules.

    Parameters
    ----------
    rules
        What `compare_rules` returned; its first slots are drawn.
    figure
        The figure to draw on again.

    Returns
    -------
    Plate
        The figure.

    Examples
    --------
    >>> from virtlab.resources.cpu import Smp, compare_rules
    >>> draw_together(compare_rules([Smp("four", 4), Smp("two", 2)])).alt[:79]
    'Processors of 4 that run in each slot. Strict: four 4, 0, 4, 0, 4, 0, 4, 0; two'
    """

    def draw(plate: Plate) -> None:
        if plate.narrow:
            plate.margins(left=52, right=12, top=124)
        else:
            plate.margins(left=70, right=24, top=100)
        axes = plate.subplots()  # one for both: making axes is what takes the time
        axes.set_axis_off()
        cpus, runs = rules.strict.cpus, (rules.strict, rules.relaxed)
        slots = min(_SLOTS_NARROW if plate.narrow else _SLOTS, len(rules.strict.ran))
        high = plate.subplotpars.top - plate.subplotpars.bottom
        room = high * plate.get_figheight() * 100
        below = cpus + _BETWEEN_PX * 2 * cpus / (room - _BETWEEN_PX)
        axes.set(xlim=(0.5, slots + 0.5), ylim=(below + cpus - 0.5, -0.5))
        _boxes(axes, runs, slots, (0.0, below))
        for top, run in zip((0.0, below), runs, strict=True):
            _numbers(axes, slots, cpus, top)
            _head(axes, run, top, narrow=plate.narrow)
        axes.annotate(
            "slot (one quantum each)", (0.5, 0), xytext=(0, -20), xycoords="axes fraction",
            textcoords="offset points", ha="center", va="top",
        )  # fmt: skip
        style.finish(axes, _finding(rules), _alt(rules), "S21")

    return style.draw_on(figure, draw)


def _boxes(axes: Axes, runs: Sequence[CoRun], slots: int, tops: Sequence[float]) -> None:
    """Draw a box for each processor in each slot, by its VM; the last collection is who idles."""
    nobody = len(runs[0].vms)
    boxes: list[list[Box]] = [[] for _ in range(nobody + 1)]
    for run, top in zip(runs, tops, strict=True):
        for slot, row in enumerate(run.ran[:slots].tolist()):
            owners = [vm for vm, count in enumerate(row) for _ in range(count)]
            owners += [nobody] * (run.cpus - len(owners))
            for cpu, vm in enumerate(owners):
                left, low = slot + 0.54, top + cpu - 0.44
                right, high = left + 0.92, low + 0.88
                boxes[vm].append([(left, low), (right, low), (right, high), (left, high)])
    for vm, mine in enumerate(boxes[:-1]):
        mark = vm_mark(vm)
        axes.add_collection(PolyCollection(mine, facecolor=mark.colour, lw=0), autolim=False)
        middles = [(box[0][0] + 0.46, box[0][1] + 0.44) for box in mine]
        if middles:  # the second sign: markers are drawn faster than hatches
            x, y = zip(*middles, strict=True)
            signs = Line2D(x, y, marker=mark.marker, color="white", markersize=6, lw=0)
            axes.add_artist(signs)
    idle = PolyCollection(
        boxes[-1], facecolor=_IDLE, edgecolor=HARDWARE.colour, lw=0.8, linestyle=":"
    )
    axes.add_collection(idle, autolim=False)


def _numbers(axes: Axes, slots: int, cpus: int, top: float) -> None:
    """Write the numbers of slots and processors; as plain texts, for ticks take time."""
    for slot in range(1, slots + 1, 3):
        axes.text(slot, top + cpus - 0.42, str(slot), ha="center", va="top", size=_SMALL)
    for cpu in range(cpus):
        axes.text(0.35, top + cpu, str(cpu), ha="right", va="center", size=_SMALL)
    axes.annotate(
        "processor", (0.5, top + cpus / 2 - 0.5), xytext=(-26, 0), textcoords="offset points",
        rotation=90, ha="right", va="center",
    )  # fmt: skip


def _head(axes: Axes, run: CoRun, top: float, *, narrow: bool) -> None:
    """Name the rule and what each VM gets, in its colour, in one line above the slots."""
    used = f"{run.utilization_percent:.3g}"
    mode = f"{run.mode} {used}%" if narrow else f"{run.mode}: {used} % used"
    at = axes.annotate(
        mode, (0.5, top - 0.5), xytext=(-28 if narrow else 0, 6), textcoords="offset points",
        weight="bold", va="bottom",
    )  # fmt: skip
    for vm, (smp, percent) in enumerate(zip(run.vms, run.percent, strict=True)):
        words = f"{smp.name} {percent:.0f}" if narrow else f"{smp.name} gets {percent:.0f} %"
        at = axes.annotate(
            words, (1, 0), xytext=(7 if narrow else 24, 0), xycoords=at,
            textcoords="offset points", color=_ink(vm), weight="bold", va="bottom",
        )  # fmt: skip


def _ink(vm: int) -> str:
    """Return a VM's colour, dark enough for words."""
    return {3: "#A0507F"}.get(vm, vm_mark(vm).colour)


def _finding(rules: CoRules) -> str:
    strict, relaxed = (run.utilization_percent for run in (rules.strict, rules.relaxed))
    if relaxed > strict + 0.05:
        lost, other = (f"{100 - used:.3g}\N{NO-BREAK SPACE}%" for used in (strict, relaxed))
        return f"Strict co-scheduling leaves {lost} of the processors idle, relaxed {other}"
    if strict > 99.95:
        return "Here both rules use all processors"
    return f"Both rules use {strict:.3g} % of the processors: there is no more work"


def _alt(rules: CoRules) -> str:
    parts = []
    for run in (rules.strict, rules.relaxed):
        rows = "; ".join(
            f"{vm.name} {', '.join(map(str, run.ran[:8, k].tolist()))}"
            for k, vm in enumerate(run.vms)
        )
        parts.append(f"{run.mode.capitalize()}: {rows}.")
    of = rules.strict.cpus
    return f"Processors of {of} that run in each slot. {' '.join(parts)} {rules.explain()}"
