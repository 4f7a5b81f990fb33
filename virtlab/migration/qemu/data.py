"""The measured migrations that travel with the package; `data/README.md` has their columns."""

from __future__ import annotations

import pandas as pd

from virtlab.datasets import data_path

__all__ = ["qemu_migrations", "qemu_rounds"]


def qemu_migrations() -> pd.DataFrame:
    """Return 167 live migrations between two QEMU processes, as measured.

    Returns
    -------
    pandas.DataFrame
        A row for each run: what was asked (`ram_mib` to `max_postcopy_bandwidth_bytes_per_s`), how
        it ended, times in ms, bytes and pages as QEMU counts them, how busy the host was.

    Notes
    -----
    Measured for this project (`data/README.md`).

    Examples
    --------
    >>> qemu_migrations()["outcome"].value_counts().to_dict()
    {'completed': 145, 'postcopy_completed': 12, 'not_converged_cancelled': 10}
    """
    return pd.read_csv(data_path("qemu_migrations.csv"))


def qemu_rounds() -> pd.DataFrame:
    """Return the rounds of these migrations: a row for each time that the bitmap was read.

    Returns
    -------
    pandas.DataFrame
        `run_id`, `sync_index` from 1, when it was (ms), pages newly dirtied, bytes remaining, the
        threshold, and what was sent until the next one.

    Notes
    -----
    From QEMU's own trace (`data/README.md`).

    Examples
    --------
    >>> rounds = qemu_rounds()
    >>> rounds["run_id"].nunique(), len(rounds)
    (167, 1509)
    """
    return pd.read_csv(data_path("qemu_rounds.csv.gz"))
