"""Reading VMs from a CSV file; an error names the file, the line, the column and the value."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

from virtlab.validate import InvalidInputError, number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

__all__ = ["read_number", "read_rows"]


def read_rows(
    path: Path, columns: Mapping[str, str], needed: Sequence[str] = ()
) -> list[tuple[str, dict[str, str]]]:
    r"""Read a CSV file with a header, columns in any order.

    Parameters
    ----------
    path
        The file.
    columns
        Which column of ours each title stands for; titles may be in capitals.
    needed
        Columns of ours that must be there.

    Returns
    -------
    list
        For each row, where it stands ("FILE, line 2") and its cells by column of ours.

    Raises
    ------
    InvalidInputError
        If there is no row, a column is unknown, double or missing, or a row has another length.
    FileNotFoundError
        If there is no such file.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "vms.csv")
    ...     _ = path.write_text("Name,min\nweb, 20\n")
    ...     rows = read_rows(path, {"name": "name", "min": "min"})
    >>> rows[0][1]
    {'name': 'web', 'min': '20'}
    """
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}")
    rows: list[tuple[str, dict[str, str]]] = []
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True)
            ours = _columns(path, reader.fieldnames or [], columns, needed)
            for row in reader:
                where = f"{path}, line {reader.line_num}"
                if None in row or None in row.values():
                    allowed = f"a row with {len(ours)} columns, as the header has"
                    raise InvalidInputError(where, _written(row), allowed)
                rows.append((where, {ours[title]: text.strip() for title, text in row.items()}))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidInputError(str(path), str(error), "a CSV file in UTF-8") from error
    if not rows:
        raise InvalidInputError(str(path), "no rows", "a header and a row for each VM")
    return rows


def _columns(
    path: Path, header: Sequence[str], columns: Mapping[str, str], needed: Sequence[str]
) -> dict[str, str]:
    """Return which column of ours each column of the file is."""
    *first, last = dict.fromkeys(columns.values())
    found: dict[str, str] = {}
    for title in header:
        key = columns.get(title.strip().lower())
        if key is None or key in found.values():
            allowed = f"{', '.join(first)} or {last}, each once"
            raise InvalidInputError(f"{path}, line 1, column", title, allowed)
        found[title] = key
    if not found:
        raise InvalidInputError(str(path), "empty", "a header and a row for each VM")
    for key in needed:
        if key not in found.values():
            raise InvalidInputError(
                f"{path}, line 1", ",".join(header), f"a header with {' and '.join(needed)}"
            )
    return found


def _written(row: Mapping[str | None, object]) -> str:
    """Put a row that has too many or too few cells together again, for the error."""
    cells: list[object] = []
    for value in row.values():
        cells += value if isinstance(value, list) else [] if value is None else [value]
    return ",".join(map(str, cells))


def read_number(field: str, text: str) -> float:
    """Read one number >= 0, which may be 'inf'.

    Parameters
    ----------
    field
        What to call it in an error.
    text
        What was written.

    Returns
    -------
    float
        The number.

    Raises
    ------
    InvalidInputError
        If it is none.

    Examples
    --------
    >>> read_number("min", "20")
    20.0
    """
    try:
        return number(field, float(text), minimum=0, finite=False)
    except ValueError as error:
        raise InvalidInputError(field, text.strip(), "a number >= 0") from error
