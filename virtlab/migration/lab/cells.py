"""What is tried in the home lab: one cell is one migration's parameters (S39 to S45).

The names are those of the stored measurements, so that the model reads ours as it reads theirs. Our
guest fills `fill_mib` of its memory from 16 MiB on with pages that are not zero. The first
`working_set_pages` of these are its working set, and are written to at
`dirty_writes_nominal_per_s` pages a second: in turn ('round_robin'), by chance ('uniform_random'),
or `hot_write_pct` of the writes by chance to the first `hot_pages`, the others in turn to the rest
('hot+round_robin').

Left out: a limit on the link itself (it takes root), so that QEMU's own cap is the only one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product

from virtlab.validate import InvalidInputError, integer, number, one_of

__all__ = ["GRIDS", "MODES", "Cell", "grid"]

MODES = ("round_robin", "uniform_random", "hot+round_robin")
GRIDS = ("small", "full", "odd")

_PAGES_A_MIB = 256
_FILL_FROM_MIB = 16
_MIB = 2**20


@dataclass(frozen=True)
class Cell:
    """One migration that is to be measured.

    Parameters
    ----------
    group
        What is varied, for tables.
    rep
        Which repetition, from 1.
    ram_mib, fill_mib
        Memory of the guest, and how much of it is filled, MiB.
    mode
        Order of the writes, one of `MODES`.
    working_set_pages
        Pages that are written to again and again, of 4 KiB.
    hot_pages, hot_write_pct
        For 'hot+round_robin': how many of these get how many percent of the writes.
    dirty_writes_nominal_per_s
        Page writes a second.
    max_bandwidth_bytes_per_s
        QEMU's cap.
    downtime_limit_ms
        How long a pause QEMU is allowed.
    auto_converge
        Whether QEMU may slow the guest's processor down.
    postcopy_at_s
        When to go over to post-copy, s after the start; None is never.
    max_postcopy_bandwidth_bytes_per_s
        QEMU's cap from then on; 0 is none.

    Raises
    ------
    InvalidInputError
        If a number is out of range, or the guest's memory can't hold what is asked for.

    Examples
    --------
    >>> Cell(dirty_writes_nominal_per_s=8000).run_id
    'm256-f224-round_robin-w16384-r8000-b64-d300-x1'
    >>> Cell(ram_mib=128, fill_mib=120)
    Traceback (most recent call last):
    virtlab.validate.InvalidInputError: fill_mib = 120: must be a whole number from 1 to 111
    """

    group: str = "own"
    rep: int = 1
    ram_mib: int = 256
    fill_mib: int = 224
    mode: str = "round_robin"
    working_set_pages: int = 16_384
    hot_pages: int = 0
    hot_write_pct: int = 0
    dirty_writes_nominal_per_s: int = 0
    max_bandwidth_bytes_per_s: int = 64 * _MIB
    downtime_limit_ms: int = 300
    auto_converge: int = 0
    postcopy_at_s: float | None = None
    max_postcopy_bandwidth_bytes_per_s: int = 0

    def __post_init__(self) -> None:
        """Check each number where it enters."""
        one_of("mode", self.mode, MODES)
        integer("rep", self.rep, minimum=1)
        integer("ram_mib", self.ram_mib, minimum=32, maximum=3072)
        most = self.ram_mib - _FILL_FROM_MIB - 1  # the firmware keeps a little at the end
        integer("fill_mib", self.fill_mib, minimum=1, maximum=most)
        pages = self.fill_mib * _PAGES_A_MIB
        integer("working_set_pages", self.working_set_pages, minimum=1, maximum=pages)
        self._check_hot()
        integer(
            "dirty_writes_nominal_per_s",
            self.dirty_writes_nominal_per_s,
            minimum=0,
            maximum=1_000_000,
        )
        integer("max_bandwidth_bytes_per_s", self.max_bandwidth_bytes_per_s, minimum=_MIB)
        integer("downtime_limit_ms", self.downtime_limit_ms, minimum=0, maximum=2_000_000)
        integer("auto_converge", self.auto_converge, minimum=0, maximum=1)
        if self.postcopy_at_s is not None:
            number("postcopy_at_s", self.postcopy_at_s, minimum=0, maximum=3600)
        integer("max_postcopy_bandwidth_bytes_per_s", self.max_postcopy_bandwidth_bytes_per_s,
                minimum=0)  # fmt: skip

    def _check_hot(self) -> None:
        if self.mode != "hot+round_robin":
            if self.hot_pages or self.hot_write_pct:
                raise InvalidInputError("hot_pages", self.hot_pages, f"0 where mode is {self.mode}")
            return
        integer("hot_pages", self.hot_pages, minimum=1, maximum=self.working_set_pages - 1)
        integer("hot_write_pct", self.hot_write_pct, minimum=0, maximum=100)

    @property
    def run_id(self) -> str:
        """A name that says all parameters, so that a table can be resumed."""
        parts = [
            f"m{self.ram_mib}",
            f"f{self.fill_mib}",
            self.mode,
            f"w{self.working_set_pages}",
            f"r{self.dirty_writes_nominal_per_s}",
            f"b{self.max_bandwidth_bytes_per_s / _MIB:g}",
            f"d{self.downtime_limit_ms}",
        ]
        if self.hot_pages:
            parts.append(f"h{self.hot_pages}p{self.hot_write_pct}")
        if self.auto_converge:
            parts.append("ac")
        if self.postcopy_at_s is not None:
            parts.append(
                f"pc{self.postcopy_at_s:g}b{self.max_postcopy_bandwidth_bytes_per_s / _MIB:g}"
            )
        return "-".join([*parts, f"x{self.rep}"])


def grid(name: str) -> tuple[Cell, ...]:
    """Return the cells of the home lab.

    Parameters
    ----------
    name
        'small': 6 migrations, about a minute. 'full': 60 migrations, about ten minutes. 'odd': 24
        beside the usual, about four minutes.

    Returns
    -------
    tuple of Cell
        In an order in which neighbours differ, so that a stretch of noise meets all kinds.

    Raises
    ------
    InvalidInputError
        If there is no such grid.

    Examples
    --------
    >>> len(grid("small")), len(grid("full")), len(grid("odd"))
    (6, 60, 24)
    """
    one_of("cells", name, GRIDS)
    return {"small": _small, "full": _full, "odd": _odd}[name]()


def _small() -> tuple[Cell, ...]:
    base = Cell(group="small", ram_mib=128, fill_mib=96, working_set_pages=8192)
    return (
        base,
        replace(base, dirty_writes_nominal_per_s=4000),
        replace(base, dirty_writes_nominal_per_s=4000, downtime_limit_ms=30),
        replace(base, dirty_writes_nominal_per_s=4000, mode="uniform_random"),
        replace(base, dirty_writes_nominal_per_s=8000, max_bandwidth_bytes_per_s=32 * _MIB),
        replace(base, dirty_writes_nominal_per_s=8000, mode="hot+round_robin",
                hot_pages=1024, hot_write_pct=90),
    )  # fmt: skip


def _with(base: Cell, mode: str) -> Cell:
    if mode != "hot+round_robin":
        return replace(base, mode=mode)
    return replace(base, mode=mode, hot_pages=base.working_set_pages // 8, hot_write_pct=90)


def _full() -> tuple[Cell, ...]:
    """Return caps by rates by patterns, then downtime limits, then sizes, dealt out like cards."""
    base = Cell()
    main = [
        _with(
            replace(
                base,
                group="cap",
                max_bandwidth_bytes_per_s=cap * _MIB,
                dirty_writes_nominal_per_s=rate,
            ),
            mode,
        )
        for cap, rate, mode in product((32, 64, 128), (0, 1000, 4000, 8000), MODES)
        if rate or mode == "round_robin"  # without writes there is no order
    ]
    limits = [
        _with(replace(base, group="limit", downtime_limit_ms=limit,
                      dirty_writes_nominal_per_s=rate), mode)
        for limit, rate, mode in product((30, 1000), (4000, 8000), MODES)
    ]  # fmt: skip
    sizes = [
        _with(replace(base, group="size", ram_mib=ram, fill_mib=fill, working_set_pages=pages,
                      dirty_writes_nominal_per_s=rate), mode)
        for (ram, fill, pages), rate, mode in product(
            ((128, 64, 8192), (384, 320, 32_768), (512, 448, 16_384)), (1000, 4000), MODES
        )
    ]  # fmt: skip
    cells = [*main, *limits, *sizes]
    return tuple(cell for start in range(7) for cell in cells[start::7])


def _odd() -> tuple[Cell, ...]:
    """Return what lies beside the usual: other working sets, rates, hot pages; post-copy."""
    base = Cell(group="odd", dirty_writes_nominal_per_s=4000)
    wide = replace(base, working_set_pages=57_344)
    hot = replace(base, mode="hot+round_robin", hot_pages=512, hot_write_pct=50)
    late = replace(base, group="postcopy", dirty_writes_nominal_per_s=16_000, postcopy_at_s=2.0)
    return (
        replace(base, working_set_pages=2048, dirty_writes_nominal_per_s=32_000),
        replace(base, working_set_pages=2048, mode="uniform_random"),
        replace(wide, max_bandwidth_bytes_per_s=48 * _MIB),
        replace(wide, mode="uniform_random", dirty_writes_nominal_per_s=2000),
        replace(wide, mode="uniform_random", dirty_writes_nominal_per_s=12_000),
        replace(wide, dirty_writes_nominal_per_s=16_000, max_bandwidth_bytes_per_s=96 * _MIB),
        replace(base, dirty_writes_nominal_per_s=16_000),
        replace(base, dirty_writes_nominal_per_s=16_000, max_bandwidth_bytes_per_s=128 * _MIB),
        replace(base, mode="uniform_random", dirty_writes_nominal_per_s=16_000,
                downtime_limit_ms=1000),
        replace(base, dirty_writes_nominal_per_s=2000, max_bandwidth_bytes_per_s=16 * _MIB),
        replace(base, mode="uniform_random", downtime_limit_ms=100),
        replace(base, downtime_limit_ms=2000, max_bandwidth_bytes_per_s=16 * _MIB),
        replace(base, downtime_limit_ms=500, dirty_writes_nominal_per_s=12_000),
        hot,
        replace(hot, hot_write_pct=99, dirty_writes_nominal_per_s=32_000),
        replace(hot, hot_pages=8192, hot_write_pct=80, dirty_writes_nominal_per_s=12_000),
        replace(hot, working_set_pages=57_344, hot_write_pct=90, dirty_writes_nominal_per_s=8000),
        replace(base, ram_mib=512, fill_mib=64, dirty_writes_nominal_per_s=2000),
        replace(base, ram_mib=512, fill_mib=64, mode="uniform_random"),
        replace(base, ram_mib=1024, fill_mib=900, max_bandwidth_bytes_per_s=128 * _MIB),
        late,
        replace(late, mode="uniform_random"),
        replace(late, max_postcopy_bandwidth_bytes_per_s=64 * _MIB),
        replace(late, postcopy_at_s=5.0, working_set_pages=57_344,
                max_postcopy_bandwidth_bytes_per_s=32 * _MIB),
    )  # fmt: skip
