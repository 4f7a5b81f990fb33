"""One configuration of a sweep, given by plain numbers: `virtlab.migration.sweep` runs this.

The parameters are the fields of `Vm`, `Link`, `StopRule` and the workloads, by their own names, so
that a file or a table can hold them; what is left out has its default.
"""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np

from virtlab.migration.huge import LEVELS, HugeRun, StopRule, precopy
from virtlab.migration.link import Link
from virtlab.migration.sweep import grid
from virtlab.migration.vm import Vm
from virtlab.migration.workloads import HotCold, RoundRobin, Uniform, Zipf
from virtlab.validate import one_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from virtlab.migration.workloads import Workload

__all__ = [
    "PARAMETERS",
    "check_parameters",
    "dirty_against_bandwidth",
    "precopy_point",
    "workload_of",
]

_PATTERNS: dict[str, Any] = {
    "round-robin": RoundRobin,
    "random": Uniform,
    "hot": HotCold,
    "zipf": Zipf,
}
_DEFAULTS: dict[str, Any] = {
    "pattern": "random",
    "working_set_pages": 16384,
    "dirty_pages_s": 8000.0,
    "hot_pages": 1024,
}


def _names(kind: Any) -> tuple[str, ...]:
    return tuple(item.name for item in fields(kind))


PARAMETERS = tuple(
    dict.fromkeys(
        (
            *(*_names(Vm), *_names(Link), *_names(StopRule), "pattern"),
            *(name for kind in _PATTERNS.values() for name in _names(kind)),
            *("level", "repeat"),
        )
    )
)


def check_parameters(names: Mapping[str, Any]) -> None:
    """Raise unless all names are known.

    Parameters
    ----------
    names
        Parameters by name; the values are not looked at.

    Raises
    ------
    InvalidInputError
        If one is unknown.

    Examples
    --------
    >>> check_parameters({"ram_mib": 512, "dirty_pages_s": 1000})
    >>> check_parameters({"ram": 512})  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    virtlab.validate.InvalidInputError: parameter = 'ram': must be one of ram_mib, filled_mib, ...
    """
    for name in names:
        one_of("parameter", name, PARAMETERS)


def workload_of(point: Mapping[str, Any]) -> Workload:
    """Return the workload that a configuration describes.

    Parameters
    ----------
    point
        `pattern` ('round-robin', 'random', 'hot', 'zipf') and the fields of that workload; a field
        of another pattern is left aside, so that one grid can hold several.

    Returns
    -------
    Workload
        How pages get dirty.

    Raises
    ------
    InvalidInputError
        If the pattern is unknown or a value wrong.

    Examples
    --------
    >>> workload_of({"pattern": "random", "working_set_pages": 100, "dirty_pages_s": 5})
    Uniform(working_set_pages=100, dirty_pages_s=5, first_page=0)
    """
    pattern = one_of("pattern", point.get("pattern", _DEFAULTS["pattern"]), tuple(_PATTERNS))
    made: Workload = _made(_PATTERNS[pattern], point)
    return made


def _made(kind: Any, point: Mapping[str, Any]) -> Any:
    """Make one of the dataclasses from what a configuration says about it."""
    said = {**_DEFAULTS, **point}
    return kind(**{name: said[name] for name in _names(kind) if name in said})


def precopy_point(point: Mapping[str, Any], seed: int) -> HugeRun:
    """Migrate one machine by pre-copy.

    Parameters
    ----------
    point
        Parameters by name, see `PARAMETERS`. `level` is 'mean' if not given; `repeat` only tells
        repetitions apart, which have different seeds.
    seed
        Of the draws at level 'page'.

    Returns
    -------
    HugeRun
        Times, bytes and rounds.

    Raises
    ------
    InvalidInputError
        If a name is unknown or a value wrong.

    Examples
    --------
    >>> told = precopy_point({"ram_mib": 1024, "dirty_pages_s": 5000}, seed=1).summary()
    >>> told["converged"], told["rounds"], round(told["total_s"], 1)
    (True, 2, 9.2)
    """
    check_parameters(point)
    level = one_of("level", point.get("level", "mean"), LEVELS)
    vm, link, rule = (_made(kind, point) for kind in (Vm, Link, StopRule))
    return precopy(vm, workload_of(point), link, rule, level=level, seed=seed)


def dirty_against_bandwidth(
    bandwidths: int = 80, rates: int = 60, **parameters: Any
) -> list[dict[str, Any]]:
    """Return a grid of links from 30 to 3,000 MiB/s and writers of 10 to 10,000 MiB/s.

    Parameters
    ----------
    bandwidths, rates
        How many of each, spaced evenly on a log scale.
    **parameters
        Of all of them; if not given, 1 GiB of memory and a working set of 512 MiB, written at
        random.

    Returns
    -------
    list of dict
        The points.

    Examples
    --------
    >>> points = dirty_against_bandwidth()
    >>> len(points), points[0]["bandwidth_mib_s"], points[-1]["dirty_pages_s"]
    (4800, 30.0, 2560000.0)
    """
    said = {"ram_mib": 1024, "working_set_pages": 2**17, **parameters}
    spaced = (np.geomspace(30, 3000, bandwidths), 256 * np.geomspace(10, 10_000, rates))
    link, dirty = ([float(f"{at:.12g}") for at in axis] for axis in spaced)
    return grid(**said, dirty_pages_s=dirty, bandwidth_mib_s=link)
