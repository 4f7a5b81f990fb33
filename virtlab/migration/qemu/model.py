"""The model of QEMU's pre-copy, with each effect to be switched off, and its prediction.

QEMU sends a machine's memory in the order of its addresses and looks again every 100 ms. If less
is left than could be sent in the downtime limit at the bandwidth just measured, it reads the bitmap
of pages that were dirtied since; if it is still less, it stops the guest and sends the rest, now
without its cap. The textbook has the same loop and is a third off: it counts pages of zeros as
pages, forgets headers, looks all the time, and charges the rest at the cap.

Where a round-robin writer stands when the migration starts decides which of its pages are sent
before they are written again. As rounds are whole, places fall into groups: from these it takes 4
rounds, from those 6. If the place is unknown, the prediction is the median over the largest group
of places that agree to within 6 %. The median over all places would lie on the edge of a group, or
between two, where no run ends.

Source: QEMU 7.2, `migration/migration.c` and `migration/ram.c`; the runs in
`data/qemu_migrations.csv`. Left out: luck of random writers, the host's other load, compression.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from virtlab.migration.qemu import constants as c
from virtlab.migration.qemu.run import Outcome, migrate_once
from virtlab.results import Result
from virtlab.validate import integer, number

if TYPE_CHECKING:
    from virtlab.migration.qemu.spec import QemuParameters

__all__ = ["QemuModel", "QemuPrediction", "predict"]


@dataclass(frozen=True)
class QemuModel:
    """Which effects count, and the constants.

    Attributes
    ----------
    header_bytes
        Sent before each page; 0 leaves the effect out.
    zero_pages
        Whether a page of zeros costs 9 bytes, or as much as any.
    windows
        Whether QEMU looks every 100 ms, or all the time.
    uncapped_final
        Whether the last stage ignores the cap.
    address_order
        Whether it matters where a round-robin writer stands, or its writes are spread evenly.
    phases
        How many places of the writer are tried.
    agree_percent
        Places agree whose times are all within this of one value. 100: all do.
    guest_catches_up
        Whether a guest that is slowed down makes up for it, as the one measured did: then
        auto-converge changes nothing.
    time_limit_s
        A migration that takes longer is cancelled.
    stop_s, resume_s, zero_page_s
        Fitted; see `virtlab.migration.qemu.constants`.

    Examples
    --------
    >>> QemuModel(zero_pages=False).windows
    True
    """

    header_bytes: float = c.HEADER_BYTES
    zero_pages: bool = True
    windows: bool = True
    uncapped_final: bool = True
    address_order: bool = True
    phases: int = 19
    agree_percent: float = 6.0
    guest_catches_up: bool = True
    time_limit_s: float = c.TIME_LIMIT_S
    stop_s: float = c.STOP_S
    resume_s: float = c.RESUME_S
    zero_page_s: float = c.ZERO_PAGE_S

    def __post_init__(self) -> None:
        """Check the numbers."""
        integer("phases", self.phases, minimum=1, maximum=1000)
        number("agree_percent", self.agree_percent, minimum=0, maximum=100)
        number("time_limit_s", self.time_limit_s, minimum=0.1, maximum=86400)
        for name in ("header_bytes", "stop_s", "resume_s", "zero_page_s"):
            number(name, getattr(self, name), minimum=0)


@dataclass(frozen=True)
class QemuPrediction(Result):
    """What is predicted for one migration.

    Attributes
    ----------
    spec, model
        What was asked.
    outcomes
        One for each place of the writer that was tried.

    Examples
    --------
    >>> from virtlab.migration.qemu import QemuParameters
    >>> p = predict(QemuParameters(ram_mib=256, filled_mib=224, dirty_pages_s=4000, cap_mib_s=64))
    >>> p.converged, p.rounds, round(p.total_s, 1)
    (True, 5, 4.3)
    """

    spec: QemuParameters
    model: QemuModel
    outcomes: tuple[Outcome, ...] = field(repr=False)

    @property
    def converged(self) -> bool:
        """Whether it ends before the time limit, for most places of the writer."""
        return 2 * sum(outcome.converged for outcome in self.outcomes) >= len(self.outcomes)

    @property
    def total_s(self) -> float:
        """How long it takes, s; the time limit if it does not converge."""
        return self._median("total_s")

    @property
    def sent_mib(self) -> float:
        """What is sent, MiB."""
        return self._median("sent_bytes") / c.MIB

    @property
    def downtime_ms(self) -> float:
        """How long the machine stands still, as QEMU counts it, ms; NaN if it does not converge."""
        return self._median("downtime_ms")

    @property
    def pause_ms(self) -> float:
        """From its stop to its start on the target, ms: with what waits in the socket."""
        return self._median("pause_ms")

    @property
    def rounds(self) -> int:
        """How often the dirty bitmap is read, the start and the last stage included."""
        return round(self._median("rounds"))

    @property
    def typical(self) -> Outcome:
        """The outcome nearest to the medians, the number of rounds first, as these are shown."""
        return min(
            self._agreed,
            key=lambda outcome: (
                abs(outcome.rounds - self.rounds),
                abs(outcome.total_s / self.total_s - 1)
                + abs(outcome.sent_bytes / c.MIB / max(self.sent_mib, 1e-9) - 1),
            ),
        )

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each round of the typical outcome.

        Returns
        -------
        pandas.DataFrame
            Columns round, start_s, new_pages, remaining_pages, sent_mib, threshold_mib.
        """
        history = self.typical.history
        return pd.DataFrame(
            {
                "round": np.arange(1, len(history) + 1),
                "start_s": [r.start_s for r in history],
                "new_pages": [r.new_pages for r in history],
                "remaining_pages": [r.remaining_pages for r in history],
                "sent_mib": [r.sent_bytes / c.MIB for r in history],
                "threshold_mib": [r.threshold_bytes / c.MIB for r in history],
            }
        )

    def summary(self) -> dict[str, float | int | str]:
        """Return the medians, and the range over places of the writer."""
        times = [outcome.total_s for outcome in self.outcomes]
        return {
            "algorithm": "qemu",
            "converged": self.converged,
            "total_s": self.total_s,
            "downtime_ms": self.downtime_ms,
            "pause_ms": self.pause_ms,
            "sent_mib": self.sent_mib,
            "rounds": self.rounds,
            "places_tried": len(self.outcomes),
            "total_s_least": min(times),
            "total_s_most": max(times),
        }

    def explain(self) -> str:
        """Return in words how it ends."""
        spread = ""
        times = [outcome.total_s for outcome in self.outcomes]
        if max(times) > 1.01 * min(times):
            agreed = len(self._agreed)
            over = "" if agreed == len(times) else f" over the {agreed} of {len(times)} that agree"
            spread = (
                f" Where the writer stands at the start makes it {min(times):.3g} to "
                f"{max(times):.3g} s; this is the median{over}."
            )
        if not self.converged:
            return (
                f"It does not converge: after {self.total_s:.3g} s and {self.sent_mib:.0f} MiB the "
                f"guest still dirties pages as fast as they are sent.{spread}"
            )
        how = "after its switch to post-copy " if self.typical.postcopy_at_s >= 0 else ""
        return (
            f"It is done {how}after {self.total_s:.3g} s, {self.sent_mib:.0f} MiB and "
            f"{self.rounds} readings of the dirty bitmap; the machine stands still for "
            f"{self.downtime_ms:.0f} ms as QEMU counts it, {self.pause_ms:.0f} ms as the guest "
            f"feels it.{spread}"
        )

    @cached_property
    def _agreed(self) -> list[Outcome]:
        """Outcomes that end as most do, and of these the most whose times agree."""
        ending = [o for o in self.outcomes if o.converged == self.converged]
        return _most_that_agree(ending, self.model.agree_percent / 100)

    def _median(self, name: str) -> float:
        return float(np.median([getattr(outcome, name) for outcome in self._agreed]))


def _most_that_agree(outcomes: list[Outcome], within: float) -> list[Outcome]:
    """Return the largest group within a part of one time; of equals that nearest to the median."""
    times = np.sort([outcome.total_s for outcome in outcomes])
    if within >= 1 or times[0] * (1 + within) >= times[-1] * (1 - within):
        return outcomes
    ends = np.searchsorted(times * (1 - within), times * (1 + within), side="right")
    sizes = ends - np.arange(len(times))
    groups = [times[first : ends[first]] for first in np.flatnonzero(sizes == sizes.max())]
    middle = np.median(times)
    chosen = min(groups, key=lambda group: float(abs(np.median(group) - middle)))
    return [outcome for outcome in outcomes if chosen[0] <= outcome.total_s <= chosen[-1]]


def predict(spec: QemuParameters, model: QemuModel | None = None) -> QemuPrediction:
    """Predict a migration of QEMU from its parameters alone.

    Parameters
    ----------
    spec
        The migration.
    model
        Which effects count; all by default.

    Returns
    -------
    QemuPrediction
        Medians over the places where a round-robin writer may stand, as far as most agree.

    Examples
    --------
    >>> from virtlab.migration.qemu import QemuParameters
    >>> spec = QemuParameters(ram_mib=256, filled_mib=224, dirty_pages_s=32000, cap_mib_s=64)
    >>> predict(spec).converged
    False
    """
    return _predict(spec, model or QemuModel())


@lru_cache(maxsize=4096)
def _predict(spec: QemuParameters, model: QemuModel) -> QemuPrediction:
    places = _places(spec, model)
    return QemuPrediction(spec, model, tuple(migrate_once(spec, model, at) for at in places))


def _places(spec: QemuParameters, model: QemuModel) -> tuple[float | None, ...]:
    """Where a round-robin writer may stand, as shares of its way round; one if all are alike."""
    walked, pages = spec.dirty_pages_s, float(spec.working_set_pages)
    if spec.pattern == "hot":
        walked *= 1 - spec.hot_write_percent / 100
        pages -= spec.hot_pages if spec.hot_write_percent else 0
    if spec.pattern == "random" or walked <= 0 or pages <= 0:
        return (0.0,)
    if not model.address_order:
        return (None,)
    middles = ((np.arange(model.phases) + 0.5) / model.phases).tolist()
    if spec.head_start_s is None:
        return tuple(middles)
    if 2 * c.HEAD_START_SPREAD_S * walked >= pages:  # it may stand anywhere
        return tuple(middles)
    starts = [spec.head_start_s + off * c.HEAD_START_SPREAD_S for off in (-8 / 9, 0.0, 8 / 9)]
    return tuple(start * walked / pages % 1.0 for start in starts)
