"""Where the measured data are: in a checkout in `data/`, in an installed wheel in the package."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from virtlab.validate import one_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["arrays", "data_path", "folder"]

_HERE = Path(__file__).resolve().parents[1]


def folder(name: str) -> Path:
    """Return where a folder that travels with the package is.

    Parameters
    ----------
    name
        'data' or 'notebooks'.

    Returns
    -------
    pathlib.Path
        The folder in the checkout, or the one inside the installed package.

    Raises
    ------
    FileNotFoundError
        If neither is there: the installation is broken.

    Examples
    --------
    >>> folder("data").is_dir()
    True
    """
    for candidate in (_HERE / f"_{name}", _HERE.parent / name):
        if candidate.is_dir():
            return candidate
    raise FileNotFoundError(f"no folder {name!r} beside the package: install virtlab again")


def data_path(name: str) -> Path:
    """Return the path of one data file.

    Parameters
    ----------
    name
        File name, as in `data/README.md`.

    Returns
    -------
    pathlib.Path
        Where it is.

    Raises
    ------
    InvalidInputError
        If there is no such file; the error lists those there are.

    Examples
    --------
    >>> data_path("README.md").name
    'README.md'
    """
    root = folder("data")
    known = tuple(sorted(path.name for path in root.iterdir() if path.is_file()))
    return root / one_of("name", name, known)


@cache
def arrays(name: str) -> dict[str, NDArray[np.generic]]:
    """Unpack an npz once; the columns made from it are copies."""
    with np.load(data_path(name), allow_pickle=False) as packed:
        return {key: packed[key] for key in packed.files}
