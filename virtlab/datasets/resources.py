"""Data on what is divided: the CPU time that a real scheduler gave to busy processes."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd

from virtlab.datasets.files import data_path

__all__ = ["cpu_machine", "cpu_shares", "cpu_turns"]


def cpu_shares() -> pd.DataFrame:
    """Return the CPU time of busy processes that share one CPU, every half second.

    Returns
    -------
    pandas.DataFrame
        A row for each case, run, reading ('bin') and process: `case`, `run`, `bin`, `phase`,
        `start_s`, `length_ms`, `process`, `cpu_ms`, `waited_ms` (ready, but another one ran) and
        `turns`. Beside the processes 'VM1', 'VM2', ... each reading has 'others' (what ran on
        that CPU and was not ours), 'idle' and 'stolen' (by the machine below), without the last
        two columns.

    Notes
    -----
    Measured for this project (`data/README.md`) by `tools/measure_cpu.py`; the cases are
    `virtlab.resources.cpu_cases`.

    Examples
    --------
    >>> times = cpu_shares()
    >>> times["case"].nunique(), times["run"].nunique(), int(times["bin"].max()) + 1
    (16, 3, 20)
    """
    return pd.read_csv(data_path("cpu_shares.csv.gz"), dtype={"turns": "Int64"})


def cpu_turns() -> pd.DataFrame:
    """Return each turn of each process in the first two seconds of three cases.

    Returns
    -------
    pandas.DataFrame
        A row for each turn, in the order of time: `case`, `process`, `start_ms` and `end_ms`.

    Notes
    -----
    Measured for this project (`data/README.md`) by `tools/measure_cpu.py`.

    Examples
    --------
    >>> cpu_turns()["case"].unique().tolist()
    ['equal shares', '3:2:1', 'nice 5, 0, 5']
    """
    return pd.read_csv(data_path("cpu_turns.csv"))


def cpu_machine() -> dict[str, Any]:
    """Return what is known of the machine of `cpu_shares`.

    Returns
    -------
    dict
        Date, system, processor, how many there are, and on which one it was measured.

    Examples
    --------
    >>> about = cpu_machine()
    >>> about["system"].partition(" ")[0], about["measured_on_cpu"]
    ('Linux', 1)
    """
    about: dict[str, Any] = json.loads(data_path("cpu_machine.json").read_text(encoding="utf-8"))
    return about
