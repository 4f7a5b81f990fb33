"""Figures of the three architectures (S8-S10): layers, the way of one packet, and what it costs.

A box is a layer, in the colour of its world; a numbered disc is a step of one packet. Bars beside
them say how long each step takes. The band below says what the processor does all the time.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.collections import PolyCollection
from matplotlib.patches import Rectangle

from virtlab.machine.architectures import IoLoad, run_io
from virtlab.machine.io_paths import SENDS_IT
from virtlab.plots import style
from virtlab.plots.palette import HARDWARE, HOST, PAGES
from virtlab.plots.stacks import CARD, WORLDS, discs, layers, points

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

    from virtlab.machine.architectures import IoRun
    from virtlab.plots.style import Plate

__all__ = ["draw_architectures", "draw_io"]

_THREE = ("hosted", "system", "dedicated")
_MOST_STEPS = 7


def draw_architectures(figure: Plate | None = None) -> Plate:
    """Draw the talk's three architectures side by side, with the way of one packet.

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
    >>> draw_architectures().alt[:22]
    'Three stacks of layers'
    """
    runs = {key: run_io(IoLoad(key)) for key in _THREE}

    def draw(figure: Plate) -> None:
        narrow = figure.narrow
        if narrow:
            figure.margins(left=8, right=8, top=86, bottom=6)
            ratios = {"height_ratios": [5, 5, 7], "hspace": 0.36}
            places = figure.subplots(3, 1, gridspec_kw=ratios)
        else:
            figure.margins(left=24, right=24, top=104, bottom=98)
            places = figure.subplots(1, 3, gridspec_kw={"wspace": 0.1})
        for axes, (key, run) in zip(places, runs.items(), strict=True):
            height = len({layer.row for layer in run.architecture.layers}) if narrow else 4
            layers(axes, run.architecture, height, modes=False, tight=narrow)
            discs(axes, key, 14 if narrow else 18)
            _caption(axes, run, narrow=narrow)
        spared = runs["hosted"].path_us - runs["dedicated"].path_us
        title = (
            f"A dedicated kernel spares a packet {spared:.1f} of {runs['hosted'].path_us:.1f} µs"
        )
        style.finish(places[0], title, _alt_three(runs), slide="S8–S10")

    return style.draw_on(figure, draw)


def _caption(axes: Axes, run: IoRun, *, narrow: bool) -> None:
    """Write the architecture's name above its stack, and below it the time of the way."""
    one = run.architecture
    known = not math.isnan(run.path_us)
    time = f"{run.path_us:.1f} µs" if known else "not published"
    above: Any = {"transform": axes.transAxes, "va": "bottom", "clip_on": False}
    if narrow:
        axes.text(0, 1.02, f"{one.name}: {time}", weight="bold", **above)
        return
    axes.text(0, 1.02, f"{one.name} ({one.slide})\n", weight="bold", **above)
    axes.text(0, 1.02, one.examples, fontsize=style.SMALL, **above)
    left, total = 0.0, 31.63
    for step in run.path:
        if math.isnan(step.us):
            continue
        mark = WORLDS[step.world]
        axes.add_patch(
            Rectangle(
                (left / total, 0.1), step.us / total, 0.24, facecolor=mark.colour,
                hatch=mark.hatch, edgecolor=HARDWARE.colour, lw=0.8, clip_on=False,
            )
        )  # fmt: skip
        left += step.us
    words = f"{len(run.path)} steps, {time}"
    if not known:
        words += f" but for {left:.1f} µs"
    switches = sum(step.us for step in run.path if step.kind == "world switch")
    if switches:
        words += f",\n{switches:.1f} of them world switches"
    axes.text(0, 0.02, words, va="top", clip_on=False)


def _alt_three(runs: dict[str, IoRun]) -> str:
    rows = " ".join(
        f"{run.architecture.name} ({run.architecture.slide}): "
        + ", ".join(f"{k} {step.where}" for k, step in enumerate(run.path, 1))
        + (f"; {run.path_us:.2f} µs." if not math.isnan(run.path_us) else "; no published sum.")
        for run in runs.values()
    )
    return f"Three stacks of layers, and one packet's way through each, as numbered steps. {rows}"


def draw_io(run: IoRun, step: int | None = None, figure: Plate | None = None) -> Plate:
    """Draw one architecture: the way of a packet up to a step, each step's time, and the load.

    Parameters
    ----------
    run
        Packets through an architecture.
    step
        How far the packet has come, from 0; all the way if not given.
    figure
        The figure to draw on again.

    Returns
    -------
    Plate
        The figure.

    Examples
    --------
    >>> draw_io(run_io(IoLoad("hosted")), 2).alt[:36]
    'A stack of 5 layers, and step 2 of 7'
    """
    steps = len(run.path)
    return style.show_on(figure, _Io, (run, steps if step is None else min(step, steps)))


class _Io:
    """The stack and the way through it; a bar for each step; what the processor does."""

    def __init__(self, figure: Plate) -> None:
        self.figure = figure
        narrow = figure.narrow
        if narrow:
            figure.margins(left=10, right=14, top=64, bottom=48)
            grid = figure.add_gridspec(3, 1, height_ratios=[5, 5, 1], hspace=0.32)
            self.stack, self.bars, self.load = (figure.add_subplot(grid[k]) for k in range(3))
        else:
            figure.margins(left=20, right=26, top=70, bottom=60)
            grid = figure.add_gridspec(2, 2, width_ratios=[10, 11], height_ratios=[8, 1],
                                       wspace=0.05, hspace=0.28)  # fmt: skip
            self.stack = figure.add_subplot(grid[0, 0])
            self.bars = figure.add_subplot(grid[0, 1])
            self.load = figure.add_subplot(grid[1, :])
        self.still: object = None
        self.layers: list[tuple[object, list[Artist]]] = []
        self.key = ""
        self._make_bars(narrow=narrow)
        self._make_load()

    def _make_bars(self, *, narrow: bool) -> None:
        axes = self.bars
        axes.set_axis_off()
        self.column = 0.42 if narrow else 0.47  # the words' part of the width
        axes.set(xlim=(0, 1), ylim=(_MOST_STEPS + 0.1, -0.1))
        self.rectangles = PolyCollection([], edgecolor=HARDWARE.colour, lw=0.8)
        axes.add_collection(self.rectangles)
        self.hatched = PolyCollection([], facecolor="none", edgecolor=HARDWARE.colour, lw=0,
                                      hatch="///")  # fmt: skip
        axes.add_collection(self.hatched)
        beside: Any = {"va": "center"}
        self.words = [axes.text(0.02, k + 0.5, "", **beside) for k in range(_MOST_STEPS)]
        self.times = [axes.text(0, k + 0.5, "", **beside) for k in range(_MOST_STEPS)]

    def _make_load(self) -> None:
        axes = self.load
        axes.set(xlim=(0, 100), ylim=(0, 1), yticks=[])
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("the processor's time, percent")
        worlds = ("guest", "monitor", "switch", "host", "idle")
        self.spans = {
            world: PolyCollection(
                [], facecolor=WORLDS[world].colour, hatch=WORLDS[world].hatch,
                edgecolor=HARDWARE.colour, lw=0.8, alpha=1 if world in ("switch", "idle") else 0.55,
            )
            for world in worlds
        }  # fmt: skip
        for span in self.spans.values():
            axes.add_collection(span)
        box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 1.5}
        self.labels = {
            world: axes.text(0, 0.5, "", ha="center", va="center", bbox=box) for world in worlds
        }

    def show(self, result: tuple[IoRun, int]) -> None:
        """Draw what the result says, and light the way up to the step."""
        run, step = result
        key = run.load.architecture
        if key != self.key:
            self._new_stack(key, run)
        self._light(run, step)
        self._show_bars(run, step)
        self._show_load(run)
        self.still = key
        # The lowest layers change least: a step forward draws the way and the words anew.
        self.layers = [
            ((run.parts, run.packets_per_s), [*self.spans.values(), *self.labels.values()]),
            (run.path, [self.rectangles, self.hatched, *self.times]),
            (step, [*self.words, self.way, self.spot, *self.numbers]),
        ]
        style.finish(self.stack, _title(run), _alt(run, step), slide=run.architecture.slide)

    def _new_stack(self, key: str, run: IoRun) -> None:
        for old in (*self.stack.patches, *self.stack.texts, *self.stack.lines):
            old.remove()  # clear() would make ticks that no one sees
        height = 1 + max(layer.row for layer in run.architecture.layers)
        narrow = self.figure.narrow
        layers(self.stack, run.architecture, height, modes=not narrow, tight=narrow)
        corners, steps = points(key)
        xs, ys = zip(*corners, strict=True)
        self.stack.plot(xs, ys, color=HOST.colour, lw=1.2, alpha=0.6)
        self.stack.plot(xs[:1], ys[:1], "s", color=HARDWARE.colour, ms=8)
        (self.way,) = self.stack.plot([], [], color=HARDWARE.colour, lw=3.2)
        size = 15 if narrow else 23
        cards = [(x, y) for x, y in corners if y == CARD]
        self.numbers: list[Artist] = [
            *self.stack.plot(*zip(*cards, strict=True), "o", color="white", ms=7)
        ]
        for number, at in enumerate(steps, 1):
            self.numbers += self.stack.plot(
                xs[at], ys[at], "o", ms=size, mfc="white", mec=HARDWARE.colour, mew=1.4
            )
            self.numbers.append(
                self.stack.text(xs[at], ys[at] - 0.01, str(number), ha="center", va="center",
                                weight="bold")
            )  # fmt: skip
        (self.spot,) = self.stack.plot(
            [], [], "o", ms=size + 7, mfc="none", mec=PAGES["dirty"].colour, mew=3.5
        )
        self.key = key

    def _light(self, run: IoRun, step: int) -> None:
        corners, steps = points(run.load.architecture)
        last = steps[step - 1] if step else 0
        if step and run.path[step - 1].what == SENDS_IT:
            last += 1  # down to the card
        if step == len(steps):
            last = len(corners) - 1
        xs, ys = zip(*corners[: last + 1], strict=True)
        self.way.set_data(xs, ys)
        spot = corners[steps[step - 1]] if step else corners[0]
        self.spot.set_data([spot[0]], [spot[1]])

    def _show_bars(self, run: IoRun, step: int) -> None:
        known = [one.us for one in run.path if not math.isnan(one.us)]
        scale = (0.98 - self.column - (0.21 if self.figure.narrow else 0.15)) / max(known)
        corners, colours, hatched = [], [], []
        narrow = self.figure.narrow
        for k, (word, time) in enumerate(zip(self.words, self.times, strict=True)):
            if k >= len(run.path):
                word.set_text("")
                time.set_text("")
                continue
            one = run.path[k]
            word.set_text(f"{k + 1} {_short(one.kind, one.where, narrow=narrow)}")
            word.set_fontweight("bold" if k + 1 == step else "normal")
            unknown = math.isnan(one.us)
            width = 0.0 if unknown else scale * one.us
            left, top = self.column, k + 0.16
            box = [(left, top), (left + width, top), (left + width, top + 0.68), (left, top + 0.68)]
            if not unknown:
                corners.append(box)
                colours.append(WORLDS[one.world].colour)
            if one.world == "switch":
                hatched.append(box)
            time.set_x(left + width + 0.015)
            time.set_text("not published" if unknown else f"{one.us:.2f} µs")
        self.rectangles.set_verts(corners)
        self.rectangles.set_facecolor(colours)
        self.hatched.set_verts(hatched)

    def _show_load(self, run: IoRun) -> None:
        shares = dict.fromkeys(self.spans, 0.0)
        for part in run.parts:
            shares[part.world] += 1e-4 * part.us * run.packets_per_s
        shares["idle"] = max(0.0, 100 - sum(shares.values())) if run.parts else 0.0
        left = 0.0
        for world, span in self.spans.items():
            right, label = left + shares[world], self.labels[world]
            box = np.array([(left, 0), (left, 1), (right, 1), (right, 0)])
            span.set_verts([box] if right > left else [])
            words = f"{WORLDS[world].label.removeprefix('world ')} {shares[world]:.0f}"
            fits = shares[world] * (3.5 if self.figure.narrow else 9) > 9 * len(words)
            label.set_text(words if fits else "")
            label.set_x((left + right) / 2)
            left = right
        if not run.parts:
            self.labels["idle"].set_text("not published")
            self.labels["idle"].set_x(50)


def _short(kind: str, where: str, *, narrow: bool) -> str:
    """Name a step in a line."""
    if kind == "world switch":
        return "world switch" if narrow else f"world switch to {where.removesuffix(' system')}"
    if kind == "driver":
        return where
    return where if narrow else f"{where}: {kind.removeprefix('system ')}"


def _title(run: IoRun) -> str:
    if not run.parts:
        return f"{run.architecture.name}: a way of {len(run.path)} steps"
    what = {"processor": "all the processor can", "link": "the link is full", "load": "all is sent"}
    idle = f", {run.idle_percent:.0f} % idle" if run.limited_by != "processor" else ""
    return f"{run.architecture.name}: {run.mbit_s:.1f} Mb/s, {what[run.limited_by]}{idle}"


def _alt(run: IoRun, step: int) -> str:
    layers = ", ".join(layer.name for layer in run.architecture.layers[::-1])
    at = f"step {step} of {len(run.path)}"
    now = f": {run.path[step - 1].what}" if step else ""
    parts = "; ".join(f"{one.name} {one.us:.1f}" for one in run.parts)
    return (
        f"A stack of {len(run.architecture.layers)} layers, and {at}{now}. From the top: {layers}. "
        f"{run.explain()}" + (f" Microseconds for a packet in all: {parts}." if parts else "")
    )
