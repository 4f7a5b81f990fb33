"""`virtlab migrate`, as a person types it."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

from virtlab.cli import main
from virtlab.datasets import data_path

if TYPE_CHECKING:
    from pathlib import Path


class Virtlab:
    """Runs the command in this process, which saves a second each."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        self._monkeypatch.setattr(sys, "argv", ["virtlab", "migrate", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = self._capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    def json(self, *arguments: str) -> Any:
        status, out, err = self(*arguments, "--json")
        assert (status, err) == (0, "")
        return json.loads(out)


@pytest.fixture
def virtlab(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Virtlab:
    return Virtlab(monkeypatch, capsys)


SMALL = ("--ram-mib", "64", "--filled-mib", "32", "--working-set-pages", "1024")


@pytest.mark.parametrize("algorithm", ["deck", "stop", "clark", "qemu", "postcopy", "hybrid"])
@pytest.mark.parametrize("pattern", ["round-robin", "random", "hot"])
def test_each_algorithm_and_pattern(virtlab: Virtlab, algorithm: str, pattern: str) -> None:
    options = ("--algorithm", algorithm, "--pattern", pattern, "--hot-pages", "100")
    found = virtlab.json(*SMALL, *options, "--dirty-pages-s", "500", "--cap-mib-s", "64")
    assert found["converged"] is True
    assert 0 < found["downtime_ms"] <= found["total_s"] * 1000
    assert 32 <= found["sent_mib"] < 64
    assert found["rounds"] >= 0
    assert found["rows"]


def test_the_issues_own_example(virtlab: Virtlab) -> None:
    found = virtlab.json(
        *("--ram-mib", "512", "--filled-mib", "448", "--working-set-pages", "16384"),
        *("--dirty-pages-s", "8000", "--pattern", "round-robin", "--cap-mib-s", "64"),
        *("--downtime-limit-ms", "300", "--algorithm", "qemu"),
    )
    assert found["rounds"] == len(found["rows"])
    assert 7 < found["total_s"] < 9
    assert found["downtime_ms"] < 30


def test_it_says_when_it_does_not_converge(virtlab: Virtlab) -> None:
    status, out, _ = virtlab("--dirty-pages-s", "100000", "--cap-mib-s", "16")
    assert status == 0
    assert "does not converge" in out
    assert virtlab.json("--dirty-pages-s", "100000", "--cap-mib-s", "16")["downtime_ms"] is None


def test_every_measured_run(virtlab: Virtlab) -> None:
    rows = virtlab.json("--runs", str(data_path("qemu_migrations.csv")))
    assert len(rows) == 167
    assert set(rows[0]) == {
        "run_id", "converged", "total_s", "sent_bytes", "downtime_ms", "pause_ms", "rounds",
    }  # fmt: skip
    assert rows[0]["run_id"] == "core-m256-f224-w64-r0-b64-d300-x1"
    assert all(row["total_s"] > 0 and row["sent_bytes"] > 0 for row in rows)
    other = virtlab.json("--runs", str(data_path("qemu_migrations.csv")), "--anywhere")
    assert [row["run_id"] for row in rows] == [row["run_id"] for row in other]
    assert rows != other


def test_runs_of_the_home_lab_are_read_too(virtlab: Virtlab) -> None:
    assert len(virtlab.json("--runs", str(data_path("lab_migrations.csv")))) == 84


def test_runs_as_a_table(virtlab: Virtlab, tmp_path: Path) -> None:
    path = tmp_path / "runs.csv"
    path.write_text("run_id,ram_mib,fill_mib,max_bandwidth_bytes_per_s\nmine,256,224,\n")
    status, out, _ = virtlab("--runs", str(path))
    assert status == 0
    assert "mine" in out
    assert virtlab.json("--runs", str(path))[0]["total_s"] < 1  # no cap, no link


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "a CSV file"),
        ("run_id,ram_mib,fill_mib\n", "no rows"),
        ("run_id,ram_mib\na,256\n", "fill_mib"),
        ("run_id,ram_mib,fill_mib\na,256,big\n", "run a, fill_mib = 'big'"),
        ("run_id,ram_mib,fill_mib\na,256,300\n", "run a, filled_mib = 300"),
        ("run_id,ram_mib,fill_mib,mode\na,256,224,zigzag\n", "run a, mode = 'zigzag'"),
        ("a,b\n1,2,3\n4,5,6,7\n", "a CSV file"),
    ],
)
def test_a_bad_file_is_told(virtlab: Virtlab, tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "runs.csv"
    path.write_text(text)
    status, out, err = virtlab("--runs", str(path))
    assert (status, out) == (2, "")
    assert words in err
    assert err.count("\n") == 1


def test_no_such_file(virtlab: Virtlab, tmp_path: Path) -> None:
    for path in (tmp_path / "none.csv", tmp_path):
        status, _, err = virtlab("--runs", str(path))
        assert status == 2
        assert "Traceback" not in err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--ram-mib", "-1"), "--ram-mib = -1"),
        (("--filled-mib", "1000"), "--filled-mib = 1000"),
        (("--cap-mib-s", "0"), "--cap-mib-s = 0"),
        (("--pattern", "zigzag"), "--pattern = 'zigzag'"),
        (("--algorithm", "magic"), "--algorithm = 'magic'"),
        (("--downtime-limit-ms", "-1"), "--downtime-limit-ms = -1"),
        (("--table", "--measure", "mood"), "--measure = 'mood'"),
        (("--table", "--limits", "100,many"), "--limits[1] = 'many'"),
        (("--table", "--algorithm", "stop"), "--table"),
    ],
)
def test_bad_input_names_the_option(virtlab: Virtlab, options: tuple[str, ...], words: str) -> None:
    status, out, err = virtlab(*options)
    assert (status, out) == (2, "")
    assert words in err


def test_the_table(virtlab: Virtlab) -> None:
    options = ("--table", "--bandwidths", "16,64", "--limits", "100,300")
    status, out, _ = virtlab(*options)
    assert status == 0
    assert out.splitlines()[4].split() == ["16", "-", "-"]
    cells = virtlab.json(*options)
    assert (cells["cells"], cells["converged"]) == (4, 2)
    assert cells["rows"][0]["total_s"] is None


def test_post_copy_and_auto_converge(virtlab: Virtlab) -> None:
    busy = ("--dirty-pages-s", "40000", "--working-set-pages", "65536")
    assert not virtlab.json(*busy)["converged"]
    assert virtlab.json(*busy, "--postcopy-at-s", "8")["converged"]
    slowed = virtlab.json(*busy, "--auto-converge")
    assert slowed["sent_mib"] > 0


def test_the_seed_is_of_the_guest(virtlab: Virtlab) -> None:
    options = (*SMALL, "--algorithm", "deck", "--pattern", "random", "--cap-mib-s", "64")
    assert virtlab.json(*options, "--seed", "3") == virtlab.json(*options, "--seed", "3")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--ram-mib", "64"), "--ram-mib = 64.0: must be left out with --runs"),
        (("--table",), "--table = True: must be left out with --runs"),
        (("--algorithm", "deck"), "--algorithm = 'deck': must be left out with --runs"),
    ],
)
def test_what_a_file_says_is_not_said_twice(
    virtlab: Virtlab, options: tuple[str, ...], said: str
) -> None:
    status, out, err = virtlab("--runs", str(data_path("qemu_migrations.csv")), *options)
    assert (status, out) == (2, "")
    assert said in err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--bandwidths", "32"), "--bandwidths = '32': must be given with --table"),
        (("--measure", "rounds"), "--measure = 'rounds': must be given with --table"),
        (("--anywhere",), "--anywhere = True: must be given with --runs"),
    ],
)
def test_no_option_is_given_in_vain(virtlab: Virtlab, options: tuple[str, ...], said: str) -> None:
    status, out, err = virtlab(*options)
    assert (status, out) == (2, "")
    assert said in err


def test_a_run_must_say_how_much_memory_it_has(virtlab: Virtlab, tmp_path: Path) -> None:
    missing = tmp_path / "missing.csv"
    assert virtlab("--runs", str(missing)) == (2, "", f"virtlab: no file {missing}\n")
    file = tmp_path / "runs.csv"
    file.write_text("run_id,ram_mib,fill_mib\na,256,224\nb,,224\n")
    status, _, err = virtlab("--runs", str(file))
    assert status == 2
    assert f"{file}, line 3, column ram_mib = '': must be a number" in err


@pytest.mark.parametrize("rate", ["500", "20000"])
def test_the_talks_pause_is_state_and_bitmap_over_the_cap(virtlab: Virtlab, rate: str) -> None:
    options = ("--algorithm", "deck", "--ram-mib", "512", "--dirty-pages-s", rate)
    for bandwidth in ("--cap-mib-s", "--link-mib-s"):
        found = virtlab.json(*options, bandwidth, "64")
        assert found["downtime_ms"] == pytest.approx(1000 * (1 + 1 / 64) / 64, rel=0.05)


def test_a_table_names_a_bandwidth_once(virtlab: Virtlab) -> None:
    _, out, _ = virtlab("--table", "--bandwidths", "32,64", "--limits", "100,300")
    assert out.rstrip().endswith("2 of 4 converge. At 64 MiB/s it takes a limit of 100 ms.")
