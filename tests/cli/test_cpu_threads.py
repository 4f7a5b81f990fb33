"""`virtlab cpu --threads 2`, as a person types it."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

from virtlab.cli import main

if TYPE_CHECKING:
    from pathlib import Path

VMS = "name,shares,sharing,affinity,kind\nvm1,normal,,0,\nvm2,1000,,1,\nvm3,1000,none,2-3,cache\n"


class Virtlab:
    """Runs the command in this process, which saves a second each."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: Path
    ) -> None:
        self._monkeypatch, self._capsys, self.folder = monkeypatch, capsys, folder

    def __call__(self, *arguments: str, vms: str = VMS) -> tuple[int, str, str]:
        file = self.folder / "vms.csv"
        file.write_text(vms, encoding="utf-8")
        start = ["virtlab", "cpu", "--vms", str(file), "--cpus", "2", "--threads", "2"]
        self._monkeypatch.setattr(sys, "argv", [*start, *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = self._capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err


@pytest.fixture
def virtlab(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Virtlab:
    return Virtlab(monkeypatch, capsys, tmp_path)


def rows_of(out: str) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in json.loads(out)["rows"]}


def test_two_bound_to_one_core_run_at_three_fifths(virtlab: Virtlab) -> None:
    status, out, err = virtlab("--seconds", "10", "--json")
    assert (status, err) == (0, "")
    rows = rows_of(out)
    assert [rows[name]["work_s"] for name in rows] == pytest.approx([6.2, 6.2, 10])
    assert [rows[name]["charged_s"] for name in rows] == pytest.approx([5, 5, 10])
    data = json.loads(out)
    assert data["threads"] == 2
    assert data["logical_utilization_percent"] == pytest.approx(75)
    assert (data["cores_one_percent"], data["cores_both_percent"]) == (50, 50)
    assert rows["vm3"]["sharing"] == "none"
    assert rows["vm3"]["kind"] == "cache"


def test_the_issues_own_line(virtlab: Virtlab) -> None:
    vms = "name\nvm1\nvm2\nvm3\n"
    status, out, _ = virtlab("--seconds", "60", "--event", "30:vm2.shares=3000", "--json", vms=vms)
    assert status == 0
    percent = [row["percent"] for row in rows_of(out).values()]
    before, after = [200 / 3] * 3, [50, 100, 50]
    expected = [(a + b) / 2 for a, b in zip(before, after, strict=True)]
    assert percent == pytest.approx(expected, abs=0.5)


def test_places_change_while_it_runs(virtlab: Virtlab) -> None:
    events = ("--event", "2:vm1.affinity=0 1", "--event", "2:vm2.affinity=2,3")
    more = ("--event", "2:vm3.off", "--event", "3:vm1.sharing=none")
    _, out, _ = virtlab("--seconds", "4", *events, *more, "--json")
    rows = rows_of(out)
    assert rows["vm1"]["work_s"] == pytest.approx(2 * 0.62 + 2)
    assert rows["vm1"]["sharing"] == "none"
    assert rows["vm3"]["work_s"] == pytest.approx(2)


def test_quarantine_is_noticed_and_said(virtlab: Virtlab) -> None:
    vms = "name,kind\nbad,self-modifying\na,\nb,\nc,\n"
    _, out, _ = virtlab("--seconds", "4", "--quarantine", vms=vms)
    assert "bad slowed others down and has had a core of its own since 0.05 s." in out
    _, out, _ = virtlab("--seconds", "4", "--json", vms=vms)
    assert min(row["speed"] for row in rows_of(out).values()) == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("arguments", "vms", "message"),
    [
        ((), "name,affinity\na,7\n", "a.affinity = [7]: must be of the logical CPUs 0 to 3"),
        ((), "name,affinity\na,x\n", "line 2, column affinity = 'x': must be logical CPUs"),
        ((), "name,affinity\na,1-\n", "column affinity = '1-'"),
        ((), "name,affinity\na,3-1\n", "column affinity = '3-1'"),
        ((), "name,sharing\na,half\n", "line 2, a.sharing = 'half': must be one of any, none"),
        ((), "name,kind\na,idle\n", "line 2, a.kind = 'idle'"),
        ((), "name,min,affinity\na,60,0\nb,60,1\n", "b.affinity = [1]: must be logical CPUs whose"),
        (("--event", "1:vm1.sharing=most"), VMS, "value = 'most': must be one of any, none"),
        (("--event", "1:vm1.affinity="), VMS, "value = '': must be logical CPUs"),
        (("--event", "1:vm1.affinity=9"), VMS, "vm1.affinity = [9]"),
        (("--threads", "3"), VMS, "threads = 3: must be a whole number from 1 to 2"),
        (("--together", "strict"), "name\na\n", "without --threads and --quarantine"),
    ],
)
def test_bad_input_ends_in_one_line(
    virtlab: Virtlab, arguments: tuple[str, ...], vms: str, message: str
) -> None:
    status, out, err = virtlab("--seconds", "2", *arguments, vms=vms)
    assert (status, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
