"""A run as a film: what had happened by a moment, in words and numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from virtlab.results import Result
from virtlab.validate import number

if TYPE_CHECKING:
    from virtlab.migration.live.outcome import HotMigration

__all__ = ["Moment", "moment"]

# What the hosts told, in the order of the talk's steps (S41 to S45), as a person would say it.
_WORDS = {
    ("target", "prepared"): "the target has a memory of zeros (the talk's step 1)",
    ("source", "connected"): "the source is connected to the target",
    ("source", "round"): "pages have arrived (step 2)",
    ("source", "quiesced"): "the source's server stands still",
    ("target", "has all"): "the target has all pages, or a bitmap of those left (step 3)",
    ("target", "descriptors here"): "the clients' connections are at the target",
    ("target", "database open"): "the target has opened the database",
    ("target", "claimed"): "the target has the machine: no way back",
    ("target", "serving"): "the target's server answers (step 4)",
    ("target", "last page here"): "the target has every page (step 5)",
    ("source", "deleted"): "the source has given up its copy (step 6)",
}


@dataclass(frozen=True)
class Moment(Result):
    """A run, up to a moment.

    Attributes
    ----------
    run
        The run.
    at_s
        Seconds since the migration began.
    """

    run: HotMigration
    at_s: float

    @property
    def _until(self) -> float:
        return self.at_s + self.run.begin_s

    @property
    def stage(self) -> str:
        """What is going on: before, rounds, pause, fetching or after."""
        run, now = self.run, self._until
        if now < run.begin_s:
            return "before"
        if now < run.when("source", "quiesced"):
            return "rounds"
        if now < run.when("target", "serving"):
            return "pause"
        return "fetching" if now < run.when("target", "last page here") else "after"

    def to_frame(self) -> pd.DataFrame:
        """Return the steps that have been done: at_ms, host, step."""
        rows = [
            (1000 * (float(row["time_s"]) - self.run.begin_s), row["host"], words)
            for row in self.run.events.to_dict("records")
            if row["time_s"] <= self._until
            and (words := _WORDS.get((str(row["host"]), str(row["what"]))))
        ]
        return pd.DataFrame(sorted(rows), columns=["at_ms", "host", "step"])

    def summary(self) -> dict[str, float | int | str]:
        """Return the stage, the payments answered so far, those waiting, and the pages sent."""
        payments, now = self.run.payments, self._until
        sent = sum(
            row["pages"] * min(max((now - row["start_s"]) / (row["end_s"] - row["start_s"]), 0), 1)
            for row in self.run.rounds.to_dict("records")
        )
        return {
            "at_ms": 1000 * self.at_s,
            "stage": self.stage,
            "answered": int((payments.answered_s <= now).sum()),
            "waiting": int(((payments.sent_s <= now) & (payments.answered_s > now)).sum()),
            "sent_pages": round(sent),
        }

    def explain(self) -> str:
        """Say what is going on."""
        told = self.summary()
        doing = {
            "before": "The source serves; nothing has moved yet.",
            "rounds": f"The source serves; {told['sent_pages']} pages have been sent meanwhile.",
            "pause": f"The server stands still; {told['sent_pages']} pages have been sent.",
            "fetching": f"The target serves; of {self.run.left_pages} pages left behind, those "
            "that it needs come first.",
            "after": "The target serves, and has everything.",
        }[self.stage]
        clients = "client is" if told["waiting"] == 1 else "clients are"
        return (
            f"{told['at_ms']:.0f} ms: {doing} {told['answered']} payments have been answered, "
            f"{told['waiting']} {clients} waiting."
        )


def moment(run: HotMigration, at_s: float) -> Moment:
    """Return a run up to a moment.

    Parameters
    ----------
    run
        A run in which the machine moved.
    at_s
        Seconds since the migration began.

    Returns
    -------
    Moment
        What had happened.

    Examples
    --------
    >>> from virtlab.migration.live.stored import stored
    >>> moment(stored("stop"), 0.1).stage
    'pause'
    """
    return Moment(run, number("at_s", at_s, minimum=-3600, maximum=3600))
