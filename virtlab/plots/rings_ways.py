"""Figure of three ways to run one kernel (S17): when it traps, when it is lied to, what it says.

Three lanes over the guest's instructions. Below them what the kernel says, from just before the
first line that is another than at ring 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from virtlab.machine.vmm.ways import WAYS, Way, Ways
from virtlab.plots import style
from virtlab.plots.palette import HARDWARE, HOST, OUTCOMES, Mark

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.text import Text

    from virtlab.plots.style import Plate

__all__ = ["draw_ways"]

_TRAPS, _WRONG, _SAME = (OUTCOMES[name] for name in ("traps", "silently wrong", "allowed"))
_MARKS = {
    "lies": Mark(_WRONG.colour, _WRONG.marker, label="no trap, and wrong"),
    "entries": Mark(_TRAPS.colour, "|", label="trap: the VMM steps in"),
    "interrupts": Mark(HARDWARE.colour, "v", label="timer interrupt"),
    "same": Mark(_SAME.colour, "o", label="a line, as at ring 0"),
    "other": Mark(_WRONG.colour, "x", label="another line"),
}
_SIZES = {"lies": 11, "entries": 15, "interrupts": 7, "same": 5, "other": 6}
_HEIGHTS = {"lies": 0.0, "entries": 0.0, "interrupts": 0.32, "same": -0.32, "other": -0.32}
_NAMES = ("native,\nring 0", "deprivileged,\nring 1", "patched,\nring 1")
_SHORT_NAMES = ("ring 0", "ring 1", "patched")
_GREY = "#6B6B6B"
_LETTER_PX, _LINE_PX = 8.43, 20  # DejaVu Sans Mono at 14 pixels
_WIDE_LINES, _NARROW_LINES = 6, 3


def draw_ways(ways: Ways, figure: Plate | None = None) -> Plate:
    """Draw the three runs of a kernel, and what each says where they part.

    Parameters
    ----------
    ways
        The runs.
    figure
        The figure to draw on again.

    Returns
    -------
    Plate
        The figure.

    Examples
    --------
    >>> from virtlab.machine.guests import mirror
    >>> from virtlab.machine.vmm.ways import run_ways
    >>> draw_ways(run_ways(mirror())).alt[:46]
    'Three lanes over the instructions of mirror.el'
    """
    return style.show_on(figure, _Ways, ways)


def _line_ends(way: Way) -> list[int]:
    """Return when each line was said to its end."""
    ends = [at for at, byte in enumerate(way.output) if byte == 10]
    if way.output and not way.output.endswith(b"\n"):
        ends.append(len(way.output) - 1)
    return [way.said_at[at] for at in ends]


def _times(ways: Ways, way: Way) -> dict[str, list[int]]:
    """Return when each kind of thing happened in a run."""
    native = dict(enumerate(ways.native.lines))
    said = list(zip(_line_ends(way), way.lines, strict=False))
    same = [native.get(number) == line for number, (_, line) in enumerate(said)]
    return {
        "lies": [wrong.step for wrong in way.wrongs],
        "entries": list(way.entered_at),
        "interrupts": list(way.interrupted_at),
        "same": [at for (at, _), good in zip(said, same, strict=True) if good],
        "other": [at for (at, _), good in zip(said, same, strict=True) if not good],
    }


class _Ways:
    """Lanes, and the lines said."""

    def __init__(self, figure: Plate) -> None:
        self.narrow, self.pixels = figure.narrow, figure.width_px
        if self.narrow:
            figure.margins(left=70, right=14, top=128, bottom=4)
            self.lanes, self.text = figure.subplots(2, 1, height_ratios=[7, 8])
            figure.subplots_adjust(hspace=0.42)
        else:
            figure.margins(left=122, right=120, top=96, bottom=8)
            self.lanes, self.text = figure.subplots(2, 1, height_ratios=[5, 4])
            figure.subplots_adjust(hspace=0.38)
        self.lanes.set(ylim=(-0.6, 2.6))
        self.lanes.set_xlabel("thousand instructions of the guest")
        self.lanes.spines["left"].set_visible(False)
        self.lanes.locator_params(axis="x", nbins=5)
        self.lanes.set_yticks([2, 1, 0], _SHORT_NAMES if self.narrow else _NAMES)
        self.lanes.tick_params(axis="y", length=0)
        self._make_marks()
        self._make_text()
        self._legend(figure)
        self.still: object = None
        self.layers: list[tuple[object, list[Artist]]] = []

    def _make_marks(self) -> None:
        """Make a line of marks of each kind for each lane, with its words."""
        axes = self.lanes
        self.paths = [axes.plot([], [], color="#BFBFBF", lw=1.5, zorder=1)[0] for _ in WAYS]
        self.marks: list[dict[str, Any]] = [
            {
                kind: axes.plot([], [], mark.marker, color=mark.colour, ms=_SIZES[kind])[0]
                for kind, mark in _MARKS.items()
            }
            for _ in WAYS
        ]
        for lane in self.marks:
            lane["entries"].set(alpha=0.35, mew=1)
            lane["other"].set(mew=2)
            lane["lies"].set(mec="white")
        small: dict[str, Any] = {"fontsize": style.SMALL}
        right: dict[str, Any] = {"transform": axes.get_yaxis_transform(), "va": "center"}
        self.counts = [axes.text(1.015, y, "", **right, **small) for y in (2, 1, 0)]
        self.lie = axes.annotate(
            "", (0, 1), (8, 12), textcoords="offset points", color=_WRONG.colour, **small
        )

    def _make_text(self) -> None:
        """Make the lines of words below the lanes."""
        axes = self.text
        axes.axis("off")
        figure: Any = axes.figure
        pixels = axes.get_position().height * figure.get_figheight() * 100
        axes.set(xlim=(0, 1), ylim=(pixels, 0))
        count = 2 * (_NARROW_LINES + 1) if self.narrow else _WIDE_LINES + 1
        self.columns: list[list[Text]] = []
        left = -self._outside()
        for x in (left,) if self.narrow else (left, left + (1 - 2 * left) / 2):
            self.columns.append(
                [
                    axes.text(
                        x, _LINE_PX * row, "", va="top", fontsize=style.SMALL,
                        family=["DejaVu Sans Mono", "IPAexGothic"],
                    )
                    for row in range(count)
                ]
            )  # fmt: skip

    def _outside(self) -> float:
        """Return how much of the axes' width lies left of them, but for a small margin."""
        box, pixels = self.text.get_position(), self.pixels
        return float((box.x0 * pixels - 14) / (box.width * pixels))

    def _legend(self, figure: Plate) -> None:
        from matplotlib.lines import Line2D

        handles = [
            Line2D(
                [], [], color=mark.colour, marker=mark.marker, ls="", ms=min(_SIZES[kind], 9),
                mew=2 if mark.marker in "|x" else 1, label=mark.label,
            )
            for kind, mark in _MARKS.items()
        ]  # fmt: skip
        figure.legend(
            handles=handles,
            ncols=2 if self.narrow else 5,
            loc="upper left",
            bbox_to_anchor=(0.005, 0.86 if self.narrow else 0.93),
            columnspacing=0.9,
            handletextpad=0.0,
            borderaxespad=0.2,
        )

    # --- a result ---------------------------------------------------------------------------------

    def show(self, result: Ways) -> None:
        """Put the marks where things happened, and the words where they part."""
        end = max(way.instructions for way in result.all) / 1000
        self.lanes.set_xlim(-0.01 * end, 1.02 * end)
        for y, way, path, marks in zip((2, 1, 0), result.all, self.paths, self.marks, strict=True):
            path.set_data([0, way.instructions / 1000], [y, y])
            for kind, times in _times(result, way).items():
                at = np.asarray(times, dtype=float) / 1000
                marks[kind].set_data(at, np.full(at.size, y + _HEIGHTS[kind]))
        for way, count in zip(result.all, self.counts, strict=True):
            rate = 1000 * way.total_entries / max(way.instructions, 1)
            traps = f"{way.total_entries:,} traps\n{rate:.0f} in 1,000"
            count.set_text("" if self.narrow else traps if way.entries else "no VMM")
        self._show_lie(result, end)
        self._show_lines(result)
        kinds = ("entries", "same", "other", "interrupts", "lies")  # the last is on top
        moving = [*self.paths, *(lane[kind] for kind in kinds for lane in self.marks)]
        words = [text for column in self.columns for text in column]
        self.layers = [(object(), [*moving, *self.counts, self.lie, *words])]
        self.still = end
        style.finish(self.lanes, _title(result), _alt(result), slide="S17")

    def _show_lie(self, result: Ways, end: float) -> None:
        """Name the first instruction that lied."""
        wrong = result.divergence
        self.lie.set_text("")
        if wrong is None or self.narrow:
            return
        at = wrong.step / 1000
        self.lie.xy = (at, 1)
        mnemonic = wrong.instruction.split()[0]
        self.lie.set_text(f"{mnemonic} at {wrong.symbol}")
        left = at < 0.6 * end
        self.lie.set(ha="left" if left else "right", position=(8 if left else -8, 9))

    def _show_lines(self, result: Ways) -> None:
        """Write what the native and the deprivileged kernel say, from where they part."""
        for column in self.columns:
            for text in column:
                text.set(text="", color="black")
        differs = result.first_line("deprivileged")
        start = max(0, (0 if differs is None else differs[0]) - 1)
        same = result.patched.output == result.native.output
        heads = f"native{', and patched,' if same else ''} says", "deprivileged says"
        size = _NARROW_LINES if self.narrow else _WIDE_LINES
        places = (
            [(self.columns[0], 0), (self.columns[0], size + 1)]
            if self.narrow
            else [(column, 0) for column in self.columns]
        )
        letters = int((352 if self.narrow else 456) / _LETTER_PX)
        shown = zip(places, heads, (result.native, result.deprivileged), strict=True)
        for (column, row), head, way in shown:
            column[row].set(text=head, color=_GREY)
            for number, line in enumerate(way.lines[start : start + size]):
                native = result.native.lines[start + number : start + number + 1]
                other = native != [line]
                sign = "≠ " if other else "  "
                words = f"{sign}{line}"
                if len(words) > letters:
                    words = f"{words[: letters - 1]}…"
                column[row + 1 + number].set(
                    text=words, color=_DARK_WRONG if other else HOST.colour
                )


_DARK_WRONG = "#A84300"  # the colour of what is wrong, dark enough to be read as text on white


def _title(ways: Ways) -> str:
    wrong, differs = ways.divergence, ways.first_line("deprivileged")
    if wrong is None:
        return "Nothing in this kernel lies at ring 1: trap and emulate is enough"
    count = ways.deprivileged.liars
    some = "One instruction does" if count == 1 else f"{count} instructions do"
    if differs is None:
        return f"{some} not trap at ring 1, and what the kernel says hides it"
    return f"{some} not trap: from line {differs[0] + 1} on it says other things"


def _alt(ways: Ways) -> str:
    """Say the lanes in words."""
    lanes = [
        f"{way.name}: {way.instructions:,} instructions, {way.total_entries:,} traps, "
        f"{len(way.interrupted_at)} interrupts, {len(way.wrongs)} times no trap and wrong, "
        f"{len(way.lines)} lines"
        for way in ways.all
    ]
    differs = ways.first_line("deprivileged")
    part = "All say the same."
    if differs is not None:
        part = f"Line {differs[0] + 1} is '{differs[1]}' at ring 0, and '{differs[2]}' at ring 1."
    return (
        f"Three lanes over the instructions of {ways.program}. {'; '.join(lanes)}. {part} "
        f"{ways.explain()}"
    )
