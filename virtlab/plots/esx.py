"""Figures of a request (S15, S16): its way through the layers, and what each disk costs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matplotlib.patches import FancyArrowPatch

from virtlab.machine.esx.acts import LAYERS
from virtlab.plots import style
from virtlab.plots.esx_layers import pixels
from virtlab.plots.look import PX
from virtlab.plots.palette import HARDWARE, HOST, OUTCOMES, VMS
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from virtlab.machine.esx.arrows import Arrow
    from virtlab.machine.esx.trace import RequestTrace
    from virtlab.plots.style import Plate

__all__ = [
    "COLOURS",
    "SHORT",
    "draw_costs",
    "draw_sequence",
    "headline",
    "label",
    "lanes_of",
    "time_words",
]

COLOURS = {
    "program": VMS[0].colour,
    "kernel": VMS[0].colour,
    "vmm": VMS[0].colour,
    "vmkernel": HOST.colour,
    "hardware": HARDWARE.colour,
}
_TRAP = OUTCOMES["traps"]
SHORT = {"program": "prog", "kernel": "kern", "vmm": "vmm", "vmkernel": "VMk", "hardware": "HW"}
_WAYS = {"native": "no layers", "ata": "ATA disk", "own": "own disk"}
_PAPER = "#6B6B6B"


def time_words(us: float) -> str:
    """Write a time as one says it.

    Parameters
    ----------
    us
        Microseconds.

    Returns
    -------
    str
        A number with its unit; a dash for what takes no time of its own.

    Examples
    --------
    >>> time_words(0.534), time_words(16_853.8), time_words(0.003)
    ('0.5 µs', '16.9 ms', '–')
    """
    if us < 0.05:
        return "\N{EN DASH}"
    return f"{us / 1000:.1f} ms" if us >= 1000 else f"{us:.1f} µs"


def label(arrow: Arrow, *, narrow: bool = False) -> str:
    """Say an arrow in a few words.

    Parameters
    ----------
    arrow
        Of a trace.
    narrow
        Whether there is room for hardly any.

    Returns
    -------
    str
        Such as 'out 0x1f2 to 0x1f7, 6 times'.

    Examples
    --------
    >>> from virtlab.machine.esx.request import trace_request
    >>> arrows = trace_request().arrows
    >>> label(arrows[2]), label(arrows[2], narrow=True)
    ('out 0x1f2 to 0x1f7, 6 times', 'out × 6')
    """
    times = f", {arrow.times} times" if arrow.times > 1 + arrow.what.count(" and ") else ""
    if narrow:
        if arrow.kind == "port":
            return f"{arrow.verb} × {arrow.times}" if arrow.times > 1 else arrow.what
        few = {
            "reflect": "gate 0x80",
            "queue": "queue",
            "complete": arrow.what,
            "service": "busy",
        }
        short = arrow.what.removeprefix("interrupt ").removeprefix("the disk ")
        return few.get(arrow.kind, short.replace(" sectors", "").replace(" sector", ""))
    said = {
        "port": f"{arrow.what}{times}",
        "reflect": "gate 0x80 of the guest",
        "queue": arrow.what.split(";")[0],
        "service": "the disk works",
        "inject": f"{arrow.what}, injected" if arrow.source == "vmm" else arrow.what,
    }
    return said.get(arrow.kind, arrow.what)


def headline(trace: RequestTrace) -> str:
    """Say what a trace shows, as a title.

    Parameters
    ----------
    trace
        The trace.

    Returns
    -------
    str
        A finding.

    Examples
    --------
    >>> from virtlab.machine.esx.request import RequestSetup, trace_request
    >>> headline(trace_request(RequestSetup("own")))
    '9 traps bring 512 bytes; 99.95 % of the time is the disk'
    """
    parts = trace.parts_us(len(trace.acts))
    if trace.setup.layers == "native":
        return f"No layers: the driver talks to the disk, and gets {trace.bytes:,} bytes"
    if parts["queue"] > parts["disk"]:
        return f"{trace.traps} traps bring {trace.bytes:,} bytes; most of the time is the queue"
    part = f"{100 * parts['disk'] / trace.us:.4g}"
    return f"{trace.traps} traps bring {trace.bytes:,} bytes; {part} % of the time is the disk"


def draw_sequence(
    trace: RequestTrace, number: int | None = None, figure: Plate | None = None
) -> Plate:
    """Draw a request's way: a lane for each layer, time goes down, not to scale.

    Parameters
    ----------
    trace
        The request.
    number
        How many of its arrows; all, if not given.
    figure
        The figure to draw on again.

    Returns
    -------
    Plate
        The figure.

    Examples
    --------
    >>> from virtlab.machine.esx.request import RequestSetup, trace_request
    >>> draw_sequence(trace_request(RequestSetup("own"))).alt[:53]
    'Sequence of 15 arrows between 5 layers. 1. program to'
    >>> _ = draw_sequence(trace_request(RequestSetup(sectors=4, vms=3)))
    >>> _ = draw_sequence(trace_request(RequestSetup("native")), 4)
    """
    shown = trace.arrows if number is None else trace.arrows[:number]

    def draw(figure: Plate) -> None:
        axes, width, height = pixels(figure)
        narrow = figure.narrow
        names = lanes_of(trace)
        left, step = (24.0, 40.0) if narrow else (74.0, 122.0)
        lanes = {key: left + k * step for k, key in enumerate(names)}
        top = 108.0 if narrow else 84.0
        row = min((height - top - 14) / len(trace.arrows), 34.0)
        for key, x in lanes.items():
            words = SHORT[key] if narrow else LAYERS[key]
            axes.text(x, top - 12, words, ha="center", va="bottom", fontsize=style.SMALL,
                      weight="bold", color=COLOURS[key])  # fmt: skip
            end = top + row * len(trace.arrows) + 4
            axes.plot([x, x], [top - 6, end], color="#C8C8C8", lw=1.2, zorder=0)
        if "vmm" in lanes and not narrow:
            axes.plot([width - 62], [top - 18], _TRAP.marker, color=_TRAP.colour, ms=8)
            axes.text(width - 14, top - 12, "traps", ha="right", va="bottom", fontsize=style.SMALL)
        for k, arrow in enumerate(shown):
            y = top + (k + 0.5) * row
            _draw_arrow(axes, arrow, lanes, y)
            beside = max(lanes.values()) + (46 if narrow else 64)
            said: dict[str, Any] = {"va": "center_baseline", "fontsize": style.SMALL}
            axes.text(beside - 8, y, str(arrow.number), ha="right", **said)
            axes.text(beside, y, label(arrow, narrow=narrow), **said)
            if not narrow:
                axes.text(width - 14, y, time_words(arrow.us), ha="right", va="center_baseline",
                          fontsize=style.SMALL, color=_PAPER)  # fmt: skip
        style.finish(axes, headline(trace), _sequence_alt(trace, shown), slide="S15")

    return style.draw_on(figure, draw)


def lanes_of(trace: RequestTrace) -> list[str]:
    """Return the layers that take part, from the program down.

    Parameters
    ----------
    trace
        Of a request.

    Returns
    -------
    list of str
        Keys of `LAYERS`.

    Examples
    --------
    >>> from virtlab.machine.esx.request import RequestSetup, trace_request
    >>> lanes_of(trace_request(RequestSetup("native")))
    ['program', 'kernel', 'hardware']
    """
    native = trace.setup.layers == "native"
    return ["program", "kernel", "hardware"] if native else list(LAYERS)


def _draw_arrow(axes: Axes, arrow: Arrow, lanes: dict[str, float], y: float) -> None:
    """Draw one arrow, or a bar where a layer works for itself."""
    first, last = lanes[arrow.source], lanes[arrow.target]
    colour = COLOURS[arrow.source]
    if arrow.source == arrow.target:
        axes.plot([first, first], [y - 8, y + 8], color=colour, lw=7, solid_capstyle="butt")
        return
    traps = arrow.target == "vmm" and arrow.source in ("program", "kernel")
    thick = 3.0 if arrow.times > 1 else 1.6
    axes.add_patch(
        FancyArrowPatch((first, y), (last, y), arrowstyle="-|>", mutation_scale=13, lw=thick,
                        color=colour, shrinkA=0, shrinkB=0)
    )  # fmt: skip
    if traps:
        axes.plot([first], [y], _TRAP.marker, color=_TRAP.colour, ms=8)


def _sequence_alt(trace: RequestTrace, shown: Sequence[Arrow]) -> str:
    """Say every arrow in words."""
    said = " ".join(
        f"{arrow.number}. {LAYERS[arrow.source]} to {LAYERS[arrow.target]}: {label(arrow)}, "
        f"{time_words(arrow.us)}."
        for arrow in shown
    )
    return (
        f"Sequence of {len(trace.arrows)} arrows between {len(lanes_of(trace))} layers. {said} "
        f"{trace.explain()}"
    )


def draw_costs(traces: Sequence[RequestTrace], figure: Plate | None = None) -> Plate:
    """Draw what the processor spends on a request, by what the guest sees for a disk.

    Parameters
    ----------
    traces
        To be compared, each a bar.
    figure
        The figure to draw on again.

    Returns
    -------
    Plate
        The figure.

    Examples
    --------
    >>> from virtlab.machine.esx.request import KINDS, RequestSetup, trace_request
    >>> draw_costs([trace_request(RequestSetup(kind)) for kind in KINDS]).alt[:61]
    'Bars of the processor time of one request. ATA disk, 512 byte'
    """
    if not traces:
        raise InvalidInputError("traces", list(traces), "at least one")

    def draw(figure: Plate) -> None:
        narrow = figure.narrow
        figure.margins(left=100 if narrow else 190, right=20 if narrow else 40, bottom=64,
                       top=112 if narrow else 72)  # fmt: skip
        axes = figure.subplots()
        busy = [_processor_us(trace) for trace in traces]
        for k, (trace, us) in enumerate(zip(traces, busy, strict=True)):
            colour = (HARDWARE if trace.setup.layers == "native" else VMS[0]).colour
            hatch = "//" if trace.setup.layers == "own" else ""
            axes.barh(k, us, color=colour, hatch=hatch, ec="white", height=0.55)
            said = f"{us:.1f} µs" + ("" if narrow else f", {trace.traps} traps")
            inside = us > 0.6 * max(busy)
            axes.text(us * (0.97 if inside else 1) + (0 if inside else max(busy) * 0.02), k, said,
                      ha="right" if inside else "left", va="center", fontsize=15 * PX,
                      bbox={"fc": "white", "ec": "none", "pad": 2.5})  # fmt: skip
        names = [f"{_WAYS[trace.setup.layers]}\n{trace.bytes:,} bytes" for trace in traces]
        axes.set_yticks(range(len(traces)), names)
        axes.invert_yaxis()
        axes.set_xlim(0, 1.08 * max(busy))
        axes.set_xlabel("processor time of a request, µs")
        axes.spines["left"].set_visible(False)
        axes.tick_params(left=False)
        style.finish(axes, _costs_title(traces, busy), _costs_alt(traces, busy), slide="S16")

    return style.draw_on(figure, draw)


def _processor_us(trace: RequestTrace) -> float:
    parts = trace.parts_us(len(trace.acts))
    return parts["traps and crossings"] + parts["guest's instructions"]


def _costs_title(traces: Sequence[RequestTrace], busy: Sequence[float]) -> str:
    """Say what the bars show."""
    us = {trace.setup.layers: one for trace, one in zip(traces, busy, strict=True)}
    if len(us) == len(traces) and {"ata", "own"} <= set(us):
        return f"A disk made for VMs: {us['ata'] / us['own']:.0f} times less work than ATA's"
    return f"From the least to the most work: {max(busy) / min(busy):.0f} times"


def _costs_alt(traces: Sequence[RequestTrace], busy: Sequence[float]) -> str:
    rows = "; ".join(
        f"{_WAYS[trace.setup.layers]}, {trace.bytes} bytes: {us:.1f} µs, {trace.traps} traps"
        for trace, us in zip(traces, busy, strict=True)
    )
    return f"Bars of the processor time of one request. {rows}."
