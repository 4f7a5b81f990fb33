"""Sweeps: the same table whoever runs it, nothing lost when killed, an error is a row."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab.migration.points import precopy_point
from virtlab.migration.sweep import fingerprint, grid, sweep
from virtlab.migration.vm import Vm
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

POINTS = grid(
    ram_mib=64, working_set_pages=4096, dirty_pages_s=[500, 20_000], level="page", repeat=range(4)
)


def draw(point: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Return something random, or fail."""
    if point.get("bad"):
        raise ValueError("this one is bad")
    return {"drawn": float(np.random.default_rng(seed).random()), "converged": point["x"] > 1}


class Backwards(Executor):
    """Runs everything at once when asked for the last, the last first."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Future[Any], Callable[[], Any]]] = []

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.waiting.append((future, lambda: fn(*args, **kwargs)))
        if len(self.waiting) == 6:
            for told, call in reversed(self.waiting):
                told.set_result(call())
        return future


# --- the grid ------------------------------------------------------------------------------------


def test_a_grid_is_every_combination_the_last_fastest() -> None:
    points = grid(a=[1, 2], b="x", c=np.array([0.5, 1.5]))
    assert [(p["a"], p["b"], p["c"]) for p in points] == [
        (1, "x", 0.5), (1, "x", 1.5), (2, "x", 0.5), (2, "x", 1.5),
    ]  # fmt: skip
    with pytest.raises(InvalidInputError, match="b = "):
        grid(a=1, b=[])


simple = st.one_of(st.integers(-100, 100), st.booleans(), st.text(max_size=3), st.none())


@given(st.dictionaries(st.text(min_size=1, max_size=3), simple, min_size=2, max_size=5))
def test_a_fingerprint_knows_a_point_in_any_order_and_no_other(point: dict[str, Any]) -> None:
    assert fingerprint(point) == fingerprint(dict(reversed(point.items())))
    for name in point:
        assert fingerprint(point) != fingerprint({**point, name: "another"})


def test_a_dataclass_may_be_a_parameter_and_an_object_may_not() -> None:
    one, other = ({"vm": Vm(ram_mib=size)} for size in (64, 128))
    assert fingerprint(one) != fingerprint(other)
    assert fingerprint(one) == fingerprint({"vm": Vm(ram_mib=64)})
    with pytest.raises(InvalidInputError, match=r"point\.vm"):
        fingerprint({"vm": object()})


# --- whoever runs it -----------------------------------------------------------------------------


@pytest.mark.parametrize("chunk", [None, 1, 3])
def test_threads_and_processes_give_the_same_table(chunk: int | None) -> None:
    alone = sweep(POINTS, precopy_point, seed=3, chunk=chunk)
    with ThreadPoolExecutor(2) as threads:
        assert sweep(POINTS, precopy_point, threads, seed=3, chunk=chunk).rows == alone.rows
    if chunk is None:
        with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as processes:
            assert sweep(POINTS, precopy_point, processes, seed=3).rows == alone.rows
    assert not alone.errors
    assert alone.summary()["configurations"] == 8


def test_rows_stand_in_the_grids_order_whoever_came_first() -> None:
    points = grid(x=range(6))
    mixed = sweep(points, draw, Backwards(), chunk=1)
    assert mixed.rows == sweep(points, draw).rows
    assert mixed.to_frame()["x"].tolist() == [0, 1, 2, 3, 4, 5]
    assert mixed.summary()["converged"] == 4


def test_a_point_draws_the_same_in_every_grid_and_another_with_every_seed() -> None:
    wide = {row["x"]: row["drawn"] for row in sweep(grid(x=range(9)), draw, seed=5).rows}
    narrow = {row["x"]: row["drawn"] for row in sweep(grid(x=[7, 2]), draw, seed=5).rows}
    assert narrow.items() <= wide.items()
    assert len(set(wide.values())) == 9
    assert sweep(grid(x=2), draw, seed=6).rows[0]["drawn"] != wide[2]


def test_repeated_points_count_once() -> None:
    assert len(sweep([{"x": 1}, {"x": 1.0}, {"x": 2}], draw).rows) == 2


def test_dask_runs_it_too() -> None:
    distributed = pytest.importorskip(
        "distributed", reason="Dask is not installed: pip install 'virtlab[scale]'"
    )
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        spread = sweep(POINTS, precopy_point, client.get_executor(), seed=3, chunk=1)
    assert spread.rows == sweep(POINTS, precopy_point, seed=3).rows


# --- errors --------------------------------------------------------------------------------------


def test_an_error_is_a_row_and_the_rest_goes_on() -> None:
    result = sweep([{"x": 1}, {"x": 2, "bad": True}, {"x": 3}], draw)
    assert [row["error"] for row in result.rows] == ["", "ValueError: this one is bad", ""]
    assert result.summary()["errors"] == 1
    assert "1 failed, the first with: ValueError: this one is bad" in result.explain()
    frame = result.to_frame()
    assert list(frame.columns)[-1] == "error"
    assert np.isnan(frame["drawn"][1])


def test_a_model_that_refuses_its_input_is_such_a_row() -> None:
    result = sweep(grid(ram_mib=64, working_set_pages=[100, 10**6]), precopy_point)
    assert result.errors == 1
    assert "within the 16384 pages" in result.rows[1]["error"]


def die(point: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Kill the worker at one point."""
    if point["x"] == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return {"x2": 2 * point["x"]}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows knows no SIGKILL")
def test_a_dead_worker_is_told_and_what_was_done_is_kept(tmp_path: Path) -> None:
    journal = tmp_path / "j"
    with (
        ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool,
        pytest.raises(RuntimeError, match="a worker process died"),
    ):
        sweep(grid(x=range(6)), die, pool, chunk=1, journal=journal)
    kept = [json.loads(line)["row"] for line in journal.read_text().splitlines()[1:]]
    assert {"x2": 0, "error": ""} in kept


def test_nothing_to_run_is_an_error() -> None:
    with pytest.raises(InvalidInputError, match="points"):
        sweep([], draw)
    with pytest.raises(InvalidInputError, match="chunk"):
        sweep([{"x": 1}], draw, chunk=-1)


# --- the journal ---------------------------------------------------------------------------------


@pytest.mark.parametrize("lines", [0, 1, 2, 5, 7])
@pytest.mark.parametrize("cut", [0, 1, 9])
def test_a_killed_sweep_goes_on_where_it_was(tmp_path: Path, lines: int, cut: int) -> None:
    points, journal = grid(x=range(6)), tmp_path / "journal"
    whole = sweep(points, draw, journal=journal)
    kept = journal.read_bytes().splitlines(keepends=True)[:lines]
    journal.write_bytes(b"".join(kept)[: -cut or None])
    again = sweep(points, draw, journal=journal)
    assert again.rows == whole.rows
    assert again.resumed == max(0, lines - 1 - (cut > 0))
    assert len(journal.read_text().splitlines()) == 7
    assert sweep(points, draw, journal=journal).resumed == 6


def test_a_grid_may_grow(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    sweep(grid(x=[4, 5]), draw, journal=journal)
    grown = sweep(grid(x=range(6)), draw, journal=journal)
    assert (grown.resumed, grown.rows) == (2, sweep(grid(x=range(6)), draw).rows)
    assert "2 were read from the journal" in grown.explain()


def test_what_failed_is_tried_again(tmp_path: Path) -> None:
    journal, points = tmp_path / "journal", [{"x": 1, "bad": True}, {"x": 2}]
    assert sweep(points, draw, journal=journal).errors == 1
    again = sweep(points, draw, journal=journal)
    assert (again.errors, again.resumed) == (1, 1)


def test_another_files_contents_are_left_alone(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    for text in ("no journal\n", "no journal", '{"sweep": 1}\n', "[]\n"):
        journal.write_text(text)
        with pytest.raises(InvalidInputError, match="a journal of a sweep"):
            sweep(grid(x=1), draw, journal=journal)
        assert journal.read_text() == text


def test_a_journal_of_another_sweep_is_refused(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    sweep(grid(x=1), draw, journal=journal, seed=1)
    with pytest.raises(InvalidInputError, match="'seed': 2"):
        sweep(grid(x=1), draw, journal=journal, seed=2)
    with pytest.raises(InvalidInputError, match="die"):
        sweep(grid(x=1), die, journal=journal, seed=1)


SLOW = """
import sys, time
from virtlab.migration.sweep import grid, sweep
def slow(point, seed):
    time.sleep(0.05)
    return {"seed": seed}
if __name__ == "__main__":
    print(sweep(grid(x=range(int(sys.argv[2]))), slow, journal=sys.argv[1]).resumed)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows knows no SIGKILL")
def test_a_process_killed_in_the_middle_has_lost_nothing(tmp_path: Path) -> None:
    program, journal = tmp_path / "slow.py", tmp_path / "journal"
    program.write_text(SLOW)
    command = [sys.executable, str(program), str(journal)]
    with subprocess.Popen([*command, "2000"]) as process:
        deadline = time.monotonic() + 60
        while not (journal.exists() and journal.read_bytes().count(b"\n") > 5):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.kill()
    done = journal.read_bytes().count(b"\n") - 1
    assert 5 <= done < 2000
    resumed = int(subprocess.check_output([*command, str(done + 3)]))
    assert resumed == done
