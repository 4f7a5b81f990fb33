"""Bandwidth against downtime limit: for which does a migration converge, and how long it takes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from virtlab.migration.qemu.model import predict
from virtlab.results import Result
from virtlab.validate import InvalidInputError, one_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from virtlab.migration.qemu.model import QemuModel
    from virtlab.migration.qemu.spec import QemuParameters

__all__ = ["BANDWIDTHS_MIB_S", "LIMITS_MS", "MEASURES", "QemuTable", "bandwidth_table"]

BANDWIDTHS_MIB_S = (16.0, 32.0, 64.0, 128.0, 256.0, 512.0)
LIMITS_MS = (10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0)
# What a cell can show.
MEASURES = ("total_s", "downtime_ms", "sent_mib", "rounds")


@dataclass(frozen=True)
class QemuTable(Result):
    """Migrations of one machine under several caps and downtime limits.

    Attributes
    ----------
    spec
        The migration that was varied.
    cells
        A row for each: cap_mib_s, downtime_limit_ms, converged, total_s, downtime_ms, sent_mib,
        rounds; values are NaN where it does not converge.

    Examples
    --------
    >>> from virtlab.migration.qemu import QemuParameters
    >>> spec = QemuParameters(ram_mib=256, filled_mib=224, dirty_pages_s=8000)
    >>> bandwidth_table(spec, (32, 64), (100, 300)).grid().values.tolist()
    [['-', '-'], ['5.31', '4.82']]
    """

    spec: QemuParameters
    cells: pd.DataFrame = field(repr=False)

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each cell."""
        return self.cells

    def values(self, measure: str = "total_s") -> pd.DataFrame:
        """Return the cells as a table of numbers.

        Parameters
        ----------
        measure
            'total_s', 'downtime_ms', 'sent_mib' or 'rounds'.

        Returns
        -------
        pandas.DataFrame
            A row for each cap, a column for each limit, NaN where it does not converge.

        Raises
        ------
        InvalidInputError
            If there is no such measure.
        """
        one_of("measure", measure, MEASURES)
        table = self.cells.pivot_table(
            index="cap_mib_s", columns="downtime_limit_ms", values=measure, dropna=False
        )
        return table.rename_axis(index="cap, MiB/s", columns="downtime limit, ms")

    def grid(self, measure: str = "total_s") -> pd.DataFrame:
        """Return the cells as words, '-' where it does not converge.

        Parameters
        ----------
        measure
            As for `values`.

        Returns
        -------
        pandas.DataFrame
            Three digits of each number.
        """
        numbers = self.values(measure)
        words = numbers.map(lambda value: "-" if np.isnan(value) else f"{value:.3g}")
        words.index = pd.Index([f"{cap:g}" for cap in numbers.index], name=numbers.index.name)
        words.columns = pd.Index([f"{ms:g}" for ms in numbers], name=numbers.columns.name)
        return words

    def summary(self) -> dict[str, float | int | str]:
        """Return how many converge."""
        return {"cells": len(self.cells), "converged": int(self.cells["converged"].sum())}

    def explain(self) -> str:
        """Return in words where the border is."""
        ends = self.cells[self.cells["converged"]]
        if ends.empty:
            return "None of them converges: the guest dirties pages faster than they are sent."
        if len(ends) == len(self.cells):
            return "All of them converge."
        least = ends.groupby("cap_mib_s")["downtime_limit_ms"].min()
        fast = f", at {least.index[-1]:g} MiB/s {least.iloc[-1]:g} ms" if len(least) > 1 else ""
        return (
            f"{len(ends)} of {len(self.cells)} converge. At {least.index[0]:g} MiB/s it takes a "
            f"limit of {least.iloc[0]:g} ms{fast}."
        )


def bandwidth_table(
    spec: QemuParameters,
    bandwidths_mib_s: Sequence[float] = BANDWIDTHS_MIB_S,
    limits_ms: Sequence[float] = LIMITS_MS,
    *,
    model: QemuModel | None = None,
    progress: bool = False,
) -> QemuTable:
    """Predict a migration for each bandwidth and downtime limit.

    Parameters
    ----------
    spec
        The migration; its own cap and limit do not count.
    bandwidths_mib_s, limits_ms
        Caps (MiB/s) and downtime limits (ms), in any order.
    model
        Which effects count; all by default.
    progress
        Whether to show a bar.

    Returns
    -------
    QemuTable
        A cell for each pair.

    Raises
    ------
    InvalidInputError
        If a list is empty or a value not allowed.

    Examples
    --------
    >>> from virtlab.migration.qemu import QemuParameters
    >>> bandwidth_table(QemuParameters(), (64,), (300,)).summary()
    {'cells': 1, 'converged': 1}
    """
    for name, values in (("bandwidths_mib_s", bandwidths_mib_s), ("limits_ms", limits_ms)):
        if not len(values):
            raise InvalidInputError(name, values, "at least one number")
    pairs: Iterable[tuple[float, float]] = [
        (cap, limit) for cap in sorted(set(bandwidths_mib_s)) for limit in sorted(set(limits_ms))
    ]
    if progress:
        from tqdm import tqdm

        pairs = tqdm(pairs, unit="cell", delay=1.0, disable=None)
    rows = []
    for cap, limit in pairs:
        got = predict(replace(spec, cap_mib_s=cap, downtime_limit_ms=limit), model)
        values = [getattr(got, name) if got.converged else np.nan for name in MEASURES]
        rows.append((cap, limit, got.converged, *values))
    names = ["cap_mib_s", "downtime_limit_ms", "converged", *MEASURES]
    return QemuTable(spec, pd.DataFrame(rows, columns=names))
