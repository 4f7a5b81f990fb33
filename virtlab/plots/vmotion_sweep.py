"""Figure of a sweep: thousands of migrations as one picture, bandwidth against dirty rate (S39).

What converges has VM1's colour, the paler the fewer bytes it needs; what does not is hatched, with
lines of equal downtime.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.colors import ListedColormap, to_rgba
from matplotlib.patches import Patch

from virtlab.plots import style
from virtlab.plots.palette import HARDWARE, PAGES, vm_mark
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from virtlab.migration.means import PrecopyMeans
    from virtlab.migration.sweep import SweepResult
    from virtlab.plots.style import Plate

    Floats = NDArray[np.float64]

__all__ = ["draw_sweep"]

_NEEDED = ("bandwidth_mib_s", "dirty_pages_s", "ram_mib", "sent_mib", "downtime_ms", "converged")
_PAGES_A_MIB = 256
_TIMES = (1.1, 1.5, 2.0, 3.0)  # sent, as multiples of the memory
_VM, _DIRTY = vm_mark(0), PAGES["dirty"]
_SHADES = [to_rgba(_VM.colour, 0.08 + 0.17 * step) for step in range(len(_TIMES) + 1)]
_NEVER = to_rgba(_DIRTY.colour, 0.2)
_DOWNTIMES_S = (0.5, 1, 2, 5, 10)
_PAPER = {"facecolor": "white", "edgecolor": "none", "pad": 2, "alpha": 0.85}


@dataclass(frozen=True, eq=False)
class _Map:
    """The table as maps: one row a dirty rate, one column a bandwidth."""

    bandwidth: Floats  # MiB/s
    dirty: Floats  # MiB/s
    times: Floats  # bytes sent, as a multiple of the memory
    downtime_ms: Floats
    converged: NDArray[np.bool_]


def draw_sweep(result: SweepResult | PrecopyMeans, figure: Plate | None = None) -> Plate:
    """Draw which migrations converge, what they send, and how long the others stand still.

    Parameters
    ----------
    result
        A sweep over `bandwidth_mib_s` and `dirty_pages_s`, every combination once; or the same from
        `precopy_means`, which takes milliseconds.
    figure
        The figure to draw on again.

    Returns
    -------
    Plate
        The figure.

    Raises
    ------
    InvalidInputError
        If a column is missing, a combination is there twice or not at all, or one failed.

    Examples
    --------
    >>> from virtlab.migration.points import dirty_against_bandwidth, precopy_point
    >>> from virtlab.migration.sweep import sweep
    >>> result = sweep(dirty_against_bandwidth(40, 30), precopy_point)
    >>> print(draw_sweep(result).alt)
    Map of 1,200 migrations, bandwidth 30 to 3,000 MiB/s against dirty rate 10 to 10,000 MiB/s. \
Where the writer is slower than the link, 98% converge; where it is faster, 3% converge, and the \
others stand still for 0.3 to 17.4 s. Those that converge send 1.00 to 3.98 times their memory.
    """
    table = _maps(result.to_frame())

    def draw(figure: Plate) -> None:
        figure.margins(
            left=84 if figure.narrow else 100, right=22, top=150 if figure.narrow else 108
        )
        axes = figure.subplots()
        axes.set(xscale="log", yscale="log")
        axes.set(xlim=table.bandwidth[[0, -1]], ylim=table.dirty[[0, -1]])
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter("{x:,.0f}")
        axes.set_xlabel("bandwidth, MiB/s")
        axes.set_ylabel("dirty rate, MiB/s", labelpad=0)
        _areas(axes, table)
        _lines(axes, table, narrow=figure.narrow)
        _legend(axes, narrow=figure.narrow)
        title = "Pre-copy converges where the link is faster than the writer"
        style.finish(axes, title, _alt(table), slide="S39")

    return style.draw_on(figure, draw)


def _maps(frame: pd.DataFrame) -> _Map:
    """Turn the rows into maps, and see that each combination is there once."""
    for name in _NEEDED:
        if name not in frame:
            raise InvalidInputError("result", list(frame.columns), f"a table with a column {name}")
    if frame["error"].any():
        raise InvalidInputError("result", frame["error"].max(), "a sweep without errors")
    frame = frame.sort_values(["dirty_pages_s", "bandwidth_mib_s"])
    axes = [np.unique(frame[name]) for name in ("dirty_pages_s", "bandwidth_mib_s")]
    shape = axes[0].size, axes[1].size
    full = [frame[name].to_numpy() for name in ("dirty_pages_s", "bandwidth_mib_s")]
    whole = len(frame) == shape[0] * shape[1] and min(shape) > 1
    if not whole or any(
        (given != wanted.ravel()).any()
        for given, wanted in zip(full, np.meshgrid(*axes, indexing="ij"), strict=True)
    ):
        allowed = "each of 2 or more bandwidths with each of 2 or more dirty rates, once"
        raise InvalidInputError("result", f"{len(frame)} rows", allowed)
    times = frame["sent_mib"] / frame["ram_mib"]
    maps = (times, frame["downtime_ms"], frame["converged"])
    time, downtime, converged = (values.to_numpy().reshape(shape) for values in maps)
    return _Map(axes[1], axes[0] / _PAGES_A_MIB, time, downtime, converged.astype(bool))


def _areas(axes: Axes, table: _Map) -> None:
    """Fill what converges by the bytes that it sends, and hatch what does not."""
    where = (table.bandwidth, table.dirty)
    band = np.where(table.converged, np.digitize(table.times, _TIMES), np.nan)
    for values, shades in ((band, _SHADES), (np.where(table.converged, np.nan, 0.0), [_NEVER])):
        axes.pcolormesh(
            *where,
            values,
            cmap=ListedColormap(shades),
            vmin=-0.5,
            vmax=len(shades) - 0.5,
            shading="nearest",
            rasterized=True,
        )
    if not table.converged.all():
        hatch: Any = {"levels": [-0.5, 0.5], "colors": "none", "hatches": ["//"]}
        drawn = axes.contourf(*where, np.where(table.converged, 1.0, 0.0), **hatch)
        drawn.set(edgecolor=to_rgba(_DIRTY.colour, 0.4), linewidth=0)


def _lines(axes: Axes, table: _Map, *, narrow: bool) -> None:
    """Draw D = R and lines of equal downtime, each with its name."""
    low, high = (f(table.bandwidth[i], table.dirty[i]) for f, i in ((max, 0), (min, -1)))
    if low < high:
        axes.plot([low, high], [low, high], color=HARDWARE.colour, lw=2.5, ls=(0, (4, 2)))
        pixels = axes.transData.transform([(low, low), (high, high)])
        angle = np.degrees(np.arctan2(*(pixels[1] - pixels[0])[::-1]))
        place = low * (high / low) ** 0.3
        text: Any = {"rotation": angle, "rotation_mode": "anchor", "ha": "center", "bbox": _PAPER}
        axes.text(place, place / 1.5, "dirty rate = bandwidth", va="top", **text)
    if table.converged.all():
        return
    row = round(0.86 * (table.dirty.size - 1))
    downtime_s = np.where(table.converged, np.nan, table.downtime_ms / 1000)
    levels = _DOWNTIMES_S[::2] if narrow else _DOWNTIMES_S
    there = [at for at in levels if np.nanmin(downtime_s[row]) < at < np.nanmax(downtime_s[row])]
    where = (table.bandwidth, table.dirty)
    axes.contour(*where, downtime_s, there, colors=_DIRTY.colour, linewidths=2)
    for level in there:
        x = table.bandwidth[np.nanargmin(np.abs(np.log(downtime_s[row] / level)))]
        axes.text(x, table.dirty[row], f"{level:g} s", ha="center", va="center", bbox=_PAPER)
    words = "never converges:\n" + ("downtime" if narrow else "lines of equal downtime")
    axes.text(0.03, 0.62, words, transform=axes.transAxes, va="center", bbox=_PAPER)


def _legend(axes: Axes, *, narrow: bool) -> None:
    """Say above the axes what the shades mean."""
    names = [f"≤ {at:g}" for at in _TIMES] + [f"> {_TIMES[-1]:g}"]
    patches = [Patch(facecolor=shade, edgecolor=_VM.colour) for shade in _SHADES]
    axes.legend(
        patches,
        names,
        ncols=3 if narrow else 5,
        loc="lower left",
        bbox_to_anchor=(0, 1),
        borderaxespad=0.3,
        columnspacing=1.2,
        handlelength=1.2,
        title="converges; sent, × memory" if narrow else "converges, and sends, × its memory",
        alignment="left",
    )


def _alt(table: _Map) -> str:
    """Say in words what the figure shows."""
    slower = table.dirty[:, np.newaxis] < table.bandwidth
    ends = [f"{axis[0]:,.0f} to {axis[-1]:,.0f} MiB/s" for axis in (table.bandwidth, table.dirty)]
    said = []
    for where, name in ((slower, "slower than the link"), (~slower, "faster")):
        if where.any():
            said.append(f"{name}, {table.converged[where].mean():.0%} converge")
    words = (
        f"Map of {table.converged.size:,} migrations, bandwidth {ends[0]} against dirty rate "
        f"{ends[1]}. Where the writer is {'; where it is '.join(said)}"
    )
    stuck = table.downtime_ms[~table.converged] / 1000
    if not stuck.size:
        return words + "."
    words += f", and the others stand still for {stuck.min():.1f} to {stuck.max():.1f} s."
    times = table.times[table.converged]
    if not times.size:
        return words
    return words + (
        f" Those that converge send {times.min():.2f} to {times.max():.2f} times their memory."
    )
