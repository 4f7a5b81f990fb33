"""A session goes back and forth and is changed, and is still a run of its scenario."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.memory.host.test_simulation import small
from virtlab.memory.host.scenario import Event, Scenario
from virtlab.memory.host.session import Session
from virtlab.memory.host.simulation import run
from virtlab.validate import InvalidInputError


def late(seconds: int = 60) -> Scenario:
    """Return a scenario in which b starts late and stops early."""
    events = (Event(20, "power on", "b"), Event(45, "power off", "b"))
    return replace(small(*events), seconds=seconds)


def same(session: Session) -> None:
    """Hold a session against a run of its scenario, from the start."""
    session.compute(10_000)
    straight, found = run(session.scenario), session.run()
    for name, values in straight.of_vm.items():
        np.testing.assert_array_equal(found.of_vm[name], values, err_msg=name)
    for name, values in straight.of_host.items():
        np.testing.assert_array_equal(found.of_host[name], values, err_msg=name)
    assert found.log == straight.log


_CHANGES = st.sampled_from(
    [
        ("a", "shares", 2000.0),
        ("b", "shares", 3000.0),
        ("a", "min_mib", 40.0),
        ("a", "min_mib", 60.0),
        ("b", "min_mib", 60.0),
        ("b", "max_mib", 30.0),
        ("", "tax_rate", 0.0),
        ("", "controller", "pressure"),
        ("", "controller", "swap only"),
    ]
)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 59), _CHANGES), max_size=5))
def test_it_is_a_run_of_its_scenario(hands: list[tuple[int, tuple[str, str, float]]]) -> None:
    session = Session(late())
    for second, change in hands:
        session.go(second)
        session.change(*change)
        assert session.at_s == second
        assert session.refused or session.value(*change[:2]) == change[2]
    same(session)


def test_it_is_the_plain_run_if_nothing_is_changed() -> None:
    session = Session(small())
    for second in (30, 5, 39):
        session.go(second)
    same(session)
    assert session.scenario == small()


def test_a_change_shows_at_once_and_only_from_there_on() -> None:
    session = Session(small())
    session.go(30)
    before = session.run()
    session.change("a", "shares", 100.0)
    after = session.run()
    assert (after.of_vm["target_mib"][:30] == before.of_vm["target_mib"][:30]).all()
    assert after.of_vm["target_mib"][30, 0] < before.of_vm["target_mib"][30, 0]
    assert session.known_s == 31


def test_who_goes_back_and_changes_forgets_what_came_after() -> None:
    session = Session(small())
    session.go(30)
    session.change("", "tax_rate", 0.0)
    session.go(10)
    assert session.value("", "tax_rate") == 0.75
    session.go(35)
    assert session.value("", "tax_rate") == 0.0
    session.go(20)
    session.change("b", "shares", 10.0)
    assert [event.words for event in session.scenario.events] == ["b gets shares 10"]


def test_to_set_it_back_at_the_same_moment_is_no_change() -> None:
    session = Session(small())
    session.go(12)
    session.change("a", "shares", 100.0)
    session.change("a", "shares", 640.0)
    assert session.scenario == small()
    same(session)


def test_a_vm_that_is_off_gets_its_shares_when_it_starts() -> None:
    session = Session(late())
    session.go(3)
    session.change("b", "shares", 4000.0)
    assert session.value("b", "shares") == 4000
    assert (20, "b gets shares 4000") in run(session.scenario).log
    session.change("b", "min_mib", 20.0)
    assert session.refused == "b is off: its minimum stays as it is."
    session.go(50)
    session.change("b", "shares", 1.0)
    assert (50, "b is off") in session.run().log


@pytest.mark.parametrize(
    ("vm", "knob", "value", "words"),
    [
        ("a", "min_mib", 64.0, "a's minimum can't be 64 MiB: 3 MiB of memory are lacking."),
        ("a", "min_mib", 65.0, "a's minimum can't be 65 MiB: it must be at most max, 64."),
        ("a", "max_mib", 8.0, "a's maximum can't be 8 MiB"),
    ],
)
def test_what_can_not_be_promised_is_refused(vm: str, knob: str, value: float, words: str) -> None:
    session = Session(small(host_mib=100))
    session.go(10)
    session.change(vm, knob, value)
    assert session.refused.startswith(words)
    assert session.scenario == small(host_mib=100)
    session.go(11)
    assert not session.refused


def test_a_vm_that_was_refused_is_no_error_later() -> None:
    """It is set and stopped like any other, and nothing comes of it."""
    session = Session(replace(late(), host=replace(late().host, mib=50)))
    session.go(59)
    log = session.run().log
    assert log[1][1].startswith("b is refused: ")
    assert log[2] == (45, "b is off")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (("c", "shares", 1.0), "vm"),
        (("", "shares", 1.0), "vm"),
        (("a", "tax_rate", 0.5), "vm"),
        (("a", "colour", 1.0), "knob"),
        (("", "tax_rate", 1.0), "tax_rate"),
        (("", "controller", "mine"), "controller"),
    ],
)
def test_what_is_no_knob_is_an_error(change: tuple[str, str, float], field: str) -> None:
    session = Session(small())
    with pytest.raises(InvalidInputError, match=field):
        session.change(*change)
    same(session)


def test_there_is_no_second_outside_the_scenario() -> None:
    with pytest.raises(InvalidInputError, match="second"):
        Session(small()).go(40)


def test_two_minimums_at_one_moment_are_promised_together() -> None:
    session = Session(small(host_mib=120))
    session.go(10)
    session.change("a", "min_mib", 56.0)
    assert session.scenario != small(host_mib=120)
    session.change("b", "min_mib", 56.0)
    assert session.refused == "b's minimum can't be 56 MiB: 16.4 MiB of memory are lacking."
    same(session)


def test_a_moment_says_what_just_happened() -> None:
    session = Session(late())
    session.go(0)
    assert session.moment().explain().endswith("Each VM has what it asks for.")
    session.go(21)
    assert "b starts." in session.moment().explain()
    session.go(40)
    told, frame = session.moment().summary(), session.moment().to_frame()
    assert told["vms"] == len(frame) == 2
    lately = session.run().of_vm["ballooned_mib"].sum(axis=1)
    words = session.moment().explain()
    change = float(lately[40] - lately[35])
    assert (f"balloons took {change:.0f} MiB" in words) == (change >= 0.5)
    assert f"{told['free_mib']:.0f} of 110 MiB are free" in words
    session.change("a", "min_mib", 64.0)
    session.change("b", "min_mib", 64.0)
    assert session.moment().explain().startswith("b's minimum can't be 64 MiB")
