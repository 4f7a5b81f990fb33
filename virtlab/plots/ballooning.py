"""Figures of a host's memory at one second (S23-S26, S28): where each VM's pages are.

A VM's memory is its colour, strong where it is in use and pale where it is idle; shared pages,
balloon and swap have the colours that they have everywhere. The host's state is four lights in a
row, as on a device: the one that is lit says its name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from matplotlib.patches import Circle, Rectangle

from virtlab.memory.states import State
from virtlab.plots import style
from virtlab.plots.palette import HARDWARE, HOST, OUTCOMES, PAGES, Mark, vm_mark
from virtlab.validate import integer

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from virtlab.memory.host.run import MemoryRun
    from virtlab.plots.style import Plate

    Floats = NDArray[np.float64]

__all__ = ["LIGHTS", "MOST", "draw_bars", "stand"]

LIGHTS: dict[State, Mark] = {
    State.HIGH: Mark(OUTCOMES["allowed"].colour, "o", "", "", "high"),
    State.SOFT: Mark(PAGES["ballooned"].colour, "o", "", "", "soft"),
    State.HARD: Mark(OUTCOMES["silently wrong"].colour, "o", "//", "", "hard"),
    State.LOW: Mark(HARDWARE.colour, "o", "xx", "", "low"),
}
"""The light of each state; its name always stands beside it."""

MOST = 8
_PALE = 0.45


class _Part(NamedTuple):
    """A part of each VM's bar."""

    name: str
    mib: Floats


def _parts(run: MemoryRun, second: int) -> list[_Part]:
    """Return the parts of the bars, from below; together they are what is configured."""
    now = {name: values[second].astype(np.float64) for name, values in run.of_vm.items()}
    size = np.array([vm.guest.size_mib for vm in run.scenario.vms]) * now["on"]
    shared = np.minimum(now["shared_mib"], now["allocated_mib"])
    own = now["allocated_mib"] - shared
    used = np.minimum(now["touched_mib"], own)
    rest = size - now["allocated_mib"] - now["ballooned_mib"] - now["swapped_mib"]
    return [
        _Part("in use", used),
        _Part("idle", own - used),
        _Part("shared", shared),
        _Part("untouched", np.maximum(rest, 0)),
        _Part("balloon", now["ballooned_mib"]),
        _Part("host swap", now["swapped_mib"]),
    ]


def draw_bars(run: MemoryRun, second: int = -1, figure: Plate | None = None) -> Plate:
    """Draw where each VM's memory is at one second, with its target and its minimum.

    Parameters
    ----------
    run
        A run of at most 8 VMs.
    second
        Which; the last if negative.
    figure
        The figure to draw on again.

    Returns
    -------
    Plate
        The figure.

    Examples
    --------
    >>> from virtlab.memory.guest import GuestSpec
    >>> from virtlab.memory.host.scenario import Scenario
    >>> from virtlab.memory.host.simulation import run
    >>> from virtlab.memory.host.spec import HostSpec
    >>> from virtlab.memory.host.vm import VmSpec
    >>> found = run(Scenario("one VM", 5, HostSpec(256), (VmSpec("VM1", GuestSpec(64)),)))
    >>> draw_bars(found).alt[:74]
    'Stacked bars of the memory of 1 VM after 4 s; the state is high, 166 MiB o'
    """
    integer("vms", len(run.names), minimum=1, maximum=MOST)
    at = second % run.seconds

    def draw(plate: Plate) -> None:
        plate.margins(
            left=66 if plate.narrow else 90,
            right=14 if plate.narrow else 190,
            top=150 if plate.narrow else 104,
            bottom=98 if plate.narrow else 52,
        )
        stand(plate.subplots(), run, at, plate)

    return style.draw_on(figure, draw)


def stand(axes: Axes, run: MemoryRun, at: int, plate: Plate) -> None:
    """Draw the bars on axes, with lights, key, title and alt text on their plate.

    Parameters
    ----------
    axes
        Axes on a plate of wide margins.
    run
        A run.
    at
        The second.
    plate
        The plate.

    Examples
    --------
    >>> from virtlab.memory.experiments.reallocation import scenario
    >>> from virtlab.memory.host.simulation import run
    >>> from dataclasses import replace
    >>> figure = style.plate()
    >>> stand(figure.subplots(), run(replace(scenario(), seconds=3)), 2, figure)
    >>> figure.alt[:40]
    'Stacked bars of the memory of 4 VMs afte'
    """
    parts = _parts(run, at)
    size = max(vm.guest.size_mib for vm in run.scenario.vms)
    top = 1.12 * size
    px = axes.get_window_extent().height / top  # of one MiB
    for i in range(len(run.names)):
        _stack(axes, i, [float(part.mib[i]) for part in parts], 16 / px)
        if run.of_vm["on"][at, i]:
            low = float(run.scenario.vms[i].min_mib)
            _bounds(axes, i, float(run.of_vm["target_mib"][at, i]), low, 6 / px)
    axes.set(xlim=(-0.6, len(run.names) - 0.4), ylim=(0, top), ylabel="MiB")
    axes.set_xticks(range(len(run.names)), run.names)
    axes.set_yticks([0, size / 2, size])  # few: each tick costs a slider a millisecond
    axes.tick_params(axis="x", length=0)
    _key(plate, parts)
    _lights(plate, State(int(run.of_host["state"][at])))
    style.finish(axes, _bars_title(run, at), _bars_alt(run, at, parts), slide="S24-S26")


def _look(name: str, vm: Mark) -> dict[str, Any]:
    """Return how a part of a bar looks."""
    looks: dict[str, dict[str, Any]] = {
        "in use": {"facecolor": vm.colour, "hatch": vm.hatch},
        "idle": {"facecolor": vm.colour, "alpha": _PALE},
        "shared": {"facecolor": PAGES["shared"].colour, "hatch": "--"},
        "untouched": {"facecolor": PAGES["free"].colour, "alpha": 0.5},
        "balloon": {"facecolor": PAGES["ballooned"].colour, "edgecolor": HARDWARE.colour},
        "host swap": {"facecolor": PAGES["swapped"].colour, "hatch": "//"},
    }
    return {"edgecolor": "white", "lw": 1.0, **looks[name]}


_NAMES = ("in use", "idle", "shared", "untouched", "balloon", "host swap")


def _stack(axes: Axes, i: int, amounts: list[float], least: float) -> None:
    bottom = 0.0
    for name, amount in zip(_NAMES, amounts, strict=True):
        if amount > 0.2:
            look = _look(name, vm_mark(i))
            axes.add_patch(Rectangle((i - 0.31, bottom), 0.62, amount, **look))
        if name in ("balloon", "host swap") and amount > least:
            ink = HARDWARE.colour if name == "balloon" else "white"
            box = {"facecolor": "#333333", "edgecolor": "none", "pad": 1.0}
            shown = f"{amount:.0f}"
            axes.text(
                i,
                bottom + amount / 2,
                shown,
                ha="center",
                va="center",
                color=ink,
                bbox=box if name == "host swap" else None,
            )
        bottom += amount


def _bounds(axes: Axes, i: int, target: float, low: float, hook: float) -> None:
    """Draw the target as a line with arrows, and the minimum as a bracket."""
    left, right = i - 0.4, i + 0.4
    axes.plot([left, right], [target, target], color=HARDWARE.colour, lw=2.5, zorder=4)
    axes.plot([left], [target], ">", color=HARDWARE.colour, ms=9, zorder=4)
    if low > 0:
        xs = [left, left, right, right]
        axes.plot(xs, [low + hook, low, low, low + hook], color=HARDWARE.colour, lw=1.8, zorder=4)


def _key(plate: Plate, parts: list[_Part]) -> None:
    """Name the parts at the right, or under the axes on a phone; they keep their places."""
    rows = [*(part.name for part in parts), "target", "minimum"]
    height = plate.get_figheight() * 100
    for place, name in enumerate(rows):
        x, y = plate.width_px - 172.0, height - 150 - 34 * place
        if plate.narrow:
            x, y = 14.0 + place % 3 * 122, 54.0 - 22 * (place // 3)
        _sample(plate, name, (x / plate.width_px, y / height))
        size = 10.1 if plate.narrow else 10.8
        at = ((x + (20 if plate.narrow else 30)) / plate.width_px, (y + 6) / height)
        plate.text(*at, name, va="center", fontsize=size)


def _sample(plate: Plate, name: str, at: tuple[float, float]) -> None:
    """Draw a small sample of a part."""
    height = plate.get_figheight() * 100
    wide, tall = (15 if plate.narrow else 22) / plate.width_px, 13 / height
    if name in _NAMES:
        look = _look(name, HOST)
        plate.add_artist(Rectangle(at, wide, tall, transform=plate.transFigure, **look))
        return
    thick, y = (tall / 5, at[1] + tall / 2.5) if name == "target" else (tall / 8, at[1])
    bar = Rectangle((at[0], y), wide, thick, color=HARDWARE.colour, transform=plate.transFigure)
    plate.add_artist(bar)
    if name == "minimum":
        for x in (at[0], at[0] + wide - 1.5 / plate.width_px):
            side = (x, at[1])
            plate.add_artist(
                Rectangle(
                    side,
                    1.5 / plate.width_px,
                    tall * 0.6,
                    color=HARDWARE.colour,
                    transform=plate.transFigure,
                )
            )


def _lights(plate: Plate, state: State) -> None:
    """Draw the four lights in a row; the lit one is filled, and its name is bold."""
    height = plate.get_figheight() * 100
    step = 84 if plate.narrow else 100
    y = height - (112 if plate.narrow else 80)
    left = 26 if plate.narrow else 102
    for place, (one, mark) in enumerate(LIGHTS.items()):
        x, lit = left + place * step, one is state
        plate.add_artist(
            Circle(
                (x, y),
                10,
                transform=_pixels(plate),
                facecolor=mark.colour if lit else "white",
                edgecolor=HARDWARE.colour,
                lw=1.4,
                hatch=mark.hatch if lit else "",
            )
        )
        words = plate.text((x + 16) / plate.width_px, y / height, mark.label, va="center")
        words.set_fontsize(10.8)
        words.set_fontweight("bold" if lit else "normal")
        words.set_color(HARDWARE.colour if lit else "#6B6B6B")


def _pixels(plate: Plate) -> object:
    """Return a transform from layout pixels, so that a circle is one at every size."""
    from matplotlib.transforms import Affine2D

    return Affine2D().scale(1 / 100) + plate.dpi_scale_trans


def _bars_title(run: MemoryRun, at: int) -> str:
    state = State(int(run.of_host["state"][at]))
    balloon = float(run.of_vm["ballooned_mib"][at].sum())
    swapped = float(run.of_vm["swapped_mib"][at].sum())
    if balloon + swapped < 1:
        return f"After {at} s: memory is enough, each VM has what it asks for"
    taken = f"balloons hold {balloon:.0f} MiB"
    more = f", the host's swap {swapped:.0f}" if swapped >= 1 else ""
    return f"After {at} s: {taken}{more}; the state is {state.label}"


def _bars_alt(run: MemoryRun, at: int, parts: list[_Part]) -> str:
    state = State(int(run.of_host["state"][at]))
    count = "1 VM" if len(run.names) == 1 else f"{len(run.names)} VMs"
    head = (
        f"Stacked bars of the memory of {count} after {at} s; the state is {state.label}, "
        f"{run.of_host['free_mib'][at]:.0f} MiB of the host are free."
    )
    rows = []
    for i, name in enumerate(run.names):
        if not run.of_vm["on"][at, i]:
            rows.append(f"{name} is off.")
            continue
        some = [f"{part.mib[i]:.0f} {part.name}" for part in parts if part.mib[i] >= 1]
        target = run.of_vm["target_mib"][at, i]
        rows.append(f"{name}: {', '.join(some)}; target {target:.0f}.")
    return f"{head} {' '.join(rows)}"
