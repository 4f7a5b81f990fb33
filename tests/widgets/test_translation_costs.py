"""The widget of costs: rates by sliders and by buttons, and two processors' difference."""

from __future__ import annotations

import pytest

from virtlab.machine.translation_costs.slowdown import fork_load, slowdown
from virtlab.validate import InvalidInputError
from virtlab.widgets.translation_costs import costs_app, parts_app


def test_it_starts_with_forkwait() -> None:
    app = costs_app()
    theirs = slowdown(fork_load())
    assert app.result.bt == pytest.approx(theirs.bt, rel=0.01)  # sliders have steps
    assert app.result.hw == pytest.approx(theirs.hw, rel=0.01)
    assert "free exits would not help" in app.result.explain()
    assert "they do not cross" in app.picture.alt


def test_a_cheaper_exit_turns_it_round() -> None:
    app = costs_app()
    app.set(processor="Westmere", rest="in proportion")
    assert app.result.hw < app.result.bt
    assert app.picture.alt.endswith(f"equal at {app.result.cross:,.0f}.")


@pytest.mark.parametrize(
    ("button", "wins"), [("System calls", "hw"), ("Page tables", "bt"), ("Ports", "bt")]
)
def test_buttons_set_the_rates(button: str, wins: str) -> None:
    app = costs_app()
    app.controls["preset"].press(button)
    said = app.result
    assert (said.hw < said.bt) == (wins == "hw")
    app.controls["preset"].press("Nothing")
    assert app.result.bt == app.result.hw == 1
    app.controls["preset"].press("Fork and wait")
    assert app.result.to_frame().equals(costs_app().result.to_frame())


def test_each_slider_counts() -> None:
    app = costs_app("Nothing")
    for name in ("syscalls", "page_faults", "hidden_faults", "pte_writes", "ins", "call_rets"):
        app.set(**{name: app.controls[name].max})
        assert app.result.bt != 1, name
        app.set(**{name: 0})
        assert app.result.bt == 1


def test_another_start() -> None:
    assert costs_app("Ports").result.bt < 1
    with pytest.raises(InvalidInputError, match=r"^load = 'Dancing'"):
        costs_app("Dancing")


def test_parts_are_fitted_by_hand() -> None:
    app = parts_app()
    assert app.result.cost("page fault", "bt") == 1093
    assert "11 parts by hand, 0 fitted" in app.result.explain()
    app.set(switch=1830, emulate=216, guest_memory=505)
    assert app.result.cost("page fault", "bt") == pytest.approx(3927, rel=0.01)
    app.controls["preset"].press("Least squares")
    assert float(app.result.summary()["worst_error_percent"]) < 3
    assert "VT-x loses at page tables" in app.picture.figure.texts[0].get_text()
    app.controls["preset"].press("All 0")
    assert set(app.result.parts.values()) == {0}


def test_each_part_counts() -> None:
    app = parts_app()
    for name in app.result.parts:
        before = app.result.to_frame()
        app.set(**{name: app.controls[name].max})
        assert not app.result.to_frame().equals(before), name
