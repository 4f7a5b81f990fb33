"""`virtlab memory balloon`, as a person types it."""

from __future__ import annotations

import json
import sys

import pytest

from virtlab.cli import main
from virtlab.memory.ballooning import Reclaim, compare


def virtlab(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str
) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["virtlab", "memory", "balloon", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    printed = capsys.readouterr()
    return int(ended.value.code or 0), printed.out, printed.err


def test_it_says_what_the_model_says(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = virtlab(monkeypatch, capsys)
    assert (status, err) == (0, "")
    assert compare().explain() in " ".join(out.split())
    assert "double_paging" in out


def test_json_options_and_a_seed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--wanted", "100", "--most", "0.1", "--second", "40", "--seed", "3", "--json")
    status, out, _ = virtlab(monkeypatch, capsys, *words)
    assert status == 0
    expected = compare(Reclaim(wanted_pages=100, balloon_most=0.1, seed=3), 40)
    found = json.loads(out)
    assert found["balloon_waited_ms"] == expected.summary()["balloon_waited_ms"]
    assert [row["ballooned"] for row in found["rows"]] == [51, 0, 50]


@pytest.mark.parametrize(
    ("words", "named"),
    [(("--driver", "broken"), "driver"), (("--wanted", "500"), "wanted"), (("--hot", "0"), "hot")],
)
def test_a_wrong_option_is_named(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    named: str,
) -> None:
    status, _, err = virtlab(monkeypatch, capsys, *words)
    assert status != 0
    assert named in err
    assert "Traceback" not in err
