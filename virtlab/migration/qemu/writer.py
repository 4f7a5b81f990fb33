"""Which stretches the guest writes to, and how the pages lie in memory when a migration starts."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from virtlab.migration.qemu import constants as c
from virtlab.migration.qemu.dirty import DirtyMap

if TYPE_CHECKING:
    from virtlab.migration.qemu.spec import QemuParameters

__all__ = ["first_page", "memory", "written"]

Stretch = tuple[float, float, float]


def first_page(spec: QemuParameters) -> int:
    """Return where the filled memory, and with it the working set, begins.

    Parameters
    ----------
    spec
        The migration.

    Returns
    -------
    int
        16 MiB, as in the guest that was measured, or less if the memory would not fit.

    Examples
    --------
    >>> from virtlab.migration.qemu.spec import QemuParameters
    >>> first_page(QemuParameters(ram_mib=512, filled_mib=448))
    4096
    """
    return min(c.LOW_PAGES, spec.ram_pages - _filled_pages(spec))


def memory(
    spec: QemuParameters, normal_cost: tuple[float, float], zero_cost: tuple[float, float]
) -> DirtyMap:
    """Lay out the memory, all of it still to be sent.

    Parameters
    ----------
    spec
        The migration.
    normal_cost, zero_cost
        Bytes and seconds of a page that is not zeros, and of one that is.

    Returns
    -------
    DirtyMap
        Low memory, the filled part, the rest of the RAM, and ROMs.

    Examples
    --------
    >>> from virtlab.migration.qemu.spec import QemuParameters
    >>> memory(QemuParameters(ram_mib=256, filled_mib=224), (4104, 0), (9, 0)).pages
    65666.0
    """
    low, filled = first_page(spec), _filled_pages(spec)
    lengths = (
        (min(low, c.LOW_NORMAL_PAGES), False),
        (max(0, low - c.LOW_NORMAL_PAGES), True),
        (filled, False),
        (spec.ram_pages - low - filled, True),
        (c.ROM_NORMAL_PAGES, False),
        (c.ROM_PAGES - c.ROM_NORMAL_PAGES, True),
    )
    edges, zero = [0.0], []
    for length, zeros in lengths:
        if length > 0:
            edges.append(edges[-1] + length)
            zero.append(zeros)
    return DirtyMap(edges, [1.0] * len(zero), zero, normal_cost, zero_cost)


def _filled_pages(spec: QemuParameters) -> int:
    """Pages that are not zeros; what is written to is none either."""
    filled = math.ceil(spec.filled_mib * c.MIB / c.PAGE_BYTES)
    return min(spec.ram_pages, max(filled, spec.working_set_pages if spec.dirty_pages_s else 0))


def written(
    spec: QemuParameters, start_s: float, end_s: float, place: float | None
) -> list[Stretch]:
    """Return what the guest writes between two times of its own clock.

    Parameters
    ----------
    spec
        The migration.
    start_s, end_s
        Seconds that the guest has run since the migration started.
    place
        Where a round-robin writer stands at 0, as a share of its way round; None spreads its
        writes evenly, as if the order of addresses did not matter.

    Returns
    -------
    list of (start, end, share)
        Pages from `start` to `end`, and the share of them that is written.

    Examples
    --------
    >>> from virtlab.migration.qemu.spec import QemuParameters
    >>> spec = QemuParameters(working_set_pages=1000, dirty_pages_s=100)
    >>> written(spec, 1.0, 3.0, 0.75)
    [(4946.0, 5096.0, 1.0), (4096.0, 4146.0, 1.0)]
    """
    pages, rate = float(spec.working_set_pages), spec.dirty_pages_s
    begin, writes = float(first_page(spec)), rate * (end_s - start_s)
    if pages <= 0 or writes <= 0:
        return []
    if spec.pattern == "random":
        return [(begin, begin + pages, _share(writes / pages))]
    stretches: list[Stretch] = []
    hot = float(spec.hot_pages) if spec.pattern == "hot" and spec.hot_write_percent > 0 else 0.0
    if hot > 0:
        chance = spec.hot_write_percent / 100
        stretches.append((begin, begin + hot, _share(writes * chance / hot)))
        begin, pages, rate = begin + hot, pages - hot, rate * (1 - chance)
    if place is None:
        return [*stretches, (begin, begin + pages, min(1.0, rate * (end_s - start_s) / pages))]
    return stretches + _arc(begin, pages, place * pages + rate * start_s, rate * (end_s - start_s))


def _share(writes_a_page: float) -> float:
    """Share of pages hit at least once by writes at random."""
    return -math.expm1(-writes_a_page)


def _arc(begin: float, pages: float, at: float, length: float) -> list[Stretch]:
    """Return an arc of a ring of pages as one or two stretches."""
    if pages <= 0 or length <= 0:
        return []
    if length >= pages:
        return [(begin, begin + pages, 1.0)]
    start = at % pages
    end = start + length
    if end <= pages:
        return [(begin + start, begin + end, 1.0)]
    return [(begin + start, begin + pages, 1.0), (begin, begin + end - pages, 1.0)]
