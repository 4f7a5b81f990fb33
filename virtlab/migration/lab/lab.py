"""The home lab: a grid of real migrations, kept as they come, beside what the model predicts.

The model is given the parameters alone, so on a machine of your own it is tried on runs that it has
never seen. What is compared: the time from start to end, the bytes sent, the pause, the number of
rounds, and whether it converged at all within `TIMEOUT_S`.

A run on a busy machine is noise (`Record.calm`): it is kept but marked, and tried again if asked
to; of several runs of one cell the calmest counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from tqdm import tqdm

from virtlab.migration.lab.machine import LabError, choose_accelerator, why_not
from virtlab.migration.lab.qmp import QmpError
from virtlab.migration.lab.record import Record, append, read
from virtlab.migration.lab.runner import TIMEOUT_S, measure
from virtlab.results import Result
from virtlab.validate import InvalidInputError, integer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from virtlab.migration.lab.cells import Cell

__all__ = ["COMPARED", "Failure", "LabRun", "calmest", "run_lab"]

# What is compared, and in which unit: relative errors but for the last two.
COMPARED = ("total_s", "sent_mib", "downtime_ms", "rounds")
_MIB = 2**20


@dataclass(frozen=True)
class Failure:
    """A migration that could not be measured.

    Attributes
    ----------
    run_id
        Which.
    why
        What went wrong, as a sentence.
    """

    run_id: str
    why: str


@dataclass(frozen=True)
class LabRun(Result):
    """Measured migrations, and predicted ones beside them.

    Attributes
    ----------
    records
        What was measured, one for each cell.
    failures
        What could not be.
    predicted
        For each record, in the same order, a row with `converged`, `total_s`, `sent_mib`,
        `downtime_ms` and `rounds`; or None, where nothing was predicted.

    Examples
    --------
    >>> LabRun((), ()).explain()
    'Nothing was measured.'
    """

    records: tuple[Record, ...]
    failures: tuple[Failure, ...] = ()
    predicted: pd.DataFrame | None = None

    def measured(self) -> pd.DataFrame:
        """Return what was measured, in the words of the model.

        Returns
        -------
        pandas.DataFrame
            A row for each record: `run_id`, `group`, `converged`, `total_s`, `sent_mib`,
            `downtime_ms`, `rounds`, `calm`.

        Examples
        --------
        >>> LabRun(()).measured().columns.tolist()[:4]
        ['run_id', 'group', 'converged', 'total_s']
        """
        rows = [
            (
                record.run_id,
                record.group,
                record.outcome != "not_converged_cancelled",
                record.total_time_ms / 1e3,
                record.transferred_bytes / _MIB,
                np.nan if record.downtime_qemu_ms is None else record.downtime_qemu_ms,
                record.dirty_sync_count,
                record.calm,
            )
            for record in self.records
        ]
        return pd.DataFrame(rows, columns=["run_id", "group", "converged", *COMPARED, "calm"])

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each migration.

        Returns
        -------
        pandas.DataFrame
            As `measured`; where there are predictions, `predicted_converged` and so on beside them,
            `total_error_pct` and `sent_error_pct` (predicted less measured, percent of measured),
            `downtime_error_ms` and `rounds_error`: NaN where one of the two did not converge.

        Examples
        --------
        >>> len(LabRun(()).to_frame())
        0
        """
        frame = self.measured()
        if self.predicted is None:
            return frame
        for name in ("converged", *COMPARED):
            frame[f"predicted_{name}"] = self.predicted[name].to_numpy()
        both = frame["converged"] & frame["predicted_converged"]
        for name, unit in zip(COMPARED, ("pct", "pct", "ms", ""), strict=True):
            error = frame[f"predicted_{name}"] - frame[name]
            if unit == "pct":
                error = 100 * error / frame[name]
            label = "_".join(filter(None, [name.split("_")[0], "error", unit]))
            frame[label] = error.where(both)
        return frame

    def summary(self) -> dict[str, float | int | str]:
        """Return the counts and, where there are predictions, the errors over calm runs.

        Returns
        -------
        dict
            Counts; the share whose convergence was predicted, percent; median and 90th percentile
            of the absolute errors of calm runs that completed.

        Examples
        --------
        >>> LabRun(()).summary()["migrations"]
        0
        """
        frame = self.to_frame()
        numbers: dict[str, float | int | str] = {
            "migrations": len(frame),
            "calm": int(frame["calm"].sum()),
            "converged": int(frame["converged"].sum()),
            "failed": len(self.failures),
        }
        if self.predicted is None or frame.empty:
            return numbers
        right = frame["converged"] == frame["predicted_converged"]
        numbers["convergence_right_pct"] = float(100 * right.mean())
        for name in (str(column) for column in frame if "_error" in str(column)):
            errors = frame.loc[frame["calm"], name].abs().dropna()
            if len(errors):
                numbers[f"{name}_median"] = float(errors.median())
                numbers[f"{name}_p90"] = float(errors.quantile(0.9))
        return numbers

    def explain(self) -> str:
        """Return what was measured and how far off the predictions are.

        Returns
        -------
        str
            One to three sentences.

        Examples
        --------
        >>> LabRun((), (Failure("m256", "QEMU ended."),)).explain()
        'Nothing was measured. 1 could not be measured: m256 (QEMU ended).'
        """
        numbers = self.summary()
        total = len(self.records)
        if total:
            counts = f"{numbers['converged']} of {total} migrations completed, "
            text = [f"{counts}{numbers['calm']} of {total} on a calm machine."]
            if not numbers["calm"]:
                text.append("Figures from a busy machine are noise: close what is busy, try again.")
        else:
            text = ["Nothing was measured."]
        if "total_error_pct_median" in numbers:
            text.append(
                "Half of the predictions for the calm runs are within "
                f"{numbers['total_error_pct_median']:.2g} % of the time, "
                f"{numbers['sent_error_pct_median']:.2g} % of the bytes and "
                f"{numbers['downtime_error_ms_median']:.2g} ms of the pause; whether it converges "
                f"is right for {numbers['convergence_right_pct']:.3g} %."
            )
        if self.failures:
            first = self.failures[0]
            text.append(
                f"{len(self.failures)} could not be measured: {first.run_id} "
                f"({first.why.rstrip('.')})."
            )
        return " ".join(text)


def calmest(records: Iterable[Record]) -> tuple[Record, ...]:
    """Return one record for each cell: that of the calmest run.

    Parameters
    ----------
    records
        Of any number of runs.

    Returns
    -------
    tuple of Record
        In the order in which the cells first came.

    Examples
    --------
    >>> calmest([])
    ()
    """
    best: dict[str, Record] = {}
    for record in records:
        known = best.get(record.run_id)
        if known is None or _noise(record) < _noise(known):
            best[record.run_id] = record
    return tuple(best.values())


def _noise(record: Record) -> tuple[bool, float, float]:
    return not record.calm, record.qemu_waited_ms or 0.0, record.host_cpu_busy_pct or 0.0


def run_lab(
    cells: Sequence[Cell],
    *,
    out: Path | None = None,
    accelerator: str = "auto",
    seed: int = 0,
    attempts: int = 1,
    predict: Callable[[Sequence[Record]], pd.DataFrame] | None = None,
    hidden: bool | None = None,
) -> LabRun:
    """Measure each cell, and hold the model's predictions against it.

    Parameters
    ----------
    cells
        What to try.
    out
        Where to keep each row as soon as it is there; rows that it holds are not measured again.
    accelerator
        'kvm', 'tcg' or 'auto'.
    seed
        Of the guests' chance: the order of random writes, the page at which a turn begins.
    attempts
        How often to try a cell at most, as long as the machine is busy.
    predict
        Gives the rows of `LabRun.predicted`; if there is none, nothing is predicted.
    hidden
        Whether to hide the progress bar; None hides it where no one watches.

    Returns
    -------
    LabRun
        With what was in the file of these cells.

    Raises
    ------
    LabError
        If there is no QEMU, and something is left to measure.
    InvalidInputError
        If `out` is another kind of file, or a cell's name comes twice.

    Examples
    --------
    >>> from virtlab.migration.lab.cells import grid
    >>> run_lab(grid("small")).explain()  # doctest: +SKIP
    '6 of 6 migrations completed, 6 of 6 on a calm machine.'
    """
    integer("attempts", attempts, minimum=1)
    names = [cell.run_id for cell in cells]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidInputError("cells", twice, "there once: give a repetition another rep")
    records = [record for record in (read(out) if out else []) if record.run_id in set(names)]
    failures: list[Failure] = []
    seeds = np.random.default_rng(seed).integers(1, 2**31, size=(len(cells), attempts))
    left = [
        (cell, int(its_seed))
        for cell, its_seeds in zip(cells, seeds, strict=True)
        for its_seed in its_seeds
    ]
    ready = ""
    for cell, its_seed in tqdm(left, disable=hidden, unit="run", leave=False):
        if _done(cell, records, attempts, failures):
            continue
        ready = ready or _ready(accelerator)
        try:
            record = measure(cell, ready, seed=its_seed, timeout_s=TIMEOUT_S)
        except (LabError, QmpError) as error:
            failures.append(Failure(cell.run_id, str(error)))
            continue
        if out:
            append(out, record)
        records.append(record)
    chosen = calmest(records)
    return LabRun(chosen, tuple(failures), predict(chosen) if predict and chosen else None)


def _ready(accelerator: str) -> str:
    if why_not():
        raise LabError(why_not())
    return choose_accelerator(accelerator)


def _done(
    cell: Cell, records: Sequence[Record], attempts: int, failures: Sequence[Failure]
) -> bool:
    mine = [record for record in records if record.run_id == cell.run_id]
    failed = any(failure.run_id == cell.run_id for failure in failures)
    return failed or len(mine) >= attempts or any(record.calm for record in mine)
