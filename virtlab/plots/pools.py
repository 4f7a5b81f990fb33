"""Figure of nested pools (S20): each band stands under the pool that it is part of."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from matplotlib.patches import Rectangle

from virtlab.plots import style
from virtlab.plots.palette import HOST, vm_mark
from virtlab.plots.shares import PAPER
from virtlab.resources.pools import SEPARATOR

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from virtlab.plots.style import Plate
    from virtlab.resources.pools import PoolAllocation

__all__ = ["draw_pools"]


def draw_pools(result: PoolAllocation, figure: Plate | None = None) -> Plate:
    """Draw nested pools as bands: each stands under the pool it is part of, as wide as its part.

    Parameters
    ----------
    result
        What `divide` returned.
    figure
        The figure to draw on again.

    Returns
    -------
    Plate
        The figure.

    Examples
    --------
    >>> from virtlab.resources import VM, Pool, divide
    >>> pool = Pool("test", children=(VM("a"), VM("b", 3000)))
    >>> draw_pools(divide(100, Pool("host", children=(VM("db"), pool)), unit="MB/s")).alt
    'Bands as wide as their part of 100 MB/s. db: 50. test: 50. test / a: 12.5. test / b: 37.5.'
    """

    def draw(plate: Plate) -> None:
        axes = plate.subplots()
        bands = _bands(result)
        depth = 1 + max(band.depth for band in bands)
        capacity = result.steps[""].capacity or 1.0
        px = plate.width_px * (plate.subplotpars.right - plate.subplotpars.left) / capacity
        for band in bands:
            _band(axes, band, result, px)
        axes.set_xlim(0, capacity)
        axes.set_ylim(depth, -0.08)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.set_xlabel(result.unit or "allocation")
        unit = f" {result.unit}" if result.unit else ""
        most = max(range(len(result.paths)), key=lambda i: result.allocation[i])
        title = f"{result.paths[most]} gets {result.allocation[most]:.3g}{unit}"
        title += ": shares count among siblings"
        words = " ".join(f"{band.path}: {band.part:.4g}." for band in bands)
        alt = f"Bands as wide as their part of {result.steps[''].capacity:g}{unit}. {words}"
        style.finish(axes, title, alt, "S20")

    return style.draw_on(figure, draw)


class _Band(NamedTuple):
    path: str
    start: float
    part: float
    shares: float
    depth: int
    is_vm: bool


def _bands(result: PoolAllocation) -> list[_Band]:
    """Lay out each VM and pool below the one it is part of."""
    bands: list[_Band] = []

    def below(path: str, start: float) -> None:
        step = result.steps[path]
        for name, part, shares in zip(step.labels, step.allocation, step.shares, strict=True):
            mine = f"{path}{SEPARATOR}{name}" if path else name
            is_vm = mine in result.paths
            depth = mine.count(SEPARATOR)
            bands.append(_Band(mine, start, float(part), float(shares), depth, is_vm))
            if not is_vm:
                below(mine, start)
            start += float(part)

    below("", 0.0)
    return bands


def _band(axes: Axes, band: _Band, result: PoolAllocation, px: float) -> None:
    """Draw one band, with as many words as it has room for."""
    mark = vm_mark(result.paths.index(band.path)) if band.is_vm else HOST
    height, width = 0.9, band.part * px
    axes.add_patch(
        Rectangle(
            (band.start, band.depth),
            band.part,
            height,
            facecolor=mark.colour,
            hatch=mark.hatch if band.is_vm else "",
            edgecolor="white",
            lw=2,
        )
    )
    if width < 20:
        return  # too narrow for words; the table has it
    lines = [band.path.rsplit(SEPARATOR, 1)[-1], f"{band.shares:g} shares", f"{band.part:.3g}"]
    upright = width < 100
    words = f"{lines[0]}  {lines[2]}" if upright else "\n".join(lines)
    axes.text(
        band.start + band.part / 2,
        band.depth + height / 2,
        words,
        ha="center",
        va="center",
        fontsize=11,
        bbox=PAPER,
        rotation=90 if upright else 0,
    )
