"""The walks: every control answers, back is back, and what is wrong is said and changes nothing."""

from __future__ import annotations

import re

import pytest

from virtlab.machine.walk.programs import PROGRAMS, moments
from virtlab.validate import InvalidInputError
from virtlab.widgets.entry import entry
from virtlab.widgets.rings_walk import AttemptWalk, KernelWalk


def test_a_program_is_tried_where_the_controls_say() -> None:
    walk = AttemptWalk()
    assert walk.press("Next trap").moment.how == "#GP"
    walk.set(iopl=3)
    assert walk.moment.kind == "instruction"  # the step stays, and IOPL 3 lets CLI through
    assert walk.set(ring=0, iopl=0).moment.kind == "instruction"
    assert walk.set(ring=3).moment.kind == "trap"


@pytest.mark.parametrize("one", PROGRAMS, ids=lambda one: one.name)
def test_each_program_shows_its_bytes(one: object) -> None:
    name, code = getattr(one, "name"), getattr(one, "code")  # noqa: B009 - pytest hands it over as an object
    walk = AttemptWalk().set(program=name)
    assert walk.controls["code"].typed == code
    assert walk.controls["program"].value == name


def test_bytes_of_ones_own_are_run_and_what_is_none_is_told() -> None:
    walk = AttemptWalk().set(ring=1, step=1)
    line = walk.controls["code"]
    line.typed = "0f 01 e0"
    assert walk.controls["program"].value == "bytes of your own"
    assert "SMSW" in walk.moment.what
    before = repr(walk)
    line.typed = "smsw"
    assert "1 to 64 bytes in hexadecimal" in line.fault
    assert repr(walk) == before
    line.typed = PROGRAMS[0].code
    assert line.fault == ""
    assert walk.controls["program"].value == PROGRAMS[0].name


def test_a_shorter_program_ends_sooner() -> None:
    walk = AttemptWalk().set(program="ask the kernel: int 0x80", step=4)
    assert walk.moment.number == 4
    walk.set(program="cli: switch interrupts off", ring=0)
    assert walk.moment.number == walk.ride.last == 1


def test_the_kernel_is_walked_through_both_ways() -> None:
    walk = KernelWalk()
    start = walk.moment
    assert start.how == "int 0x80"
    for name in ("Next trap", "Next change of rings", "Next change of rings"):
        walk.press(name)
    assert walk.moment.number > start.number
    for _ in range(2):
        walk.press("Trap before")
    assert walk.set(step=start.number).moment == start
    for words, number in moments().items():
        assert walk.set(moment=number).moment.number == number, words
    assert walk.controls["go"].enabled == [True, False, False]
    walk.set(step=0)
    assert walk.controls["go"].enabled == [False, True, True]


def test_a_moment_chosen_twice_is_gone_to_twice() -> None:
    walk = KernelWalk()
    chosen = walk.controls["moment"].value
    walk.set(step=5)
    walk.view.asked = {"number": chosen, "time": 1}
    assert walk.moment.number == chosen
    walk.view.asked = {"number": chosen, "time": 2}
    assert walk.moment.number == chosen


def test_it_can_be_read_without_a_kernel() -> None:
    walk = AttemptWalk().set(step=1)
    data, metadata = walk._repr_mimebundle_()
    assert walk.moment.explain().split(":")[0] in data["text/html"]
    assert "<table" in data["text/html"]
    assert data["image/png"]
    assert metadata["image/png"]["alt"].startswith("Four rings")
    assert "CLI at ring 3" in data["text/plain"]


def test_each_answer_is_one_message() -> None:
    walk = AttemptWalk()
    version = walk.view.version, walk.answer.version
    walk.set(step=1)
    assert (walk.view.version, walk.answer.version) == (version[0] + 1, version[1] + 1)
    assert walk.view.title in walk.view.alt
    assert re.search(r"CS from 0x3b to 0x8", walk.view.alt)


def test_a_name_that_is_no_control_is_told() -> None:
    with pytest.raises(InvalidInputError, match="control = 'speed'"):
        AttemptWalk().set(speed=3)


def test_a_line_reads_or_says_why_not() -> None:
    line = entry("Number", "5", int)
    assert line.value == 5
    with pytest.raises(ValueError, match="invalid literal"):
        entry("Number", "five", int)
