"""A grid of migrations: kept as they come, gone on with after a kill, held against predictions."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from tests.migration.lab.examples import record
from virtlab.migration.lab import lab
from virtlab.migration.lab.cells import Cell
from virtlab.migration.lab.lab import Failure, LabRun, calmest, run_lab
from virtlab.migration.lab.machine import LabError, why_not
from virtlab.migration.lab.qmp import QmpClosedError
from virtlab.migration.lab.record import Record, append, read
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

CELLS = tuple(Cell(rep=rep, dirty_writes_nominal_per_s=4000) for rep in (1, 2, 3))


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Measure in no time, and note what was asked: the cell and the seed."""
    asked: list[tuple[str, int]] = []

    def measure(cell: Cell, accelerator: str, *, seed: int, timeout_s: float) -> Record:
        assert (accelerator, timeout_s) == ("tcg", 30)
        asked.append((cell.run_id, seed))
        return record(cell=cell)

    monkeypatch.setattr(lab, "measure", measure)
    monkeypatch.setattr(lab, "why_not", lambda: "")
    return asked


def test_each_cell_is_measured_once_by_chance_of_its_own(measured: list[tuple[str, int]]) -> None:
    run = run_lab(CELLS, accelerator="tcg", hidden=True)
    assert [each.run_id for each in run.records] == [cell.run_id for cell in CELLS]
    assert len({seed for _, seed in measured}) == 3
    again = list(measured)
    measured.clear()
    run_lab(CELLS, accelerator="tcg", hidden=True)
    assert measured == again
    measured.clear()
    run_lab(CELLS, accelerator="tcg", seed=1, hidden=True)
    assert measured != again


def test_what_is_in_the_file_is_not_measured_again(
    measured: list[tuple[str, int]], tmp_path: Path
) -> None:
    out = tmp_path / "lab.csv"
    other = record(rep=9)
    for row in (record(cell=CELLS[1]), other):
        append(out, row)
    run = run_lab(CELLS, out=out, accelerator="tcg", hidden=True)
    assert [name for name, _ in measured] == [CELLS[0].run_id, CELLS[2].run_id]
    assert {each.run_id for each in run.records} == {cell.run_id for cell in CELLS}
    assert other in read(out)  # of another grid: not shown, not lost
    assert len(read(out)) == 4


def test_a_kill_between_two_runs_loses_none(
    measured: list[tuple[str, int]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "lab.csv"

    def killed(cell: Cell, accelerator: str, *, seed: int, timeout_s: float) -> Record:
        if cell.rep == 2:
            raise KeyboardInterrupt
        return record(cell=cell)

    monkeypatch.setattr(lab, "measure", killed)
    with pytest.raises(KeyboardInterrupt):
        run_lab(CELLS, out=out, accelerator="tcg", hidden=True)
    assert [row.rep for row in read(out)] == [1]
    with out.open("a") as file:
        file.write("m256-f224,own,2,tcg")  # and half of a row
    monkeypatch.setattr(lab, "measure", lambda cell, *_, **__: record(cell=cell))
    run = run_lab(CELLS, out=out, accelerator="tcg", hidden=True)
    assert [row.rep for row in read(out)] == [1, 2, 3]
    assert len(run.records) == 3


def test_one_that_fails_does_not_stop_the_others(
    measured: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def sometimes(cell: Cell, accelerator: str, *, seed: int, timeout_s: float) -> Record:
        if cell.rep < 3:
            raise (LabError if cell.rep == 1 else QmpClosedError)("QEMU is gone.")
        return record(cell=cell)

    monkeypatch.setattr(lab, "measure", sometimes)
    run = run_lab(CELLS, accelerator="tcg", attempts=3, hidden=True)
    assert run.failures == tuple(Failure(cell.run_id, "QEMU is gone.") for cell in CELLS[:2])
    assert len(run.records) == 1
    assert run.explain().endswith(f"2 could not be measured: {CELLS[0].run_id} (QEMU is gone).")


def test_on_a_busy_machine_a_cell_is_tried_again_and_the_calmest_counts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    busy = iter([100.0, 95.0, 97.0, 50.0])

    def measure(cell: Cell, accelerator: str, *, seed: int, timeout_s: float) -> Record:
        return replace(record(cell=cell), host_cpu_busy_pct=next(busy), qemu_waited_ms=1e3)

    monkeypatch.setattr(lab, "measure", measure)
    monkeypatch.setattr(lab, "why_not", lambda: "")
    out = tmp_path / "lab.csv"
    run = run_lab(CELLS[:2], out=out, accelerator="tcg", attempts=3, hidden=True)
    assert [each.host_cpu_busy_pct for each in run.records] == [95.0, 50.0]
    assert run.summary()["calm"] == 1
    assert "close what is busy" not in run.explain()
    assert "close what is busy" in LabRun(run.records[:1]).explain()
    assert len(read(out)) == 4  # all are kept
    with pytest.raises(InvalidInputError, match="attempts = 0"):
        run_lab(CELLS, attempts=0)


def test_a_cell_that_is_there_twice_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="must be there once"):
        run_lab([CELLS[0], CELLS[0]])


def test_without_qemu_it_says_so_but_shows_what_it_has(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(LabError, match="install"):
        run_lab(CELLS, hidden=True)
    for cell in CELLS:
        append(tmp_path / "lab.csv", record(cell=cell))
    assert len(run_lab(CELLS, out=tmp_path / "lab.csv", hidden=True).records) == 3


def predictions(records: Sequence[Record]) -> pd.DataFrame:
    """Predict 1 % too long, 2 % too much, 4 ms too short; never that the last converges."""
    rows = [
        (
            index < len(records) - 1,
            each.total_time_ms / 1e3 * 1.01,
            each.transferred_bytes / 2**20 * 1.02,
            (each.downtime_qemu_ms or 0) - 4,
            each.dirty_sync_count + 1,
        )
        for index, each in enumerate(records)
    ]
    names = ["converged", "total_s", "sent_mib", "downtime_ms", "rounds"]
    return pd.DataFrame(rows, columns=names)


def test_errors_are_predicted_less_measured_where_both_converged() -> None:
    rows = tuple(record(rep) for rep in (1, 2, 3, 4))
    called_off = replace(rows[1], outcome="not_converged_cancelled", downtime_qemu_ms=None)
    noisy = replace(rows[2], host_cpu_busy_pct=99.0, qemu_waited_ms=1e3, total_time_ms=9999.0)
    records = (rows[0], called_off, noisy, rows[3])
    run = LabRun(records, (), predictions(records).assign(total_s=4.42481))
    frame = run.to_frame()
    assert frame["total_error_pct"].round(3).tolist()[0] == 1.0
    assert frame["sent_error_pct"].round(3).tolist()[::2] == [2.0, 2.0]
    assert frame["downtime_error_ms"].tolist()[::2] == [-4.0, -4.0]
    assert frame["rounds_error"].tolist()[::2] == [1.0, 1.0]
    assert frame.loc[[1, 3], "total_error_pct"].isna().all()
    numbers = run.summary()
    assert numbers["convergence_right_pct"] == 50.0  # the called off one, and the last
    assert numbers["total_error_pct_median"] == pytest.approx(1.0)  # the noisy one does not count
    assert numbers["downtime_error_ms_p90"] == 4.0
    assert "within 1 % of the time, 2 % of the bytes and 4 ms of the pause" in run.explain()
    json.dumps(run.to_json(), allow_nan=False)


def test_predictions_are_asked_for_what_was_measured(measured: list[tuple[str, int]]) -> None:
    run = run_lab(CELLS, accelerator="tcg", hidden=True, predict=predictions)
    assert run.predicted is not None
    assert len(run.predicted) == 3
    assert run_lab([], predict=predictions).predicted is None


def test_the_first_of_equally_calm_ones_counts() -> None:
    one, other = record(), replace(record(), total_time_ms=1.0)
    assert calmest([one, other]) == (one,)


SCRIPT = """
import sys
from pathlib import Path
from virtlab.migration.lab.cells import Cell
from virtlab.migration.lab.lab import run_lab
cells = [Cell(rep=rep, ram_mib=64, fill_mib=32, working_set_pages=100) for rep in range(1, 100)]
run_lab(cells, out=Path(sys.argv[1]), accelerator="tcg", hidden=True)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends QEMU for a program killed so")
def test_killed_outright_it_leaves_whole_rows_and_no_qemu(
    fake_qemu: Callable[[str], None], tmp_path: Path
) -> None:
    out = tmp_path / "lab.csv"
    process = subprocess.Popen([sys.executable, "-c", SCRIPT, str(out)], env=dict(os.environ))
    deadline = time.monotonic() + 60
    while len(read(out)) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    with_children = children_of(process.pid)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert len(read(out)) >= 2
    deadline = time.monotonic() + 10
    while any(alive(pid) for pid in with_children) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(alive(pid) for pid in with_children)


def children_of(pid: int) -> list[str]:
    from pathlib import Path

    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def alive(pid: str) -> bool:
    from pathlib import Path

    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


@pytest.mark.skipif(bool(why_not()), reason=why_not() or "there is QEMU")
def test_the_real_lab_measures_and_keeps(tmp_path: Path) -> None:
    out = tmp_path / "lab.csv"
    cell = Cell(ram_mib=64, fill_mib=16, working_set_pages=256, dirty_writes_nominal_per_s=1000)
    run = run_lab([cell], out=out, accelerator="tcg", hidden=True)
    assert run.failures == ()
    assert read(out) == list(run.records)
    assert run.summary()["converged"] == 1
