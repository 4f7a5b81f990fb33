"""Where the measured data are: in a checkout in `data/`, in an installed wheel in the package."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from virtlab.validate import one_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["arrays", "changed_files", "data_path", "folder"]

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


def changed_files(built: Path) -> list[str]:
    """Return the files of a folder that are not those its `SHA256SUMS` was written for.

    What is built from sources travels with them; so everyone can see, without a compiler, whether
    the two still belong together.

    Parameters
    ----------
    built
        A folder that holds sources, what was built from them, and `SHA256SUMS`.

    Returns
    -------
    list of str
        Names of files that are others, are missing, or are not in the list.

    Examples
    --------
    >>> from virtlab.machine.guests import FOLDER
    >>> changed_files(FOLDER)
    []
    """
    lines = (built / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
    listed = {name: digest for digest, name in (line.split("  ") for line in lines)}
    there = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in built.iterdir()
        if path.is_file() and path.name != "SHA256SUMS"
    }
    names = sorted(listed.keys() | there.keys())
    return [name for name in names if listed.get(name) != there.get(name)]


@cache
def arrays(name: str) -> dict[str, NDArray[np.generic]]:
    """Unpack an npz once; the columns made from it are copies."""
    with np.load(data_path(name), allow_pickle=False) as packed:
        return {key: packed[key] for key in packed.files}
