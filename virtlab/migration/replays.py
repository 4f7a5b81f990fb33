"""How well a curve foretells a migration: nine real programs, replayed page by page.

The curve of a program says how many distinct pages it writes in an interval, on average over the
minute that it was traced. A migration meets one moment of that minute. So a prediction from the
curve is held against the mean of replays that start at several moments, and the spread of these
says how much the moment matters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd
from tqdm import tqdm

from virtlab.migration.levels import Rounds, compare_levels
from virtlab.migration.link import Link
from virtlab.migration.vm import PAGE_BYTES, Vm
from virtlab.migration.workloads import TRACES, Trace
from virtlab.results import Result
from virtlab.validate import InvalidInputError, one_of

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["BUSY", "Replays", "replay_traces"]

BUSY = TRACES[2:]  # the two others write next to nothing
_RULE = Rounds(threshold_mib=1.0, max_rounds=8)


@dataclass(frozen=True)
class Replays(Result):
    """Predictions from curves, beside replays.

    Attributes
    ----------
    rows
        Program, start in its trace (s), pages sent by the replay, and as the curve predicts.
    """

    rows: tuple[tuple[str, float, float, float], ...]

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each program: mean, least and most of the replays, and the prediction.

        `error_percent` is the prediction against the mean.
        """
        columns = ["program", "start_s", "replayed", "predicted_pages"]
        groups = pd.DataFrame(list(self.rows), columns=columns).groupby("program", sort=False)
        frame = groups["replayed"].agg(["mean", "min", "max"])
        frame.columns = ["replayed_pages", "least_pages", "most_pages"]
        frame["predicted_pages"] = groups["predicted_pages"].first()
        frame["error_percent"] = 100 * (frame["predicted_pages"] / frame["replayed_pages"] - 1)
        return frame.reset_index()

    def summary(self) -> dict[str, float | int | str]:
        """Return how many programs are predicted within 10 %."""
        error = self.to_frame()["error_percent"].abs()
        return {
            "programs": len(error),
            "within_10_percent": int((error <= 10).sum()),
            "median_error_percent": float(error.median()),
            "largest_error_percent": float(error.max()),
        }

    def explain(self) -> str:
        """Return it in a sentence."""
        said = self.summary()
        return (
            f"From the curve alone, the pages sent are within 10 % of the mean replay for "
            f"{said['within_10_percent']} of {said['programs']} programs; the median error is "
            f"{said['median_error_percent']:.1f} %, the largest "
            f"{said['largest_error_percent']:.0f} %."
        )


def replay_traces(
    programs: Sequence[str] = BUSY,
    starts_s: Sequence[float] = (0.0, 11.0, 23.0, 37.0, 48.0),
    link: Link | None = None,
    *,
    progress: bool = False,
) -> Replays:
    """Migrate machines that run traced programs, and predict it from their curves.

    Parameters
    ----------
    programs
        Names of traces.
    starts_s
        When in its trace a migration starts, s.
    link
        The network; 50 MiB/s by default, where most of them do not converge.
    progress
        Whether to show a bar.

    Returns
    -------
    Replays
        A row for each program and start.

    Raises
    ------
    InvalidInputError
        If a program is not known, or there is no start.

    Examples
    --------
    >>> print(replay_traces(["stream"], starts_s=[0.0]).explain())
    From the curve alone, the pages sent are within 10 % of the mean replay for 1 of 1 programs; \
the median error is 0.0 %, the largest 0 %.
    """
    if not starts_s:
        raise InvalidInputError("starts_s", starts_s, "a list of at least one number")
    link = link or Link(bandwidth_mib_s=50.0)
    rows = []
    for name in tqdm(programs, disable=not progress, unit="program"):
        one_of("programs", name, TRACES)
        for start_s in starts_s:
            trace = Trace.named(name, start_s=start_s)
            ram_mib = -(-trace.pages * PAGE_BYTES // 2**20)
            frame = compare_levels(Vm(ram_mib=ram_mib), trace, link, _RULE).to_frame()
            sent = frame.set_index("level")["pages_sent"]
            rows.append((name, start_s, float(sent["page level"]), float(sent["measured curve"])))
    return Replays(tuple(rows))
