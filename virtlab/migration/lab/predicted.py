"""What the model says of the home lab's runs: a hold-out, as no constant was fitted to any of them.

The model (`virtlab.migration.qemu`) has constants that were fitted to other measurements. The lab's
runs were measured later, by a guest and a runner written anew, and the model is given their
parameters alone. Where a guest that writes in turn stands at the start is not a parameter: it is
drawn by chance, and the prediction is the median over places that agree. As the guest is ours, we
know the place all the same, and can ask how much of the error is not knowing it (`known_place`).

Left out, and seen by the lab: pages that come to the target for the first time in the last stage
cost it a page fault each, which makes pauses up to four times as long as predicted
(`data/README.md`).
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import pandas as pd

from virtlab.datasets import data_path
from virtlab.migration.lab.lab import LabRun, calmest
from virtlab.migration.lab.record import read
from virtlab.migration.qemu import QemuModel, QemuParameters, predict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from virtlab.migration.lab.record import Record

__all__ = ["predict_records", "stored_run"]

_NAMES = ("converged", "total_s", "sent_mib", "downtime_ms", "rounds")


def predict_records(
    records: Sequence[Record], *, model: QemuModel | None = None, known_place: bool = False
) -> pd.DataFrame:
    """Predict each of these migrations from its parameters.

    Parameters
    ----------
    records
        Measured runs; their results are not looked at.
    model
        Which effects count; all by default.
    known_place
        Whether to tell the model where a guest that writes in turn stood at the start.

    Returns
    -------
    pandas.DataFrame
        A row for each, in their order: `converged`, `total_s`, `sent_mib`, `downtime_ms`, `rounds`.

    Examples
    --------
    >>> records = stored_run().records
    >>> predict_records(records[:3]).columns.tolist()
    ['converged', 'total_s', 'sent_mib', 'downtime_ms', 'rounds']
    """
    predictions = [
        predict(_parameters(record, known_place=known_place), model) for record in records
    ]
    rows = [[getattr(each, name) for name in _NAMES] for each in predictions]
    return pd.DataFrame(rows, columns=list(_NAMES))


def _parameters(record: Record, *, known_place: bool) -> QemuParameters:
    parameters = QemuParameters.from_row(asdict(record), head_start_s=None)
    page, rate = record.writer_page_at_start, record.dirty_writes_nominal_per_s
    if not known_place or page is None or not rate:
        return parameters
    return replace(parameters, head_start_s=page / rate)  # as if it had begun at the first page


def stored_run(*, model: QemuModel | None = None, known_place: bool = False) -> LabRun:
    """Return the migrations that were measured for this course in the home lab, and predicted.

    Parameters
    ----------
    model, known_place
        As for `predict_records`.

    Returns
    -------
    LabRun
        Of the grids 'full' and 'odd' (`virtlab.migration.lab.cells.grid`).

    Examples
    --------
    >>> len(stored_run().records)
    84
    """
    records = calmest(read(data_path("lab_migrations.csv")))
    predicted = predict_records(records, model=model, known_place=known_place)
    return LabRun(records, (), predicted)
