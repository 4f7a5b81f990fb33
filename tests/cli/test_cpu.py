"""`virtlab cpu`, as a person types it."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

from virtlab.cli import main

if TYPE_CHECKING:
    from pathlib import Path

VMS = "name,shares,min,max,vcpus,workload\nvm1,normal,,,,\nvm2,1000,,,,compute\nvm3,1000,,,,\n"


class Virtlab:
    """Runs the command in this process, which saves a second each."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: Path
    ) -> None:
        self._monkeypatch, self._capsys, self.folder = monkeypatch, capsys, folder

    def __call__(self, *arguments: str, vms: str = VMS) -> tuple[int, str, str]:
        file = self.folder / "vms.csv"
        file.write_text(vms, encoding="utf-8")
        self._monkeypatch.setattr(sys, "argv", ["virtlab", "cpu", "--vms", str(file), *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = self._capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err


@pytest.fixture
def virtlab(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Virtlab:
    return Virtlab(monkeypatch, capsys, tmp_path)


def test_a_share_is_changed_while_it_runs(virtlab: Virtlab) -> None:
    status, out, err = virtlab("--seconds", "8", "--event", "4:vm2.shares=2000", "--json")
    assert (status, err) == (0, "")
    data = json.loads(out)
    got = [row["percent"] for row in data["rows"]]
    assert got == pytest.approx([(100 / 3 + 25) / 2, (100 / 3 + 50) / 2, (100 / 3 + 25) / 2], abs=1)
    assert data["utilization_percent"] == pytest.approx(100)


def test_vms_are_turned_on_and_off(virtlab: Virtlab) -> None:
    events = ("--event", "2:vm3.on", "--event", "4:vm1.off")
    status, out, _ = virtlab("--seconds", "6", "--cpus", "1", *events, "--json")
    assert status == 0
    rows = {row["name"]: row["percent"] for row in json.loads(out)["rows"]}
    assert rows["vm1"] == pytest.approx((50 + 100 / 3) / 3, abs=1)
    assert rows["vm3"] == pytest.approx((100 / 3 + 50) / 3, abs=1)


def test_words_policy_bounds_and_trace(virtlab: Virtlab) -> None:
    path = virtlab.folder / "trace.csv"
    vms = "name,shares,min,max\nvm,3000,20,50\nconsole,1000,30,\n"
    status, out, _ = virtlab("--seconds", "4", "--trace", str(path), "--seed", "3", vms=vms)
    assert status == 0
    assert "percent of one: vm 50, console 50." in out
    assert path.read_text().splitlines()[0] == "name,vcpu,cpu,from_s,to_s"
    _, out, _ = virtlab("--seconds", "2", "--policy", "lottery", "--json")
    assert json.loads(out)["utilization_percent"] == pytest.approx(100)


def test_two_virtual_processors_and_workloads(virtlab: Virtlab) -> None:
    vms = "name,vcpus,workload\na,2,\nb,1,interactive\nc,1,on-off\nd,1,bursty\n"
    _, out, _ = virtlab("--cpus", "5", "--seconds", "3", "--json", vms=vms)
    rows = json.loads(out)["rows"]
    assert rows[0]["shares"] == 2000
    assert rows[0]["percent"] == pytest.approx(200)
    assert 0 < rows[1]["percent"] < 20
    assert sum(row["ready_s"] for row in rows) == pytest.approx(0)


@pytest.mark.parametrize(("rule", "used"), [("strict", 75), ("relaxed", 100)])
def test_virtual_processors_run_together(virtlab: Virtlab, rule: str, used: float) -> None:
    vms = "name,vcpus\nfour,4\ntwo,2\n"
    _, out, _ = virtlab("--cpus", "4", "--together", rule, "--json", vms=vms)
    assert json.loads(out)["utilization_percent"] == pytest.approx(used)


@pytest.mark.parametrize(
    ("arguments", "vms", "message"),
    [
        (("--together", "loose"), VMS, "--together = 'loose': must be one of strict, relaxed"),
        (("--together", "strict", "--event", "1:vm1.off"), VMS, "without --event and --trace"),
        (("--together", "strict"), "name,min\na,80\n", "without min, max, workload (of a)"),
        (("--event", "now"), VMS, "--event = 'now': must be like 30:vm2.shares=3000"),
        (("--event", "x:vm1.on"), VMS, "time = 'x': must be a number >= 0"),
        (("--event", "1:vm9.on"), VMS, "name = 'vm9': must be one of vm1, vm2, vm3"),
        (("--event", "1:vm1.colour=3"), VMS, "setting = 'colour': must be one of shares, min"),
        (("--event", "1:vm1.min=x"), VMS, "value = 'x': must be a number"),
        (("--event", "1:vm1.min=101"), VMS, "vm1.min_percent = 101"),
        (("--policy", "fair"), VMS, "--policy = 'fair'"),
        ((), "name,min\na,80\nb,80\n", "b.min_percent = 80.0: must be at most 20"),
        ((), "name,min\na,80\nb,80\n", "60 are lacking"),
        ((), "name,min\na,180\n", "line 2, a.min_percent = 180"),
        ((), "name,workload\na,play\n", "line 2, column workload = 'play'"),
        ((), "name,vcpus\na,1.5\n", "line 2, column vcpus = 1.5"),
        ((), "name,shares\na,much\n", "line 2, column shares = 'much'"),
    ],
)
def test_bad_input_ends_in_one_line(
    virtlab: Virtlab, arguments: tuple[str, ...], vms: str, message: str
) -> None:
    status, out, err = virtlab(*arguments, vms=vms)
    assert (status, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
