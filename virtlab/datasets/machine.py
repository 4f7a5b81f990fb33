"""Data on processors: what instructions did on a real one."""

from __future__ import annotations

import pandas as pd

from virtlab.datasets.files import data_path

__all__ = ["ring3_native"]


def ring3_native() -> pd.DataFrame:
    """Return what the probes of `virtlab.machine.probes` did at ring 3 of a real processor.

    Returns
    -------
    pandas.DataFrame
        A row for each: `name`, `mnemonic`, `fault` (empty if it ran), and what was there after it.

    Notes
    -----
    Measured for this project (`data/README.md`) by `tools/measure_ring3.py`.

    Examples
    --------
    >>> found = ring3_native()
    >>> found.loc[found["name"] == "popf", ["fault", "interrupt_flag"]].values.tolist()
    [['', 1.0]]
    """
    return pd.read_csv(data_path("ring3_native.csv"), keep_default_na=False).apply(_numbers)


def _numbers(column: pd.Series) -> pd.Series:
    return column if column.name in ("name", "mnemonic", "fault") else pd.to_numeric(column)
