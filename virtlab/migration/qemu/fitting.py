"""How the constants of `constants.py` that are fitted came about, to be done again at any time.

None is fitted to a single run. Each is one number for all runs, from a named part of them; the
other parts are for testing. All use clean runs alone, in which the host's processors were not busy
all the time.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from virtlab.migration.qemu import constants as c
from virtlab.migration.qemu.run import migrate_once
from virtlab.migration.qemu.spec import QemuParameters

if TYPE_CHECKING:
    import pandas as pd

    from virtlab.migration.qemu.model import QemuModel

__all__ = ["FITTED_ON", "clean_completed", "fit_final_stage", "fit_head_start", "fit_socket_wake"]

# Groups of runs that constants were fitted on; `link` for the socket alone.
FITTED_ON = ("core", "bw")

CLEAN_PCT = 90


def clean_completed(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the runs that count: completed by pre-copy, on a host that had processors to spare.

    Parameters
    ----------
    runs
        As from `virtlab.datasets.qemu_migrations`.

    Returns
    -------
    pandas.DataFrame
        Those of its rows, without auto-converge, whose guest makes up for lost time.

    Examples
    --------
    >>> from virtlab.migration.qemu.data import qemu_migrations
    >>> len(clean_completed(qemu_migrations()))
    49
    """
    clean = runs["host_cpu_busy_pct"] < CLEAN_PCT
    return runs[clean & (runs["outcome"] == "completed") & (runs["auto_converge"] == 0)]


def fit_final_stage(runs: pd.DataFrame) -> tuple[float, float, float]:
    """Fit what the last stage costs: a constant, a rate, and what the guest feels beyond.

    Parameters
    ----------
    runs
        As measured.

    Returns
    -------
    stop_s, loopback_bytes_s, resume_s : float
        From the median of slopes between any two runs (Theil and Sen), which a few runs that were
        disturbed do not move.

    Examples
    --------
    >>> from virtlab.migration.qemu.data import qemu_migrations
    >>> stop_s, rate, resume_s = fit_final_stage(qemu_migrations())
    >>> round(stop_s * 1000, 1), round(rate / 1e9, 2), round(resume_s * 1000, 1)
    (2.4, 1.43, 1.2)
    """
    chosen = clean_completed(runs[runs["group"].isin(FITTED_ON)])
    sent = chosen["downtime_bytes"].to_numpy(dtype=float)
    down_s = chosen["downtime_qemu_ms"].to_numpy(dtype=float) / 1000
    first, second = np.triu_indices(len(sent), 1)
    apart = np.abs(sent[first] - sent[second]) > 2e6
    steps = (down_s[first] - down_s[second]) / np.where(apart, sent[first] - sent[second], 1)
    slope = float(np.median(steps[apart]))
    stop_s = float(np.median(down_s - slope * sent))
    felt_s = chosen["downtime_stop_to_resume_ms"].to_numpy(dtype=float) / 1000
    return stop_s, 1 / slope, float(np.median(felt_s - down_s))


def fit_socket_wake(runs: pd.DataFrame, rounds: pd.DataFrame, link_mib_s: float = 64.0) -> float:
    """Fit how much must leave a full socket before QEMU may go on.

    Parameters
    ----------
    runs, rounds
        As measured.
    link_mib_s
        Rate of the link of the runs that count, MiB/s.

    Returns
    -------
    float
        Bytes. QEMU looks again after the first wait that ends past 50 ms: the shortest rounds are
        so many waits, each of this many bytes at the link's rate.

    Examples
    --------
    Runs at another rate give the same, though their rounds take 86 ms instead of 64.5:

    >>> from virtlab.migration.qemu.data import qemu_migrations, qemu_rounds
    >>> [round(fit_socket_wake(qemu_migrations(), qemu_rounds(), at) / 1e6, 2) for at in (64, 32)]
    [1.44, 1.44]
    """
    rate = link_mib_s * c.MIB
    chosen = runs[(runs["link_rate_bytes_per_s"] == rate)]
    of_link = rounds[rounds["run_id"].isin(chosen["run_id"]) & (rounds["vm_running"] == 1)]
    took_s = of_link["round_duration_ms"] / 1000
    once_s = float(took_s[(took_s > c.MAX_WAIT_S) & (took_s < 2 * c.MAX_WAIT_S)].median())
    waits = 3 if once_s < 1.5 * c.MAX_WAIT_S else 2  # n - 1 waits end before 50 ms
    return once_s * rate / waits


def fit_head_start(runs: pd.DataFrame, model: QemuModel) -> tuple[float, pd.DataFrame]:
    """Fit how long the writers had been at it when migrations began, one number for all runs.

    Parameters
    ----------
    runs
        As measured.
    model
        The model to fit with.

    Returns
    -------
    seconds : float
        With the least mean error, each run's cut at 10 %, among 1.5 to 2.5 s in steps of 10 ms.
    errors : pandas.DataFrame
        Columns head_start_s and error (mean of the runs' errors in time and in bytes).

    Examples
    --------
    >>> from virtlab.migration.qemu.data import qemu_migrations
    >>> from virtlab.migration.qemu import QemuModel
    >>> fit_head_start(qemu_migrations().head(1), QemuModel())[1].columns.tolist()
    ['head_start_s', 'error']
    """
    import pandas as pd

    chosen = clean_completed(runs[runs["group"].isin(FITTED_ON)])
    tries = np.round(np.arange(1.5, 2.5, 0.01), 2)
    errors = np.zeros(len(tries))
    for row in chosen.to_dict("records"):
        spec = QemuParameters.from_row(row)
        lap_s = max(spec.working_set_pages, 1) / max(spec.dirty_pages_s, 1e-9)
        for i, start_s in enumerate(tries):
            place = float(start_s / lap_s % 1)
            got = migrate_once(replace(spec, head_start_s=None), model, place)
            off = abs(np.log(got.total_s * 1000 / row["total_time_ms"]))
            errors[i] += min(0.1, off) + min(
                0.1, abs(np.log(got.sent_bytes / row["transferred_bytes"]))
            )
    frame = pd.DataFrame({"head_start_s": tries, "error": errors / max(2 * len(chosen), 1)})
    return float(tries[np.argmin(errors)]), frame
