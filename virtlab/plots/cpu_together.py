"""Figures of virtual processors that run together (S21): slot by slot, by both rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.collections import PolyCollection

from virtlab.plots import style
from virtlab.plots.palette import HARDWARE, vm_mark

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from virtlab.plots.style import Plate
    from virtlab.resources.cpu import CoRules, CoRun

    Box = list[tuple[float, float]]

__all__ = ["draw_together"]

_SLOTS, _SLOTS_NARROW = 24, 12
_IDLE = "#EFEFEF"
_SMALL = 10.1  # points: 14 pixels


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
        grid = plate.add_gridspec(2, 1, hspace=0.62 if plate.narrow else 0.5)
        panels = [plate.add_subplot(grid[row]) for row in (0, 1)]
        if plate.narrow:
            plate.margins(left=52, right=12, top=124)
        else:
            plate.margins(left=70, right=24, top=100)
        for axes, run in zip(panels, (rules.strict, rules.relaxed), strict=True):
            _slots(axes, run, _SLOTS_NARROW if plate.narrow else _SLOTS)
            _head(axes, run, narrow=plate.narrow)
        panels[1].annotate(
            "slot (one quantum each)", (0.5, 0), xytext=(0, -20), xycoords="axes fraction",
            textcoords="offset points", ha="center", va="top",
        )  # fmt: skip
        style.finish(panels[0], _finding(rules), _alt(rules), "S21")

    return style.draw_on(figure, draw)


def _slots(axes: Axes, run: CoRun, slots: int) -> None:
    """Draw a box for each processor in each slot; who has it, or nobody."""
    boxes: list[list[Box]] = [[] for _ in run.vms]
    idle: list[Box] = []
    for slot, row in enumerate(run.ran[:slots].tolist()):
        owners = [vm for vm, count in enumerate(row) for _ in range(count)]
        for cpu in range(run.cpus):
            left, low = slot + 0.54, cpu - 0.44
            box = [(left, low), (left + 0.92, low), (left + 0.92, low + 0.88), (left, low + 0.88)]
            if cpu < len(owners):
                boxes[owners[cpu]].append(box)
            else:
                idle.append(box)
    for vm, mine in enumerate(boxes):
        mark = vm_mark(vm)
        axes.add_collection(PolyCollection(mine, facecolor=mark.colour, lw=0))
        middles = [(box[0][0] + 0.46, box[0][1] + 0.44) for box in mine]
        if middles:  # the second sign: markers are drawn faster than hatches
            axes.plot(*zip(*middles, strict=True), mark.marker, color="white", ms=6, lw=0)
    axes.add_collection(
        PolyCollection(idle, facecolor=_IDLE, edgecolor=HARDWARE.colour, lw=0.8, ls=":")
    )
    shown = min(slots, len(run.ran))
    axes.set_xlim(0.5, shown + 0.5)
    axes.set_ylim(run.cpus - 0.5, -0.5)
    _numbers(axes, shown, run.cpus)


def _numbers(axes: Axes, slots: int, cpus: int) -> None:
    """Write the numbers of slots and processors; as plain texts, for ticks take time."""
    axes.set_axis_off()
    for slot in range(1, slots + 1, 3):
        axes.text(slot, cpus - 0.38, str(slot), ha="center", va="top", size=_SMALL)
    for cpu in range(cpus):
        axes.text(0.35, cpu, str(cpu), ha="right", va="center", size=_SMALL)
    axes.annotate(
        "processor", (0, 0.5), xytext=(-26, 0), xycoords="axes fraction",
        textcoords="offset points", rotation=90, ha="right", va="center",
    )  # fmt: skip


def _head(axes: Axes, run: CoRun, *, narrow: bool) -> None:
    """Name the rule and what each VM gets, in its colour, in one line above the slots."""
    used = f"{run.utilization_percent:.3g}"
    mode = f"{run.mode} {used}%" if narrow else f"{run.mode}: {used} % used"
    at = axes.annotate(
        mode, (0, 1), xytext=(-28 if narrow else 0, 6), xycoords="axes fraction",
        textcoords="offset points", weight="bold", va="bottom",
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
