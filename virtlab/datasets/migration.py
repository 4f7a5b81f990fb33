"""Data on migration: the pages that programs write, tick by tick, and their curves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from virtlab.datasets.files import data_path
from virtlab.validate import one_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["dirty_trace", "trace_meta", "wws_curves"]


def dirty_trace(program: str) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Return which pages a real program wrote in each tenth of a second.

    Parameters
    ----------
    program
        A `workload` of `trace_meta`: 'redis_set', 'sqlite_update', 'java_churn', 'gpp' ...

    Returns
    -------
    written : ndarray
        Shape (ticks, pages), boolean.
    ends_s : ndarray
        Shape (ticks + 1,): when the first tick starts, and when each ends, s.

    Notes
    -----
    Measured for this project (`data/README.md`).

    Examples
    --------
    >>> written, ends_s = dirty_trace("stream")
    >>> written.shape, float(ends_s[-1]), int(written.sum(axis=1).mean())
    ((199, 46968), 19.896, 26866)
    """
    with np.load(data_path("dirty_traces.npz"), allow_pickle=False) as packed:
        known = tuple(name for name in packed.files if f"{name}_t" in packed.files)
        one_of("program", program, known)
        bits, times = packed[program], packed[f"{program}_t"]
    pages = int(trace_meta().set_index("workload")["pages"][program])
    written = np.unpackbits(bits, axis=1, count=pages).astype(np.bool_)
    return written, times.astype(np.float64) / 1000


def trace_meta() -> pd.DataFrame:
    """Return what is known of each program whose writes were traced.

    Returns
    -------
    pandas.DataFrame
        A row for each program: `workload`, `ticks`, `resident_pages` (0: not known),
        `touched_pages`, `median_bin_ms`, `max_bin_ms`, `median_pages_bin`, `pages` (columns of its
        bitmap), in pages of 4,096 bytes and ms.

    Notes
    -----
    Measured for this project (`data/README.md`).

    Examples
    --------
    >>> meta = trace_meta().set_index("workload")
    >>> len(meta), int(meta.loc["redis_set", "pages"])
    (11, 10679)
    """
    frame = pd.read_csv(data_path("trace_meta.csv"))
    frame = frame.rename(columns={frame.columns[0]: "workload"})
    whole = ["ticks", "resident_pages", "touched_pages", "median_pages_bin", "pages"]
    return frame.astype(dict.fromkeys(whole, np.int64))


def wws_curves() -> pd.DataFrame:
    """Return how many distinct pages each traced program wrote in an interval.

    Returns
    -------
    pandas.DataFrame
        A row for each program and length: `workload`, `interval_s` (asked for), `measured_s`,
        `distinct_mean`, `p5`, `p95` and `sum_of_bins` (pages that ticks of 0.1 s name, added up).

    Notes
    -----
    Measured for this project (`data/README.md`).

    Examples
    --------
    >>> curves = wws_curves()
    >>> redis = curves[curves["workload"] == "redis_set"].set_index("interval_s")["distinct_mean"]
    >>> float(redis[0.1]), float(redis[1.0])
    (6377.616, 10598.195)
    """
    return pd.read_csv(data_path("wws_curves.csv"))
