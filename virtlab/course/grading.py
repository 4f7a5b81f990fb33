"""Grade notebooks that students hand in: run a copy, read its sheet of questions.

The copy is run from top to bottom, as the student would; its solution cells are left out, so that
they don't count. An error in a cell does not stop it, an endless loop is interrupted.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from virtlab.results import Result
from virtlab.validate import number

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

__all__ = ["Grade", "Grades", "grade"]

_MARK = "virtlab scores: "
_REPORT = f"""
import builtins, json
from virtlab.course.sheet import loaded_scores
builtins.print({_MARK!r} + json.dumps(loaded_scores()))
"""


@dataclass(frozen=True)
class Grade:
    """What one notebook's questions came to.

    Attributes
    ----------
    name
        The notebook's file name, without its ending; its path, if another has the same name.
    rows
        A dict for each question: chapter, question, kind, state, tries.
    trouble
        Why there are none, in a sentence; '' if all went well.
    """

    name: str
    rows: tuple[dict[str, Any], ...] = ()
    trouble: str = ""

    @property
    def right(self) -> int:
        """How many questions are right."""
        return sum(row["state"] == "right" for row in self.rows)


@dataclass(frozen=True)
class Grades(Result):
    """What several notebooks came to.

    Attributes
    ----------
    grades
        One for each.

    Examples
    --------
    >>> row = {"chapter": "shares", "question": "vm2", "state": "right", "tries": 2}
    >>> print(Grades((Grade("ann", (row,)),)).explain())
    ann: 1 of 1 right.
    """

    grades: tuple[Grade, ...]

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each notebook and question.

        Returns
        -------
        pandas.DataFrame
            Name, chapter, question, state, tries.

        Examples
        --------
        >>> row = {"chapter": "shares", "question": "vm2", "state": "right", "tries": 2}
        >>> Grades((Grade("ann", (row,)),)).to_frame()
          name chapter question  state  tries
        0  ann  shares      vm2  right      2
        """
        import pandas as pd

        columns = ["name", "chapter", "question", "state", "tries"]
        rows = [{"name": one.name, **row} for one in self.grades for row in one.rows]
        return pd.DataFrame(rows, columns=columns)

    def summary(self) -> dict[str, float | int | str]:
        """Return how many questions each notebook got right.

        Returns
        -------
        dict
            Notebooks, and the number of right answers by name.

        Examples
        --------
        >>> Grades((Grade("ann"),)).summary()
        {'notebooks': 1, 'ann': 0}
        """
        return {"notebooks": len(self.grades), **{one.name: one.right for one in self.grades}}

    def to_json(self) -> dict[str, Any]:
        """Return the rows, and why a notebook has none, in built-in types.

        Returns
        -------
        dict
            As `Result.to_json`, and `trouble`, a sentence by name.

        Examples
        --------
        >>> Grades((Grade("bob", trouble="It holds no questions."),)).to_json()["trouble"]
        {'bob': 'It holds no questions.'}
        """
        trouble = {one.name: one.trouble for one in self.grades if one.trouble}
        return {**super().to_json(), "trouble": trouble}

    def explain(self) -> str:
        """Return a sentence for each notebook.

        Returns
        -------
        str
            How many are right, or what went wrong.

        Examples
        --------
        >>> print(Grades((Grade("bob", trouble="It holds no questions."),)).explain())
        bob: It holds no questions.
        """
        return " ".join(
            f"{one.name}: {one.trouble or f'{one.right} of {len(one.rows)} right.'}"
            for one in self.grades
        )


def grade(
    notebooks: Sequence[Path | str], seconds: float = 120, *, progress: bool = False
) -> Grades:
    """Run a copy of each notebook and read its sheet. This runs the students' code, here.

    Parameters
    ----------
    notebooks
        Paths of `.ipynb` files; they are not changed.
    seconds
        Time for all cells of one notebook together; what runs longer is interrupted.
    progress
        Whether to show a bar.

    Returns
    -------
    Grades
        A row for each question of each notebook.

    Raises
    ------
    FileNotFoundError
        If there is no such file, or what runs notebooks is not installed.

    Examples
    --------
    >>> grade([]).explain()
    ''
    """
    seconds = number("seconds", seconds, minimum=1)
    paths = [Path(notebook) for notebook in notebooks]
    missing = [str(path) for path in paths if not path.is_file()]
    if missing:
        raise FileNotFoundError(f"no notebook {', '.join(missing)}")
    if importlib.util.find_spec("nbclient") is None:
        raise FileNotFoundError("nbclient is not installed here: pip install '.[lab]' brings it")
    from tqdm import tqdm

    named = tqdm(
        list(zip(paths, _names(paths), strict=True)),
        unit="notebook",
        delay=1.0,
        disable=None if progress else True,
    )
    return Grades(tuple(_grade(path, name, seconds) for path, name in named))


def _names(paths: Sequence[Path]) -> list[str]:
    """Name each notebook by its file; where two have one name, by their folders too."""
    stems = [path.stem for path in paths]
    return [
        stem if stems.count(stem) == 1 else path.with_suffix("").as_posix()
        for stem, path in zip(stems, paths, strict=True)
    ]


def _grade(path: Path, name: str, seconds: float) -> Grade:
    import nbformat
    from nbclient.exceptions import DeadKernelError

    try:
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
    except Exception:  # noqa: BLE001 - a hand-in may be anything, and nbformat raises anything
        return Grade(name, trouble="This is not a notebook.")
    notebook.cells = [cell for cell in notebook.cells if not _is_solution(cell)]
    notebook.cells.append(nbformat.v4.new_code_cell(_REPORT))
    try:
        _run(notebook, path.parent, seconds)
    except DeadKernelError:
        return Grade(name, trouble="Its Python died while it ran.")
    scores = _scores(notebook.cells[-1])
    rows = tuple({"chapter": one["chapter"], **row} for one in scores for row in one["rows"])
    return Grade(name, rows, trouble="" if rows else "It holds no questions that ran.")


def _is_solution(cell: Any) -> bool:
    return "solution" in cell.metadata.get("tags", [])


def _run(notebook: Any, folder: Path, seconds: float) -> None:
    from nbclient import NotebookClient

    end = time.monotonic() + seconds

    def left(cell: Any) -> int:
        least = 30 if cell is notebook.cells[-1] else 1  # the report must come through
        return max(least, round(end - time.monotonic()))

    client = NotebookClient(
        notebook,
        kernel_name="python3",
        timeout_func=left,
        interrupt_on_timeout=True,
        allow_errors=True,
        record_timing=False,
        resources={"metadata": {"path": str(folder)}},
        extra_arguments=["--log-level=ERROR"],
    )
    try:
        client.execute(stderr=subprocess.DEVNULL)  # what the kernel itself says of its end
    except (asyncio.CancelledError, AssertionError) as error:
        # What becomes of Ctrl-C: nbclient ends the kernel, then misses it.
        raise KeyboardInterrupt from error


def _scores(cell: Any) -> list[dict[str, Any]]:
    for output in cell.outputs:
        text: str = output.get("text", "")
        if _MARK in text:
            found: list[dict[str, Any]] = json.loads(text.partition(_MARK)[2].splitlines()[0])
            return found
    return []
