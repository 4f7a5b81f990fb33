"""Figures of a host's memory (S23): what it is needed for, against what the host has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from virtlab.plots import style
from virtlab.plots.palette import HARDWARE, HOST, PAGES, Mark, vm_mark

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from virtlab.memory.admission import Admission
    from virtlab.plots.style import Plate

__all__ = ["draw_admission"]

_MOST_VMS = 6  # more are one block
_LACKS = Mark("white")
_MANY = Mark(PAGES["used"].colour)
_PAPER = {"facecolor": "white", "edgecolor": "none", "pad": 1.5, "alpha": 0.9}
_PARTS = {
    "VMkernel": Mark(HARDWARE.colour),
    "Service Console": Mark(HOST.colour, hatch="++"),
    "overhead": Mark("#8C8C8C", hatch=".."),
    "kept free": Mark(PAGES["free"].colour),
}


class _Block(NamedTuple):
    """A part of both bars: its name, its look, and its height in each."""

    name: str
    mark: Mark
    talk: float
    guide: float


def draw_admission(result: Admission, figure: Plate | None = None) -> Plate:
    """Draw what is reserved for VMs to start, and what both sums add up to, against the memory.

    Parameters
    ----------
    result
        What `admit` returned.
    figure
        The figure to draw on again.

    Returns
    -------
    Plate
        The figure.

    Examples
    --------
    >>> from virtlab.memory.admission import VmMemory, admit
    >>> vms = [VmMemory(f"VM{i}", 512, 512, vcpus=2) for i in (1, 2, 3)]
    >>> print(draw_admission(admit(vms, host_mib=2048)).alt)
    Three stacked bars against a line at the host's 2048 MB. To start, minimum and overhead are \
reserved: VM1 576, VM2 576, VM3 576: 1944 MB with the host's own. The talk's way: VMkernel 24, \
Service Console 192, overhead 192, kept free 92.2, VM1 512, VM2 512, VM3 512: 2036.2 MB. The \
guide's way: the same but for kept free 103.7: 2047.7 MB.
    """

    def draw(figure: Plate) -> None:
        figure.margins(
            left=62 if figure.narrow else 90,
            right=108 if figure.narrow else 230,
            top=92 if figure.narrow else 70,
            bottom=48,
        )
        axes = figure.subplots()
        blocks = _blocks(result)
        reserved = _reserved(result)
        most = sum(part.talk for part in reserved)
        top = 1.12 * max(result.talk_mib, result.guide_mib, result.host_mib, most)
        px = (figure.bbox.height - (140 if figure.narrow else 118)) / top  # of one MB
        _stack(axes, blocks, px)
        _start(axes, reserved, px)
        _names(axes, blocks, figure, px)
        axes.axhline(result.host_mib, color=HARDWARE.colour, lw=2.5, ls=(0, (5, 2)), zorder=4)
        axes.annotate(
            f"the host: {result.host_mib:g} MB",
            (-1.42, result.host_mib),
            xytext=(0, 5),
            textcoords="offset points",
            weight="bold",
            bbox=_PAPER,
            zorder=5,
        )
        axes.set_xticks([-1, 0, 1], _ways(result, narrow=figure.narrow))
        axes.tick_params(axis="x", length=0)
        axes.set(ylim=(0, top), xlim=(-1.45, 1.45))
        axes.set_ylabel("" if figure.narrow else "memory, MB")
        style.finish(axes, _title(result), _alt(result, blocks), slide="S23")

    return style.draw_on(figure, draw)


def _blocks(result: Admission) -> list[_Block]:
    """Return the parts of both bars, from below."""
    parts = result.parts_mib
    blocks = [_Block(name, mark, *parts[name]) for name, mark in _PARTS.items()]
    if len(result.vms) <= _MOST_VMS:
        return blocks + [
            _Block(vm.name, vm_mark(i), vm.max_mib, vm.max_mib) for i, vm in enumerate(result.vms)
        ]
    return [*blocks, _Block(f"{len(result.vms)} VMs", _MANY, *parts["VMs"])]


def _reserved(result: Admission) -> list[_Block]:
    """Return what is reserved when VMs start, from below, and what refused ones ask for."""
    parts = result.parts_mib
    own = [_Block(name, _PARTS[name], *parts[name]) for name in ("VMkernel", "Service Console")]
    rows = list(zip(result.vms, result.admitted, strict=True))
    needs = [(vm.min_mib + vm.overhead_mib, bool(starts)) for vm, starts in rows]
    if len(rows) > _MOST_VMS:
        starts, lacks = (
            sum(need for need, fits in needs if fits is want) for want in (True, False)
        )
        return [*own, _Block("start", _MANY, starts, starts), _Block("refused", _LACKS, lacks, 0)]
    vms = [
        _Block(rows[i][0].name, vm_mark(i) if fits else _LACKS, need, need if fits else 0)
        for i, (need, fits) in enumerate(needs)
    ]
    return own + [block for block in vms if block.guide] + [b for b in vms if not b.guide]


def _start(axes: Axes, reserved: list[_Block], px: float) -> None:
    """Draw what is reserved as a bar of its own; who is refused stands on it, dashed."""
    base = 0.0
    for block in reserved:
        refused = block.mark is _LACKS
        look: dict[str, Any] = {"hatch": block.mark.hatch, "edgecolor": "white", "lw": 0.6}
        if refused:
            look = {"edgecolor": HARDWARE.colour, "ls": (0, (3, 2)), "lw": 1.6}
        if block.talk:
            axes.bar([-1], [block.talk], 0.7, bottom=base, color=block.mark.colour, **look)
        if block.talk * px >= 18:
            words = block.name if refused else f"{block.talk:.4g}"
            y = base + block.talk - 10 / px if refused else base + block.talk / 2
            axes.text(-1, y, words, ha="center", va="center", bbox=_PAPER)
        base += block.talk


def _stack(axes: Axes, blocks: list[_Block], px: float) -> None:
    """Draw both bars, with the amount in each block that has room for it."""
    base = np.zeros(2)
    for block in blocks:
        heights = np.array([block.talk, block.guide])
        axes.bar(
            [0, 1],
            heights,
            0.7,
            bottom=base,
            color=block.mark.colour,
            hatch=block.mark.hatch,
            edgecolor="white",
            lw=0.6,
        )
        for x, low, height in zip((0, 1), base, heights, strict=True):
            if block.talk == block.guide and height * px >= 18:  # else it stands beside the bars
                axes.text(
                    x, low + height / 2, f"{height:.4g}", ha="center", va="center", bbox=_PAPER
                )
        base += heights


def _names(axes: Axes, blocks: list[_Block], figure: Plate, px: float) -> None:
    """Name the blocks beside the second bar, as far apart as words need."""
    tops = np.cumsum([block.guide for block in blocks])
    middles = tops - np.array([block.guide for block in blocks]) / 2
    places, lowest = [], -np.inf
    for middle in middles:
        lowest = max(middle, lowest + 19 / px)
        places.append(lowest)
    for block, middle, place in zip(blocks, middles, places, strict=True):
        axes.annotate(
            _name(block, narrow=figure.narrow, inside=block.guide * px >= 18),
            (1.35, middle),
            xytext=(1.5, place),
            ha="left",
            va="center",
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": HOST.colour, "lw": 1, "shrinkB": 0},
        )


def _name(block: _Block, *, narrow: bool, inside: bool) -> str:
    """Return a block's name, with the amounts that are not written inside, or that differ."""
    name = {"Service Console": "console", "kept free": "free"}.get(block.name, block.name)
    name = name if narrow else block.name
    if block.talk != block.guide:
        return f"{name} {block.talk:.3g}{'/' if narrow else ' or '}{block.guide:.3g}"
    return name if inside else f"{name} {block.talk:.4g}"


def _ways(result: Admission, *, narrow: bool) -> list[str]:
    """Return what stands under the bars."""
    own = sum(result.parts_mib[name][0] for name in ("VMkernel", "Service Console"))
    held = own + float(result.summary()["reserved_ram_mib"])
    sums = (("talk", result.talk_mib), ("guide", result.guide_mib))
    first = f"to start\n{held:.4g}" if narrow else f"to start: {held:.5g} MB"
    return [first] + [
        f"{way}\n{need:.1f}" if narrow else f"the {way}: {need:.1f} MB" for way, need in sums
    ]


def _title(result: Admission) -> str:
    """Say who is refused, or what is left, or lacks, by both ways."""
    refused = [vm.name for vm, fits in zip(result.vms, result.admitted, strict=True) if not fits]
    if refused:
        who = refused[0] if len(refused) == 1 else f"{len(refused)} VMs"
        return f"{len(result.vms) - len(refused)} of {len(result.vms)} VMs start; {who} can't"
    left = [result.host_mib - need for need in (result.talk_mib, result.guide_mib)]
    sizes = [f"{abs(rest):.3g}" if abs(rest) < 999.5 else f"{abs(rest):,.0f}" for rest in left]
    verbs = ["leaves" if rest >= 0 else "lacks" for rest in left]
    says = [f"{verb} {size} MB" for verb, size in zip(verbs, sizes, strict=True)]
    return f"The talk's sum {says[0]}, the guide's {says[1]}"


def _alt(result: Admission, blocks: list[_Block]) -> str:
    """Say in words what the figure shows."""
    parts = ", ".join(f"{block.name} {round(block.talk, 1):g}" for block in blocks)
    free = next(block for block in blocks if block.name == "kept free")
    own = sum(result.parts_mib[name][0] for name in ("VMkernel", "Service Console"))
    needs = [(vm, vm.min_mib + vm.overhead_mib) for vm in result.vms]
    starts = zip(needs, result.admitted, strict=True)
    held = ", ".join(
        f"{vm.name} {need:g}" + ("" if fits else " (refused)") for (vm, need), fits in starts
    )
    total = own + float(result.summary()["reserved_ram_mib"])
    return (
        f"Three stacked bars against a line at the host's {result.host_mib:g} MB. To start, "
        f"minimum and overhead are reserved: {held}: {total:g} MB with the host's own. The "
        "talk's way: "
        f"{parts}: {result.talk_mib:.1f} MB. The guide's way: the same but for kept free "
        f"{round(free.guide, 1):g}: {result.guide_mib:.1f} MB."
    )
