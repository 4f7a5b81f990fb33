"""The measurement of siblings: its arithmetic, its loops, and a short run."""

from __future__ import annotations

import json
import os
import shutil
import sys
from typing import TYPE_CHECKING

import pandas as pd
import pytest

if sys.platform != "linux":
    pytest.skip("it binds processes, as Linux does", allow_module_level=True)

from tools import measure_siblings
from virtlab.resources.cpu.contention import KINDS

if TYPE_CHECKING:
    from pathlib import Path

CPUS = sorted(os.sched_getaffinity(0))
GCC = pytest.mark.skipif(
    shutil.which("gcc") is None or len(CPUS) < 2, reason="needs gcc and two CPUs"
)


def test_the_kinds_are_the_models() -> None:
    assert measure_siblings.KINDS == KINDS


def test_a_rate_is_the_median_of_its_windows() -> None:
    assert measure_siblings.rates("2e9 1.0\n3e9 0.5\n9e9 1.0\n") == (3e9, 1.0)
    with pytest.raises(ValueError, match="no window"):
        measure_siblings.rates("")


def test_a_speed_is_beside_over_alone_on_the_same_cpu() -> None:
    columns = ["cpu", "kind", "beside", "steps_per_s"]
    rows = [
        (0, "compute", "", 100),
        (1, "compute", "", 200),
        (0, "compute", "cache", 60),
        (0, "compute", "cache", 62),
        (0, "compute", "cache", 61),
        (1, "compute", "cache", 142),
    ]
    table = measure_siblings.speeds(pd.DataFrame(rows, columns=columns))
    assert table["cache"].tolist()[0] == pytest.approx((0.61 + 0.71) / 2)


@GCC
def test_a_short_run_writes_both_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(measure_siblings, "KINDS", ("compute", "self-modifying"))
    cpus = [str(cpu) for cpu in CPUS[:2]]
    line = ["x", str(tmp_path), "--cpus", *cpus, "--repeats", "1", "--seconds", "0.2"]
    monkeypatch.setattr(sys, "argv", line)
    assert measure_siblings.main() == 0
    frame = pd.read_csv(tmp_path / "siblings.csv", keep_default_na=False)
    assert len(frame) == 4 + 2 * 4, "each alone on each CPU, and four pairs"
    assert (frame["steps_per_s"] > 0).all()
    about = json.loads((tmp_path / "siblings_machine.json").read_text())
    assert about["cpus"] == CPUS[:2]
    assert "compute" in capsys.readouterr().out


@GCC
def test_a_loop_that_cannot_run_is_said(tmp_path: Path) -> None:
    program = measure_siblings.build(tmp_path)
    with pytest.raises(RuntimeError, match="compute loop ended with status 3"):
        measure_siblings.run(program, {100_000: "compute"}, 0.01)


def test_one_cpu_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    line = ["x", str(tmp_path), "--cpus", str(CPUS[0]), str(CPUS[0])]
    monkeypatch.setattr(sys, "argv", line)
    with pytest.raises(SystemExit, match="needs two CPUs"):
        measure_siblings.main()
    assert not list(tmp_path.iterdir())
