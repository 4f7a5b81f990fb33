"""Measured runs that travel with the course: one of each way to move, and how others came out."""

from __future__ import annotations

import json
from dataclasses import asdict
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from virtlab.datasets import data_path
from virtlab.migration.live.outcome import Audit, HotMigration, Payments
from virtlab.migration.live.setup import LiveSetup

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["FILE", "repeats", "stored", "write"]

FILE = "hot_migration.npz"
_PLAIN = ("algorithm", "outcome", "sent_bytes", "left_pages", "asked_pages", "restarts",
          "reconnects")  # fmt: skip


def write(
    path: Path, runs: Mapping[str, HotMigration], summaries: list[dict[str, float | int | str]]
) -> None:
    """Write measured runs.

    Parameters
    ----------
    path
        The file, npz.
    runs
        By the name of the way.
    summaries
        Of these and of others like them.

    Examples
    --------
    >>> write.__name__
    'write'
    """
    arrays = {"summaries": np.array(json.dumps(summaries))}
    for name, run in runs.items():
        more = {field: getattr(run, field) for field in _PLAIN}
        more["setup"] = asdict(run.setup)
        more["audit"] = asdict(run.audit) if run.audit else None
        more["events"] = run.events.round(6).to_dict("list")
        more["rounds"] = run.rounds.round(6).to_dict("list")
        arrays[f"{name}_told"] = np.array(json.dumps(more))
        arrays[f"{name}_client"] = run.payments.client.astype(np.uint8)
        sent, answered = run.payments.sent_s, run.payments.answered_s
        arrays[f"{name}_answered_us"] = np.round(1e6 * answered).astype(np.int32)
        arrays[f"{name}_latency_us"] = np.round(1e6 * (answered - sent)).astype(np.int32)
    np.savez_compressed(path, allow_pickle=False, **arrays)


@cache
def stored(algorithm: str) -> HotMigration:
    """Return a measured run.

    Parameters
    ----------
    algorithm
        precopy, stop, deck or postcopy.

    Returns
    -------
    HotMigration
        As `hot_migration` gave it; times are whole microseconds.

    Examples
    --------
    >>> stored("precopy").outcome, stored("precopy").audit.clean
    ('moved', True)
    """
    with np.load(data_path(FILE), allow_pickle=False) as packed:
        told = json.loads(str(packed[f"{algorithm}_told"]))
        client = packed[f"{algorithm}_client"].astype(np.int64)
        answered = packed[f"{algorithm}_answered_us"] / 1e6
        latency = packed[f"{algorithm}_latency_us"] / 1e6
    return HotMigration(
        setup=LiveSetup(**told["setup"]),
        payments=Payments(client, answered - latency, answered),
        events=pd.DataFrame(told["events"]),
        rounds=pd.DataFrame(
            told["rounds"], columns=["round", "pages", "start_s", "end_s", "paused"]
        ),
        audit=Audit(**told["audit"]),
        **{field: told[field] for field in _PLAIN},
    )


@cache
def repeats() -> pd.DataFrame:
    """Return how each measured run came out, a row a run.

    Returns
    -------
    DataFrame
        The keys of `HotMigration.summary` as columns.

    Examples
    --------
    >>> frame = repeats()
    >>> int(frame["lost"].sum()), int(frame["doubled"].sum())
    (0, 0)
    """
    with np.load(data_path(FILE), allow_pickle=False) as packed:
        return pd.DataFrame(json.loads(str(packed["summaries"])))
