"""`virtlab trace-request`, as a person types it."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

from virtlab.cli import main
from virtlab.machine.esx.request import checksum

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Virtlab = Callable[..., tuple[int, str, str]]


@pytest.fixture
def virtlab(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Virtlab:
    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["virtlab", "trace-request", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return call


def test_it_tells_the_way_and_what_the_guest_says(virtlab: Virtlab) -> None:
    status, out, err = virtlab("--layers", "own")
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].startswith("  1  program -> vmm")
    assert "9 traps" in lines[-2]
    assert lines[-1].startswith("The guest says: checksum 0x")


def test_as_json_the_rows_are_arrows_or_acts(virtlab: Virtlab) -> None:
    status, out, _ = virtlab("--vms", "3", "--shares", "500", "--json")
    data = json.loads(out)
    assert status == 0
    assert data["traps"] == 142
    assert data["queue_us"] > data["disk_us"]
    assert data["rows"][0]["from"] == "program"
    more = json.loads(virtlab("--vms", "3", "--shares", "500", "--json", "--acts")[1])
    assert len(more["rows"]) == data["acts"]
    assert {key: data[key] for key in ("total_us", "says")} == {
        key: more[key] for key in ("total_us", "says")
    }


def test_the_bytes_are_those_of_a_file(virtlab: Virtlab, tmp_path: Path) -> None:
    data = np.random.default_rng(7).bytes(2 << 20)
    (tmp_path / "disk").write_bytes(data)
    status, out, _ = virtlab("--disk", str(tmp_path / "disk"), "--lba", "100", "--sectors", "2")
    assert status == 0
    assert out.endswith(f"checksum {checksum(data[100 * 512 : 102 * 512]):#010x}\n")
    assert (tmp_path / "disk").read_bytes() == data
    (tmp_path / "odd").write_bytes(b"odd")
    for name, says in (("odd", "bytes of the disk = 3"), ("none", "No such file")):
        status, out, err = virtlab("--disk", str(tmp_path / name))
        assert (status, out) == (2, "")
        assert says in err
    status, _, err = virtlab("--disk", str(tmp_path / "disk"), "--vms", "2")
    assert status == 2
    assert "sectors = 4096: must be a gap that is there: 0 of 4096 are free" in err


def test_each_act_is_a_line(virtlab: Virtlab) -> None:
    out = virtlab("--layers", "native", "--acts")[1]
    assert out.count("in 0x1f0") == 128
    assert "vmm" not in out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--layers", "scsi"], "layers = 'scsi': must be one of ata, own, native"),
        (["--sectors", "17"], "sectors = 17"),
        (["--vms", "9"], "vms = 9"),
        (["--shares", "0"], "shares = 0"),
        (["--lba", "4096"], "lba = 4096"),
    ],
)
def test_bad_input_gets_one_line(virtlab: Virtlab, arguments: list[str], says: str) -> None:
    status, out, err = virtlab(*arguments)
    assert (status, out) == (2, "")
    assert says in err
    assert err.count("\n") == 1
