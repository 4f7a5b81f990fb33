"""Thousands of migrations as one table: on one core, on all of them, on many machines.

A question such as "up to which dirty rate does it converge?" is answered by running the model at
every point of a grid. The points know nothing of each other, so anything that runs functions can
run them: a **sweep** (一括実行) takes any `concurrent.futures.Executor`, a pool of threads or of
processes, or Dask's (`Client.get_executor()`), which spreads them over machines.

Four things make the table worth trusting:

- *Order does not matter.* Each point draws from its own seed, a child of the sweep's seed as
  `numpy.random.SeedSequence.spawn` makes them, but numbered by the point's fingerprint (a hash of
  its parameters) and not by its place: whoever runs it, when, and in whatever grid it stands, a
  point has the same result.
- *A killed sweep loses nothing.* With a `journal`, each result is written down as it comes, one
  JSON line; the next run reads the lines and runs what is missing. A last line that was cut off is
  dropped.
- *An error is a row.* A point that fails says why in the column `error`; the others go on. The next
  run with the journal tries it again.
- *The rows are those of the grid, in its order*, whoever came first.

What it leaves out: retries, and limits on time a point.

Source: seeds that are independent by their spawn keys, numpy's manual, "Parallel random number
generation".
"""

from __future__ import annotations

import hashlib
import itertools
import json
from concurrent.futures import BrokenExecutor, as_completed
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from tqdm import tqdm

from virtlab import __version__
from virtlab.results import Result, plain
from virtlab.validate import InvalidInputError, integer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from concurrent.futures import Executor

    import pandas as pd

__all__ = ["Run", "SweepResult", "fingerprint", "grid", "sweep"]

Point = dict[str, Any]  # a configuration: parameters by name
Row = dict[str, Any]


class Run(Protocol):
    """What runs at each point: a function that other processes can import."""

    def __call__(self, point: Mapping[str, Any], seed: int) -> Mapping[str, Any] | Result:
        """Return the numbers of one point, or a result, whose summary they are."""


@dataclass(frozen=True, eq=False)
class SweepResult(Result):
    """The table of a sweep.

    Attributes
    ----------
    rows
        One dict for each point, in the order of the grid: its parameters, its numbers, and `error`,
        '' where there was none.
    resumed
        How many of them came from the journal.

    Examples
    --------
    >>> result = sweep([{"x": 2}, {"x": 3}], lambda point, seed: {"square": point["x"] ** 2})
    >>> result.to_frame().to_dict(orient="list")
    {'x': [2, 3], 'square': [4, 9], 'error': ['', '']}
    """

    rows: tuple[Row, ...]
    resumed: int = 0

    @property
    def errors(self) -> int:
        """How many points failed."""
        return sum(bool(row["error"]) for row in self.rows)

    def to_frame(self) -> pd.DataFrame:
        """Return one row for each point: parameters, numbers, `error`."""
        import pandas as pd

        frame = pd.DataFrame(list(self.rows))
        return frame[[name for name in frame.columns if name != "error"] + ["error"]]

    def summary(self) -> dict[str, float | int | str]:
        """Return how many points there are, failed, and came from the journal."""
        told: dict[str, float | int | str] = {
            "configurations": len(self.rows),
            "errors": self.errors,
            "resumed": self.resumed,
        }
        decided = [row["converged"] for row in self.rows if row.get("converged") is not None]
        if decided:
            told["converged"] = sum(map(bool, decided))
        return told

    def explain(self) -> str:
        """Return how the sweep went."""
        told = self.summary()
        words = f"{len(self.rows):,} configurations"
        if "converged" in told:
            words += f", of which {told['converged']:,} converge"
        if self.resumed:
            words += f"; {self.resumed:,} were read from the journal"
        if self.errors:
            first = next(row["error"] for row in self.rows if row["error"])
            words += f"; {self.errors:,} failed, the first with: {first}"
        return words + "."


def grid(**axes: Any) -> list[Point]:
    """Return every combination of some values.

    Parameters
    ----------
    **axes
        For each parameter one value, or a list, tuple, range or array of them. The last one varies
        fastest.

    Returns
    -------
    list of dict
        The points.

    Raises
    ------
    InvalidInputError
        If an axis is empty.

    Examples
    --------
    >>> grid(ram_mib=512, dirty_pages_s=[1000, 2000])
    [{'ram_mib': 512, 'dirty_pages_s': 1000}, {'ram_mib': 512, 'dirty_pages_s': 2000}]
    """
    lists = {
        name: list(plain(values) if isinstance(values, np.ndarray) else values)
        if isinstance(values, list | tuple | range | np.ndarray)
        else [values]
        for name, values in axes.items()
    }
    for name, values in lists.items():
        if not values:
            raise InvalidInputError(name, [], "one value or more")
    return [dict(zip(lists, values, strict=True)) for values in itertools.product(*lists.values())]


def fingerprint(point: Mapping[str, Any]) -> str:
    """Return a hash of a point's parameters, whatever their order.

    Parameters
    ----------
    point
        Parameters by name: numbers, text, and dataclasses of them.

    Returns
    -------
    str
        32 hexadecimal digits.

    Raises
    ------
    InvalidInputError
        If a parameter is something else, which may differ from one process to the next.

    Examples
    --------
    >>> fingerprint({"a": 1, "b": 2.5}) == fingerprint({"b": 2.5, "a": np.float64(1)})
    True
    """
    text = json.dumps(_plain(dict(point), "point"), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _plain(value: object, field: str) -> Any:
    """Turn a parameter into what JSON can say."""
    if is_dataclass(value) and not isinstance(value, type):
        parts = {item.name: getattr(value, item.name) for item in fields(value)}
        return {"type": type(value).__name__, **_plain(parts, field)}
    if isinstance(value, dict):
        return {str(name): _plain(item, f"{field}.{name}") for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, field) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist(), field)
    if isinstance(value, float) and value.is_integer():
        return int(value)  # 1.0 and 1 are one parameter
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise InvalidInputError(field, value, "a number, a text, or a dataclass of such")


def sweep(
    points: Iterable[Mapping[str, Any]],
    run: Run,
    executor: Executor | None = None,
    *,
    seed: int = 0,
    chunk: int | None = None,
    journal: Path | str | None = None,
    progress: bool = False,
) -> SweepResult:
    """Run a function at every point of a grid, and collect a table.

    Parameters
    ----------
    points
        The configurations, from `grid` or made by hand; a repeated one counts once.
    run
        Called with a point and a seed of its own. For processes and machines it has to be a
        function of a module.
    executor
        Where: a pool of threads or processes, Dask's; this process if not given.
    seed
        Of the sweep; the seeds of the points come from it.
    chunk
        Points that travel together; some hundred chunks if not given.
    journal
        File to which results are added as they come, and from which they are read at the start.
    progress
        Whether a bar shows the points.

    Returns
    -------
    SweepResult
        One row a point, in the order of the grid.

    Raises
    ------
    InvalidInputError
        If there is no point, or a parameter is neither number, text nor dataclass, or the journal
        is none or belongs to another sweep.
    RuntimeError
        If a worker process died. The journal has what was done.

    Examples
    --------
    >>> from concurrent.futures import ThreadPoolExecutor
    >>> def roll(point, seed):
    ...     return {"die": int(np.random.default_rng(seed).integers(1, point["sides"] + 1))}
    >>> dice = grid(sides=[6, 20], throw=range(3))
    >>> with ThreadPoolExecutor(2) as pool:
    ...     result = sweep(dice, roll, pool, seed=1)
    >>> result.rows == sweep(dice, roll, seed=1).rows
    True
    """
    todo = {fingerprint(point): dict(point) for point in points}
    if not todo:
        raise InvalidInputError("points", [], "one configuration or more")
    seed = integer("seed", seed, minimum=0)
    done: dict[str, Row] = {}
    diary = _Journal(Path(journal), seed, run) if journal is not None else None
    if diary is not None:
        wanted = ((key, row) for key, row in diary.read().items() if key in todo)
        done = {key: row for key, row in wanted if not row["error"]}
    resumed = len(done)
    missing = [(key, point, _seed(seed, key)) for key, point in todo.items() if key not in done]
    size = integer("chunk", chunk, minimum=1) if chunk else max(1, min(64, len(missing) // 100))
    chunks = [missing[at : at + size] for at in range(0, len(missing), size)]
    with tqdm(total=len(todo), initial=resumed, disable=not progress, unit=" points") as bar:
        for results in _results(chunks, run, executor):
            if diary is not None:
                diary.write(results)
            done.update(results)
            bar.update(len(results))
    rows = tuple({**_cells(point), **done[key]} for key, point in todo.items())
    return SweepResult(rows, resumed)


def _seed(seed: int, key: str) -> int:
    """Return the seed of a point: a child of the sweep's, numbered by the point's fingerprint."""
    number = tuple(int(key[at : at + 8], 16) for at in range(0, 32, 8))
    child = np.random.SeedSequence(seed, spawn_key=number)
    return int(child.generate_state(1, np.uint64)[0])


def _results(
    chunks: list[list[tuple[str, Point, int]]], run: Run, executor: Executor | None
) -> Iterator[dict[str, Row]]:
    """Yield the rows of each chunk as it is done."""
    if executor is None:
        yield from (_run_chunk(run, chunk) for chunk in chunks)
        return
    futures = [executor.submit(_run_chunk, run, chunk) for chunk in chunks]
    try:
        for future in as_completed(futures):
            yield future.result()
    except BrokenExecutor as error:
        raise RuntimeError("a worker process died; what was done is in the journal") from error
    finally:
        for future in futures:  # on an error or Ctrl-C the rest need not start
            future.cancel()


def _run_chunk(run: Run, chunk: Sequence[tuple[str, Point, int]]) -> dict[str, Row]:
    """Run some points; this is what workers execute."""
    rows = {}
    for key, point, seed in chunk:
        try:
            told = run(point, seed)
            numbers = told.summary() if isinstance(told, Result) else told
            rows[key] = {**plain(dict(numbers)), "error": ""}
        except Exception as error:  # noqa: BLE001 - whatever it was, it becomes a row
            rows[key] = {"error": f"{type(error).__name__}: {error}"}
    return rows


def _cells(point: Mapping[str, Any]) -> Row:
    """Return a point's parameters as cells of a table; a dataclass becomes its text."""
    return {
        name: repr(value) if is_dataclass(value) else plain(value) for name, value in point.items()
    }


class _Journal:
    """A file of JSON lines: first what the sweep is, then one line for each point done."""

    def __init__(self, path: Path, seed: int, run: Run) -> None:
        name = getattr(run, "__qualname__", type(run).__qualname__)
        self.path = path
        self.head = {"sweep": f"{run.__module__}.{name}", "version": __version__, "seed": seed}

    def read(self) -> dict[str, Row]:
        """Return what is done; cut off a last line that is not whole, or begin a new file."""
        first = (json.dumps(self.head) + "\n").encode()
        data = self.path.read_bytes() if self.path.exists() else b""
        if first.startswith(data):  # none yet, or killed while its first line was written
            self.path.write_bytes(first)
            return {}
        whole = data[: data.rfind(b"\n") + 1]
        try:
            head, *lines = [json.loads(line) for line in whole.splitlines()]
            done = {str(line["key"]): {"error": "", **line["row"]} for line in lines}
            there = {name: head[name] for name in self.head}
        except (ValueError, KeyError, TypeError) as error:
            raise InvalidInputError("journal", str(self.path), "a journal of a sweep") from error
        if there != self.head:
            allowed = f"the journal of {self.head}, not of {there}"
            raise InvalidInputError("journal", str(self.path), allowed)
        if len(whole) < len(data):
            with self.path.open("r+b") as file:
                file.truncate(len(whole))
        return done

    def write(self, results: Mapping[str, Row]) -> None:
        """Add lines, and hand them to the system: a killed process has written them."""
        lines = (json.dumps({"key": key, "row": row}) + "\n" for key, row in results.items())
        with self.path.open("a", encoding="utf-8") as file:
            file.write("".join(lines))
