"""The figure of a host's layers (S13, S15): who stands on whom, and the console beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from virtlab.plots import style
from virtlab.plots.palette import HARDWARE, HOST, vm_mark
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from virtlab.machine.esx.hypervisor import Hypervisor
    from virtlab.plots.style import Plate

__all__ = ["draw_layers", "pixels"]

_PAPER = "#6B6B6B"


def pixels(figure: Plate) -> tuple[Axes, float, float]:
    """Return axes whose units are the figure's pixels, from the top left corner.

    Parameters
    ----------
    figure
        The figure.

    Returns
    -------
    tuple
        The axes, and the figure's width and height in pixels.

    Examples
    --------
    >>> pixels(style.plate())[1:]
    (960.0, 540)
    """
    width, height = float(figure.width_px), round(figure.get_figheight() * 100)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(height, 0))
    axes.axis("off")
    return axes, width, height


def draw_layers(host: Hypervisor, figure: Plate | None = None) -> Plate:
    """Draw the objects of a host: a column for each VM, the VMkernel below, the console beside it.

    Parameters
    ----------
    host
        With one to four VMs.
    figure
        The figure to draw on again.

    Returns
    -------
    Plate
        The figure.

    Raises
    ------
    InvalidInputError
        If it has no VM, or more than four.

    Examples
    --------
    >>> from virtlab.machine.esx.hypervisor import Hypervisor
    >>> from virtlab.machine.esx.request import demo_disk
    >>> host = Hypervisor(demo_disk())
    >>> for name, shares in (("VM1", 2000), ("VM2", 1000), ("VM3", 1000)):
    ...     _ = host.console.create(name, shares=shares)
    >>> draw_layers(host).alt[:68]
    'Layers of a host with 3 VMs. The hardware: a disk of 16384 sectors, '
    """
    accounts = host.kernel.accounts
    if not 1 <= len(accounts) <= 4:
        raise InvalidInputError("VMs", len(accounts), "1 to 4, or there is no room to draw them")

    def draw(figure: Plate) -> None:
        axes, width, height = pixels(figure)
        narrow = figure.narrow
        left, right = (52.0, width - 10) if narrow else (86.0, width - 20)
        edge = right if narrow else right - 170
        top = 92.0 if narrow else 70.0
        tall = (height - top - 20) / 5
        rows = [top + k * tall for k in range(5)]
        _rings(axes, rows, tall, narrow=narrow)
        wide = (edge - left) / len(accounts)
        for k, name in enumerate(accounts):
            _column(axes, (left + k * wide, wide - 8), rows, tall, (k, name), narrow=narrow)
        _box(
            axes,
            (left, rows[3], edge - left - 8, tall - 8),
            HOST.colour,
            _kernel_words(host, narrow),
        )
        words = f"hardware\none disk, {host.kernel.disk.sectors:,} sectors"
        _box(axes, (left, rows[4], edge - left - 8, tall - 8), HARDWARE.colour, words)
        if not narrow:
            _console(axes, host, (edge + 14, rows[3], right - edge - 14, tall - 8))
        style.finish(axes, _LAYERS_TITLE, _layers_alt(host), slide="S15")

    return style.draw_on(figure, draw)


_LAYERS_TITLE = "Each VM has a vmm of its own; one VMkernel owns what is real"


def _kernel_words(host: Hypervisor, narrow: bool) -> str:  # noqa: FBT001 - how wide it is
    """Say what the VMkernel has given to whom."""
    if narrow:
        return "VMkernel"
    rows = [
        f"{name}: {one.shares:g} shares, sectors {one.extent.begin:,} to {one.extent.end - 1:,}"
        for name, one in list(host.kernel.accounts.items())[:2]
    ]
    more = len(host.kernel.accounts) - len(rows)
    return "VMkernel\n" + "\n".join(rows) + (f" (+ {more} more)" if more else "")


def _rings(axes: Axes, rows: list[float], tall: float, *, narrow: bool) -> None:
    """Write at the left at which ring each row runs."""
    for row, ring in zip(rows, ("3", "1", "0", "0", ""), strict=True):
        words = f"ring {ring}" if ring else ""
        axes.text(8 if narrow else 20, row + tall / 2 - 4, words, va="center",
                  fontsize=style.SMALL, color=_PAPER)  # fmt: skip


def _box(
    axes: Axes,
    place: tuple[float, float, float, float],
    colour: str,
    words: str,
    *,
    fill: bool = False,
) -> None:
    """Draw a box with words in it."""
    x, y, wide, tall = place
    axes.add_patch(
        FancyBboxPatch((x, y), wide, tall, boxstyle="round,pad=0,rounding_size=6",
                       fc=colour if fill else "white", ec=colour, lw=2)
    )  # fmt: skip
    axes.text(x + wide / 2, y + tall / 2, words, ha="center", va="center", fontsize=style.SMALL,
              color="white" if fill else "black", linespacing=1.35)  # fmt: skip


def _column(
    axes: Axes,
    place: tuple[float, float],
    rows: list[float],
    tall: float,
    vm: tuple[int, str],
    *,
    narrow: bool,
) -> None:
    """Draw a VM: its program and its kernel, on its vmm."""
    (x, wide), (index, name) = place, vm
    colour = vm_mark(index).colour
    small = narrow and wide < 110
    kernel = "kernel" if small else "guest kernel"
    _box(
        axes, (x, rows[0], wide, tall - 8), colour, f"{name}\nprog" if small else f"{name}\nprogram"
    )
    _box(axes, (x, rows[1], wide, tall - 8), colour, kernel)
    _box(axes, (x, rows[2], wide, tall - 8), colour, "vmm", fill=True)
    for upper in (0, 1, 2):
        y = rows[upper] + tall - 8
        axes.plot([x + wide / 2] * 2, [y, y + 8], color=colour, lw=2)


def _console(axes: Axes, host: Hypervisor, place: tuple[float, float, float, float]) -> None:
    """Draw the console beside the kernel, and that it asks from outside."""
    x, y, _, tall = place
    done = len(host.console.commands)
    _box(axes, place, HOST.colour, f"Service Console\n{done} commands")
    axes.add_patch(
        FancyArrowPatch((x - 1, y + tall / 2), (x - 21, y + tall / 2), arrowstyle="-|>",
                        mutation_scale=13, lw=1.6, ls="--", color=HOST.colour, shrinkA=0, shrinkB=0)
    )  # fmt: skip


def _layers_alt(host: Hypervisor) -> str:
    """Say the layers in words."""
    kernel = host.kernel
    rows = "; ".join(
        f"{name} has {one.shares:g} shares, sectors {one.extent.begin} to {one.extent.end - 1}, "
        f"memory from {one.memory.begin} to {one.memory.end} MiB"
        for name, one in kernel.accounts.items()
    )
    return (
        f"Layers of a host with {len(kernel.accounts)} VMs. The hardware: a disk of "
        f"{kernel.disk.sectors} sectors, one processor. On it the VMkernel, at ring 0; beside it "
        f"the Service Console, which has given {len(host.console.commands)} commands. On the "
        "VMkernel a vmm for each VM, on that the guest's kernel at ring 1 and its program at "
        f"ring 3. {rows}."
    )
