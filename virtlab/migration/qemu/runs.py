"""Many migrations at once: a table of parameters in, a table of predictions out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtlab.migration.qemu import constants as c
from virtlab.migration.qemu.model import predict
from virtlab.migration.qemu.spec import QemuParameters
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping
    from typing import Any

    import pandas as pd

    from virtlab.migration.qemu.model import QemuModel

__all__ = ["predict_all", "read_runs"]

# Without these a row says nothing about a migration.
_NEEDED = ("ram_mib", "fill_mib")

_RESULTS = ("converged", "total_s", "sent_bytes", "downtime_ms", "pause_ms", "rounds")
_COLUMNS = ("run_id", *_RESULTS)


def predict_all(
    runs: pd.DataFrame,
    model: QemuModel | None = None,
    *,
    head_start_s: float | None = c.HEAD_START_S,
    progress: bool = False,
) -> pd.DataFrame:
    """Predict every row of a table; its columns of results are not looked at.

    Parameters
    ----------
    runs
        Columns named as in `data/qemu_migrations.csv`; `run_id` is the row's number, from 0,
        if it is missing or empty.
    model
        Which effects count; all by default.
    head_start_s
        How long the writers had been at it, s; None if that is unknown, and medians are taken over
        the most places of a writer that agree.
    progress
        Whether to show a bar.

    Returns
    -------
    pandas.DataFrame
        Columns run_id, converged, total_s, sent_bytes, downtime_ms (as QEMU counts it), pause_ms
        (as the guest feels it), rounds.

    Raises
    ------
    InvalidInputError
        If a column that is needed is missing or a value is wrong; the error names the row.

    Examples
    --------
    >>> from virtlab.migration.qemu.data import qemu_migrations
    >>> predict_all(qemu_migrations().head(2))[["converged", "rounds"]].values.tolist()
    [[True, 3], [True, 4]]
    """
    import pandas as pd

    missing = [name for name in _NEEDED if name not in runs.columns]
    if missing:
        raise InvalidInputError("columns", ", ".join(map(str, runs.columns)), f"with {missing[0]}")
    records: Iterable[dict[Hashable, Any]] = runs.to_dict("records")
    if progress:
        from tqdm import tqdm

        records = tqdm(records, unit="run", delay=1.0, disable=None)
    rows = [
        _row(_name(record, number), record, model, head_start_s)
        for number, record in enumerate(records)
    ]
    return pd.DataFrame(rows, columns=list(_COLUMNS))


def _name(record: Mapping[Any, Any], number: int) -> str:
    """Return what the run is called; one without a name is called by its row's number."""
    name = record.get("run_id", number)
    return str(number if name is None or name != name else name)  # noqa: PLR0124 - NaN


def _row(
    run_id: str, record: Mapping[Any, Any], model: QemuModel | None, head_start_s: float | None
) -> dict[str, object]:
    try:
        predicted = predict(QemuParameters.from_row(record, head_start_s=head_start_s), model)
    except InvalidInputError as error:
        field = f"run {run_id}, {error.field}"
        raise InvalidInputError(field, error.value, error.allowed) from error
    values = (
        predicted.converged,
        predicted.total_s,
        round(predicted.sent_mib * c.MIB),
        predicted.downtime_ms,
        predicted.pause_ms,
        predicted.rounds,
    )
    return dict(zip(_COLUMNS, (run_id, *values), strict=True))


def read_runs(path: str) -> pd.DataFrame:
    r"""Read a file of runs.

    Parameters
    ----------
    path
        A CSV file with columns as in `data/qemu_migrations.csv`.

    Returns
    -------
    pandas.DataFrame
        Its rows; the columns of results stay as they are.

    Raises
    ------
    InvalidInputError
        If it is no CSV file, has no row, or lacks a column that is needed.
    FileNotFoundError
        If there is none.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "runs.csv")
    ...     _ = path.write_text("run_id,ram_mib,fill_mib\na,256,224\n")
    ...     read_runs(str(path))["run_id"].tolist()
    ['a']
    """
    import pandas as pd

    try:
        frame = pd.read_csv(path, dtype={"run_id": str})  # 007 is a name, not a number
    except (UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InvalidInputError(path, reason, "a CSV file with a header and rows") from error
    except IsADirectoryError as error:
        raise FileNotFoundError(f"{path} is a folder, not a CSV file") from error
    for name in _NEEDED:
        if name not in frame.columns:
            header = ",".join(map(str, frame.columns))
            raise InvalidInputError(f"{path}, line 1", header, f"a header with {name}")
    if frame.empty:
        raise InvalidInputError(path, "no rows", "a CSV file with a header and rows")
    for name in _NEEDED:
        if frame[name].isna().any():  # the default would be a guess at what was forgotten
            line = 2 + int(frame[name].isna().to_numpy().argmax())
            raise InvalidInputError(f"{path}, line {line}, column {name}", "", "a number")
    return frame
