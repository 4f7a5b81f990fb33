"""The widget of the ways: programs to choose, and a button that measures."""

from __future__ import annotations

import pytest

from virtlab.machine.comparison import Sample
from virtlab.machine.guests import GUESTS, Guest
from virtlab.machine.ways import Way, here, stored
from virtlab.widgets.ways import ways_app


def quick(name: str, ns: float) -> Way:
    return Way(name, "a test", lambda _: Sample(1000, 1e-6 * ns), lambda: "")


@pytest.mark.parametrize("name", [one.name for one in GUESTS])
def test_each_program_has_its_stored_ladder(name: str) -> None:
    app = ways_app()
    app.set(program=name)
    assert app.result.program == name
    assert app.result.to_frame().equals(stored(name).to_frame())
    assert name in repr(app)


def test_the_button_measures_this_program_here() -> None:
    seen: list[list[str]] = []
    app = ways_app("crc32", [quick("native", 1), quick("interpreted", 50_000)])
    button = app.controls["measure"]
    button.observe(lambda change: seen.append(change["new"]), names="labels")
    assert app.result.ns("native") == stored("crc32").ns("native")
    button.press("Measure here")
    assert app.result.slowdown("interpreted") == pytest.approx(50_000)
    assert [labels[0] for labels in seen] == [
        "1 of 2: native …", "2 of 2: interpreted …", "Measure here",
    ]  # fmt: skip
    assert button.enabled == [True, True]
    assert here() in app.result.explain()
    app.set(program="sieve")
    assert button.enabled == [True, False]
    assert "stored" in app.result.explain()
    app.set(program="crc32")
    assert app.result.slowdown("interpreted") == pytest.approx(50_000)
    button.press("Show the stored run")
    assert button.enabled == [True, False]
    assert app.result.to_frame().equals(stored("crc32").to_frame())


def test_a_failed_measurement_leaves_the_button_as_it_was() -> None:
    def fail(_: Guest) -> Sample:
        raise OSError("no")

    app = ways_app("sieve", [Way("native", "a test", fail, lambda: "")])
    with pytest.raises(OSError, match="no"):
        app.controls["measure"].press("Measure here")
    assert app.controls["measure"].labels[0] == "Measure here"
    assert app.controls["measure"].enabled == [True, False]
