"""`virtlab architectures` and `virtlab guest compare`, as a person types them."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

from virtlab.cli import main
from virtlab.machine.architectures import IoLoad, held_against, run_io
from virtlab.machine.guests import GUESTS
from virtlab.machine.ways import WAYS, stored

if TYPE_CHECKING:
    from collections.abc import Callable

    Virtlab = Callable[..., tuple[int, str, str]]


@pytest.fixture
def virtlab(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Virtlab:
    def call(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["virtlab", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return call


def test_a_packet_goes_through_what_the_model_says(virtlab: Virtlab) -> None:
    status, out, err = virtlab("architectures")
    assert (status, err) == (0, "")
    assert run_io(IoLoad("hosted")).explain() in out
    assert out.count("world switch") == 2


def test_each_option_reaches_the_model(virtlab: Virtlab) -> None:
    words = "hosted --packet-bytes 800 --packets-per-s 3000 --cpu-mhz 350 --world-switch-us 2"
    words += " --ports-in-monitor --batch 2.2 --notified --seed 3 --json"
    status, out, _ = virtlab("architectures", *words.split())
    load = IoLoad("hosted", 800, 3000, 350, 2, ports_in_monitor=True, batch=2.2, notified=True)
    assert status == 0
    assert json.loads(out) == json.loads(json.dumps(run_io(load).to_json()))


def test_what_no_source_says_is_null(virtlab: Virtlab) -> None:
    _, out, _ = virtlab("architectures", "system", "--json")
    assert json.loads(out)["mbit_s"] is None


def test_it_is_held_against_its_paper(virtlab: Virtlab) -> None:
    _, out, _ = virtlab("architectures", "--published")
    assert len(out.splitlines()) == len(held_against())
    _, out, _ = virtlab("architectures", "--published", "--json")
    assert json.loads(out)[0] == {
        "name": "Workstation 2.0, speed", "unit": "Mb/s", "published": 64.0,
        "ours": pytest.approx(64.17),
    }  # fmt: skip


def test_the_stored_comparison(virtlab: Virtlab) -> None:
    status, out, err = virtlab("guest", "compare", "crc32", "--stored")
    assert (status, err) == (0, "")
    assert stored("crc32").explain() in out
    _, out, _ = virtlab("guest", "compare", "crc32", "--stored", "--json")
    assert [row["way"] for row in json.loads(out)["rows"]] == [way.name for way in WAYS]


def test_a_comparison_on_this_machine(virtlab: Virtlab) -> None:
    status, out, _ = virtlab("guest", "compare", "isprime", "--turns", "1")
    assert status == 0
    assert "Python" in out
    assert all(way.name in out for way in WAYS)  # run, or said why not


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("architectures", "mainframe"), "native, hosted, system, dedicated"),
        (("architectures", "--batch", "0"), "batch"),
        (("guest", "compare", "bogosort"), GUESTS[0].name),
        (("guest", "compare", "sieve", "--turns", "0"), "turns = 0"),
    ],
)
def test_bad_input_ends_in_one_line(virtlab: Virtlab, words: tuple[str, ...], said: str) -> None:
    status, out, err = virtlab(*words)
    assert status == 2
    assert out == ""
    assert len(err.splitlines()) == 1
    assert said in err
