"""Thousands of pre-copies at once, on the mean: the rounds of `virtlab.migration.huge` as arrays.

At level `mean` a round is a few multiplications, and most of its time goes into Python's own
bookkeeping. Here each operation serves all configurations of a grid, so that one of them costs a
few microseconds and a slider can redraw a picture of thousands.

Addresses are not needed for that. Memory has five regions in the order in which they are sent:
before the working set, its hot part, its cold part, behind it, and zeros. Of a region of W pages
with L left over, of which each is written with the chance p, L + p (W - L) are to be sent next: all
that is left, and of the others those that were written.

A writer that goes round needs no rounds where it does not come to pages that are left over
(`virtlab.migration.turns`). Where it does, hands are followed (`virtlab.migration.hands`).

Source: as there.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from virtlab.migration.hands import Hands, in_orders
from virtlab.migration.huge import StopRule
from virtlab.migration.link import MIB, Link
from virtlab.migration.turns import in_turns
from virtlab.migration.vm import PAGE_BYTES, Vm
from virtlab.results import Result
from virtlab.validate import InvalidInputError, one_of, vector

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

__all__ = ["PrecopyMeans", "precopy_means"]

_DEFAULTS: dict[str, float] = {
    **{item.name: getattr(StopRule(), item.name) for item in fields(StopRule)},
    **{name: getattr(Vm(), name) for name in ("ram_mib", "device_state_kib", "resume_ms")},
    **{name: getattr(Link(), name) for name in ("bandwidth_mib_s", "latency_ms")},
    "filled_mib": np.inf,  # all of it
    "cap_mib_s": np.inf,  # none
    "working_set_pages": 16384,
    "dirty_pages_s": 8000,
    "first_page": 0,
    "hot_pages": 0,
    "hot_write_percent": 0,
    "phase": 0,
}
_PATTERNS = ("hot", "random", "round-robin")
_FULL, _ZERO = Link().page_bytes, Link().zero_page_bytes
_EACH = np.array([[_FULL], [_FULL], [_FULL], [_FULL], [_ZERO]], dtype=np.float64)

_NEVER = -1e200  # log of no chance


@dataclass(frozen=True, eq=False)
class PrecopyMeans(Result):
    """Many migrations, one element each.

    Attributes
    ----------
    parameters
        What was given, by name.
    total_s, downtime_ms, sent_mib
        As `HugeRun` has them.
    rounds
        In which the guest ran.
    converged
        Whether the rest fitted into the downtime limit.

    Examples
    --------
    >>> result = precopy_means(dirty_pages_s=[1000, 20_000, 80_000], working_set_pages=2**16)
    >>> result.converged.tolist(), result.rounds.tolist()
    ([True, True, False], [2, 7, 30])
    """

    parameters: dict[str, NDArray[Any]]
    total_s: Floats
    downtime_ms: Floats
    sent_mib: Floats
    rounds: NDArray[np.int64]
    converged: NDArray[np.bool_]

    def to_frame(self) -> pd.DataFrame:
        """Return one row for each migration, with the columns of a sweep's table."""
        import pandas as pd

        names = ("total_s", "downtime_ms", "sent_mib", "rounds", "converged")
        numbers = {name: getattr(self, name) for name in names}
        return pd.DataFrame({**self.parameters, **numbers, "error": ""})

    def summary(self) -> dict[str, float | int | str]:
        """Return how many there are, how many converge, and the longest of each time."""
        return {
            "configurations": self.rounds.size,
            "converged": int(self.converged.sum()),
            "longest_s": float(self.total_s.max()),
            "longest_downtime_ms": float(self.downtime_ms.max()),
        }

    def explain(self) -> str:
        """Return what happened, in a sentence."""
        told = self.summary()
        return (
            f"{told['configurations']:,} configurations, of which {told['converged']:,} converge; "
            f"the longest takes {told['longest_s']:,.1f} s, and one stands still for "
            f"{told['longest_downtime_ms']:,.0f} ms."
        )


def precopy_means(**parameters: ArrayLike) -> PrecopyMeans:
    """Move many machines by pre-copy, on the mean.

    Parameters
    ----------
    **parameters
        Fields of `Vm`, `Link`, `StopRule`, `HotCold` and `RoundRobin` by their names, each a number
        or an array; arrays are broadcast. `pattern` is 'hot' if not given, in which without
        `hot_pages` all pages are alike; 'random', or 'round-robin', to which `phase` belongs. A
        field of another pattern is left aside.

    Returns
    -------
    PrecopyMeans
        One element for each.

    Raises
    ------
    InvalidInputError
        If a name is unknown, a value wrong, or a working set is not in its machine's memory.

    Examples
    --------
    >>> rate, link = np.geomspace(1e3, 1e6, 60), np.geomspace(30, 3000, 80)
    >>> precopy_means(dirty_pages_s=rate[:, np.newaxis], bandwidth_mib_s=link).rounds.size
    4800
    >>> print(precopy_means(pattern="round-robin", dirty_pages_s=rate).explain())
    60 configurations, of which 30 converge; the longest takes 19.3 s, and one stands still for \
750 ms.
    """
    given = _columns(parameters)
    state = _Rounds({**_DEFAULTS, "pattern": "hot", **given})
    state.run()
    size = state.left_bytes() + 1024 * state.of["device_state_kib"]
    stop_s = size / (state.of["bandwidth_mib_s"] * MIB)
    downtime_ms = 1000 * stop_s + state.of["latency_ms"] + state.of["resume_ms"]
    total, sent = state.clock + downtime_ms / 1000, (state.sent + size) / MIB
    converged = state.left.sum(axis=0) <= state.rest
    return PrecopyMeans(given, total, downtime_ms, sent, state.rounds, converged)


def _columns(parameters: dict[str, ArrayLike]) -> dict[str, NDArray[Any]]:
    """Check the parameters, and make them arrays of one length."""
    for name in parameters:
        one_of("parameter", name, (*_DEFAULTS, "pattern"))
    try:
        arrays = np.broadcast_arrays(*(np.atleast_1d(value) for value in parameters.values()))
    except ValueError as error:
        shapes = {name: np.shape(value) for name, value in parameters.items()}
        raise InvalidInputError("parameters", shapes, "numbers, or arrays of one shape") from error
    columns: dict[str, NDArray[Any]] = {}
    for name, array in zip(parameters, arrays, strict=True):
        if name == "pattern":
            columns[name] = array.ravel().astype(str)
            for word in np.unique(columns[name]):
                one_of(name, str(word), _PATTERNS)
        else:
            columns[name] = vector(name, array.ravel(), minimum=0, finite=False)
    return columns


class _Rounds:
    """The state of all migrations: shape (5, n) for regions, (n,) for the rest."""

    def __init__(self, of: dict[str, Any]) -> None:
        size = np.broadcast(*of.values()).size
        self.of = {name: np.broadcast_to(value, size) for name, value in of.items()}
        of = self.of
        pages = of["ram_mib"] * MIB // PAGE_BYTES
        filled = np.minimum(np.ceil(of["filled_mib"] * MIB / PAGE_BYTES), pages)
        first, working = of["first_page"], of["working_set_pages"]
        hot = np.where(of["pattern"] == "hot", of["hot_pages"], 0)
        for name, wrong in (
            ("ram_mib", pages < 1),
            ("bandwidth_mib_s", of["bandwidth_mib_s"] <= 0),
            ("cap_mib_s", of["cap_mib_s"] <= 0),
            ("working_set_pages", (working < 1) | (first + working > pages)),
            ("hot_pages", hot > working),
            ("hot_write_percent", of["hot_write_percent"] > 100),
            ("phase", of["phase"] > 1),
        ):
            if wrong.any():
                at = int(np.argmax(wrong))
                raise InvalidInputError(
                    f"{name}[{at}]", float(of[name][at]), "what fits the others"
                )
        zero_from = np.maximum(filled, first + working)
        self.sizes = np.stack(
            [first, hot, working - hot, zero_from - first - working, pages - zero_from]
        ).astype(np.float64)
        share = np.where(hot < working, of["hot_write_percent"] / 100 * (hot > 0), 1.0)
        hit = np.zeros_like(self.sizes)
        for region, part in ((1, share), (2, 1 - share)):
            np.divide(part, self.sizes[region], out=hit[region], where=self.sizes[region] > 0)
        with np.errstate(divide="ignore"):
            missed = np.maximum(np.log1p(-hit), _NEVER)  # of an only page -inf, and 0 * inf is none
        self.missed = missed * of["dirty_pages_s"]  # log of the chance that a second leaves it be
        self.rate = np.minimum(of["bandwidth_mib_s"], of["cap_mib_s"]) * MIB
        self.rest = self.rate * of["downtime_limit_ms"] / 1000 // PAGE_BYTES
        self.left = self.sizes.copy()
        self.clock, self.sent = np.zeros(size), np.zeros(size)
        self.rounds = np.zeros(size, dtype=np.int64)

    def left_bytes(self) -> Floats:
        """Return what is to be sent, in bytes."""
        size: Floats = (self.left * _EACH).sum(axis=0)
        return size

    def run(self) -> None:
        """Go on with those that have not stopped, until all have."""
        in_turn = self.of["pattern"] == "round-robin"
        if in_turn.any():
            self._go_round(np.flatnonzero(in_turn))
        while True:
            going = (
                ~in_turn
                & (self.left.sum(axis=0) > self.rest)
                & (self.rounds < self.of["max_rounds"])
            )
            at = np.flatnonzero(going)
            if not at.size:
                return
            left = self.left[:, at]
            seconds = self._seconds(left, at)
            sizes = left * _EACH
            before = np.cumsum(sizes, axis=0) - sizes
            gone = np.clip(seconds * self.rate[at] - before, 0, sizes)
            left -= gone / _EACH
            written = -np.expm1(self.missed[:, at] * seconds)
            self.left[:, at] = left + written * (self.sizes[:, at] - left)
            self.clock[at] += seconds
            self.sent[at] += gone.sum(axis=0)
            self.rounds[at] += 1

    def _go_round(self, at: NDArray[np.int64]) -> None:
        """Find where those that go round stop: all at once, or with their hands."""
        of, sizes, rest = self.of, self.sizes[:, at], self.rest[at]
        pages_s, most = self.rate[at] / _FULL, of["max_rounds"][at]
        writes, look = of["dirty_pages_s"][at] / pages_s, pages_s * of["look_ms"][at] / 1000
        stands = of["phase"][at] * sizes[2] // 1
        known, sent, rounds, left = in_turns(
            sizes.sum(axis=0), sizes[3], sizes[2], stands, writes, rest, look, most
        )
        known &= sizes[4] == 0
        zeros, follow = np.zeros(at.size), ~known
        if follow.any():
            some = sizes[:, follow]
            hands = Hands.at_start(some[2], stands[follow], writes[follow])
            limits = rest[follow], look[follow], most[follow]
            sent[follow], rounds[follow], left[follow], zeros[follow] = in_orders(
                some[3], some[4], some[:4].sum(axis=0), hands, *limits, _ZERO / _FULL
            )
        self.left[:, at] = 0
        self.left[0, at], self.left[4, at] = left, zeros
        self.clock[at], self.rounds[at] = sent / pages_s, rounds
        self.sent[at] = sent * _FULL

    def _seconds(self, left: Floats, at: NDArray[np.int64]) -> Floats:
        """Return how long a round lasts: until the look that finds that the rest would fit."""
        sizes = left * _EACH
        drained: Floats = sizes.sum(axis=0) / self.rate[at]
        look = self.of["look_ms"][at] / 1000
        behind = np.cumsum(left[::-1], axis=0)[::-1] - left
        kept = np.clip(self.rest[at] - behind, 0, left) * _EACH
        fits = drained - kept.sum(axis=0) / self.rate[at]
        looks = np.ceil(fits / np.where(look > 0, look, 1.0) - 1e-9)
        return np.where(look > 0, np.minimum(looks * look, drained), drained)
