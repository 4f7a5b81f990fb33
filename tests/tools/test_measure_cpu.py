"""The measurement of a real scheduler: its arithmetic, a short run, and that nothing is left."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from virtlab.resources.cpu_cases import Case, Phase

if sys.platform != "linux":
    pytest.skip("control groups and /proc are Linux's", allow_module_level=True)

from tools import measure_cpu

CPUS = sorted(os.sched_getaffinity(0))
OPEN = pytest.mark.skipif(
    not measure_cpu._groups_are_open(), reason="needs root and the cpu controller of cgroup v1"
)


def children() -> set[int]:
    text = Path(f"/proc/self/task/{os.getpid()}/children").read_text(encoding="ascii")
    return {int(pid) for pid in text.split()}


def test_rows_are_differences_of_readings() -> None:
    ms = 10**6
    before = {"clock": 0, "busy": 5, "idle": 0, "stolen": 0, "processes": [[0, 0, 1], [7, 0, 0]]}
    after = {
        "clock": 500 * ms,
        "busy": 5 + 430 * ms,
        "idle": 50 * ms,
        "stolen": 20 * ms,
        "processes": [[300 * ms, 100 * ms, 41], [7 + 120 * ms, 330 * ms, 30]],
    }
    rows = measure_cpu.rows_of(before, after, 0)
    assert [row["process"] for row in rows] == ["VM1", "VM2", "others", "idle", "stolen"]
    assert [row["cpu_ms"] for row in rows] == [300, 120, 10, 50, 20]
    assert [row.get("turns") for row in rows] == [40, 30, None, None, None]
    assert sum(row["cpu_ms"] for row in rows) == rows[0]["length_ms"]


SHORT = Case("x", "nice", (Phase(0.5, (0, 0, None)), Phase(0.5, (0, 5, 0))))


@pytest.mark.skipif(len(CPUS) < 2, reason="needs a CPU beside the one measured")
def test_a_short_run_with_nice_levels_leaves_no_process() -> None:
    there = children()
    rows = measure_cpu.run(SHORT, CPUS[-1], None)
    assert children() == there
    assert [row["phase"] for row in rows] == [0] * 6 + [1] * 6
    ours = {(row["phase"], row["process"]): row["cpu_ms"] for row in rows}
    assert ours[0, "VM3"] == 0
    assert sum(ours[phase, f"VM{i}"] for phase in (0, 1) for i in (1, 2, 3)) > 0


@OPEN
def test_groups_are_removed_when_a_run_breaks_off(monkeypatch: pytest.MonkeyPatch) -> None:
    shares = Case("x", "shares", (Phase(0.5, (1000, 2000)),), (50.0, 100.0))
    name = measure_cpu.GROUPS / f"virtlab-cpu-test-{os.getpid()}"
    seen: list[str] = []

    def breaks(case: Case, phase: int, pids: list[int], places: list[Path]) -> None:
        del case, phase, pids
        seen.extend((at / "cpu.cfs_quota_us").read_text().strip() for at in places)
        raise KeyboardInterrupt

    monkeypatch.setattr(measure_cpu, "give", breaks)
    there = children()
    with measure_cpu.group(name, 1024) as parent, pytest.raises(KeyboardInterrupt):
        measure_cpu.run(shares, CPUS[-1], parent)
    assert seen == ["50000", "-1"]
    assert not name.exists()
    assert children() == there


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--cpu", "4000"], "needs CPU 4000 and another one"),
        ([], "measure nice levels: --only nice"),
    ],
)
def test_what_is_lacking_is_said_in_plain_words(
    words: list[str], said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(measure_cpu, "_groups_are_open", lambda: False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    monkeypatch.setattr(sys, "argv", ["measure_cpu.py", str(tmp_path), *words])
    with pytest.raises(SystemExit, match=said):
        measure_cpu.main()
    assert not list(tmp_path.iterdir())
