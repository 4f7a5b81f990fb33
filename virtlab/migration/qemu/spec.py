"""What a migration of QEMU is described by: the machine, its writer, the limits."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from virtlab.migration.qemu import constants as c
from virtlab.validate import InvalidInputError, integer, number, one_of

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["PATTERNS", "QemuParameters"]

# How the guest picks the page that it writes next.
PATTERNS = ("round-robin", "random", "hot")

_MODES = {
    "round_robin": "round-robin",
    "uniform_random": "random",
    "random": "random",
    "hot": "hot",
    "hot+round_robin": "hot",
    "": "round-robin",
}


@dataclass(frozen=True)
class QemuParameters:
    """One migration of QEMU, before it starts.

    Attributes
    ----------
    ram_mib, filled_mib
        The machine's memory and how much of it is not zeros, MiB.
    working_set_pages
        Pages that the guest writes to, from the first filled one on.
    dirty_pages_s
        Writes a second, each to one page.
    pattern
        'round-robin', 'random', or 'hot': `hot_write_percent` of the writes go to the first
        `hot_pages`, at random, the others round and round the rest.
    hot_pages, hot_write_percent
        See `pattern`.
    cap_mib_s
        QEMU's own limit, `max-bandwidth`, MiB/s; infinite: none.
    link_mib_s
        What the link carries, MiB/s; infinite: the loopback of the machine that was measured.
    downtime_limit_ms
        QEMU's `downtime-limit`, ms. 0: QEMU never looks at what was written meanwhile, sends all
        once, and stops.
    auto_converge
        Whether QEMU may slow the guest down.
    postcopy_at_s
        When to switch to post-copy, s; infinite: never.
    postcopy_cap_mib_s
        QEMU's `max-postcopy-bandwidth`, MiB/s; infinite: none.
    head_start_s
        How long the guest has been writing when the migration starts, s, which tells where a
        round-robin writer stands; None: unknown.

    Examples
    --------
    >>> p = QemuParameters(ram_mib=256, filled_mib=224, dirty_pages_s=4000, cap_mib_s=64.0)
    >>> p.cap_bytes_s
    67108864.0
    >>> QemuParameters(downtime_limit_ms=-1)
    Traceback (most recent call last):
    virtlab.validate.InvalidInputError: downtime_limit_ms = -1: must be a number from 0 to 2e+06
    """

    ram_mib: float = 512.0
    filled_mib: float = 448.0
    working_set_pages: int = 16384
    dirty_pages_s: float = 0.0
    pattern: str = "round-robin"
    hot_pages: int = 0
    hot_write_percent: float = 0.0
    cap_mib_s: float = math.inf
    link_mib_s: float = math.inf
    downtime_limit_ms: float = 300.0
    auto_converge: bool = False
    postcopy_at_s: float = math.inf
    postcopy_cap_mib_s: float = math.inf
    head_start_s: float | None = None

    def __post_init__(self) -> None:
        """Check the numbers."""
        number("ram_mib", self.ram_mib, minimum=1, maximum=2**26)
        number("filled_mib", self.filled_mib, minimum=0, maximum=self.ram_mib)
        integer("working_set_pages", self.working_set_pages, minimum=0, maximum=self.ram_pages)
        number("dirty_pages_s", self.dirty_pages_s, minimum=0)
        one_of("pattern", self.pattern, PATTERNS)
        integer("hot_pages", self.hot_pages, minimum=0, maximum=self.working_set_pages)
        number("hot_write_percent", self.hot_write_percent, minimum=0, maximum=100)
        for name in ("cap_mib_s", "link_mib_s", "postcopy_cap_mib_s"):
            if number(name, getattr(self, name), minimum=0, finite=False) < 1 / 64:
                raise InvalidInputError(name, getattr(self, name), "a number >= 1/64, or infinite")
        number("downtime_limit_ms", self.downtime_limit_ms, minimum=0, maximum=2e6)
        number("postcopy_at_s", self.postcopy_at_s, minimum=0, finite=False)
        if self.head_start_s is not None:
            number("head_start_s", self.head_start_s, minimum=0)

    @property
    def ram_pages(self) -> int:
        """Pages of RAM; a part of a page is one."""
        return math.ceil(self.ram_mib * c.MIB / c.PAGE_BYTES)

    @property
    def cap_bytes_s(self) -> float:
        """QEMU's own limit, bytes/s."""
        return self.cap_mib_s * c.MIB

    @property
    def line_bytes_s(self) -> float:
        """What the link carries at most, bytes/s: never more than the loopback."""
        return min(self.link_mib_s * c.MIB, c.LOOPBACK_BYTES_S)

    @property
    def limited_link(self) -> bool:
        """Whether the link, and not the machine, is what limits."""
        return self.link_mib_s * c.MIB < c.LOOPBACK_BYTES_S

    @classmethod
    def from_row(
        cls, row: Mapping[Any, Any], *, head_start_s: float | None = c.HEAD_START_S
    ) -> QemuParameters:
        """Read the parameters from a row of measured runs; its results are not looked at.

        Parameters
        ----------
        row
            Columns named as in `data/qemu_migrations.csv`; what is missing or empty is the
            default. A bandwidth of 0 is none.
        head_start_s
            How long the writer had been at it; what was usual in those measurements.

        Returns
        -------
        QemuParameters
            The same in the units of the model.

        Raises
        ------
        InvalidInputError
            If a value is no number or not allowed; it names the column.

        Examples
        --------
        >>> row = {"ram_mib": 256, "fill_mib": 224, "max_bandwidth_bytes_per_s": 67108864}
        >>> QemuParameters.from_row(row).cap_mib_s
        64.0
        """
        values: dict[str, Any] = {"head_start_s": head_start_s}
        for name, (column, scale) in _COLUMNS.items():
            value = _number(column, row.get(column))
            if value is not None:
                values[name] = value / scale
        for name in ("cap_mib_s", "link_mib_s", "postcopy_cap_mib_s"):
            values[name] = values.get(name) or math.inf
        for name in ("working_set_pages", "hot_pages"):
            values[name] = integer(_COLUMNS[name][0], values.get(name, 0.0))
        mode = row.get("mode")
        mode = mode.strip() if isinstance(mode, str) else ""
        values["pattern"] = _MODES[one_of("mode", mode, tuple(_MODES))]
        values["auto_converge"] = bool(_number("auto_converge", row.get("auto_converge")) or 0)
        return cls(**values)


# Our name: the column's, and how many of its units are one of ours.
_COLUMNS = {
    "ram_mib": ("ram_mib", 1),
    "filled_mib": ("fill_mib", 1),
    "working_set_pages": ("working_set_pages", 1),
    "dirty_pages_s": ("dirty_writes_nominal_per_s", 1),
    "hot_pages": ("hot_pages", 1),
    "hot_write_percent": ("hot_write_pct", 1),
    "cap_mib_s": ("max_bandwidth_bytes_per_s", c.MIB),
    "link_mib_s": ("link_rate_bytes_per_s", c.MIB),
    "downtime_limit_ms": ("downtime_limit_ms", 1),
    "postcopy_at_s": ("postcopy_at_s", 1),
    "postcopy_cap_mib_s": ("max_postcopy_bandwidth_bytes_per_s", c.MIB),
}


def _number(column: str, value: object) -> float | None:
    """Read a cell; empty, or not a number of pandas's, is None."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, str):
        if not value.strip():
            return None
        try:
            return number(column, float(value), finite=False)
        except ValueError as error:
            raise InvalidInputError(column, value, "a number") from error
    return number(column, value, finite=False)
