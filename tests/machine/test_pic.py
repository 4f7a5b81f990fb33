"""The interrupt controllers: priorities, masks, ends of service."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab.machine.devices.pic import Chip, Pic
from virtlab.validate import InvalidInputError

LINES = [0, 1, 3, 4, 5, 6, 7, *range(8, 16)]
PRIORITY = [0, 1, *range(8, 16), 3, 4, 5, 6, 7]  # the slave hangs on line 2
SET_UP = ((0x20, 0x11), (0x21, 0x20), (0x21, 4), (0x21, 1), (0xA0, 0x11), (0xA1, 0x28), (0xA1, 2))


def made() -> Pic:
    pic = Pic()
    for port, value in (*SET_UP, (0xA1, 1)):
        pic.write(port, 1, value)
    return pic


def end(pic: Pic, number: int) -> None:
    """End service as a handler does: of the slave's lines at both."""
    if number > 7:
        pic.write(0xA0, 1, 0x20)
    pic.write(0x20, 1, 0x20)


@given(st.sets(st.sampled_from(LINES)))
def test_requests_are_served_by_priority(lines: set[int]) -> None:
    pic = made()
    for number in lines:
        pic.raise_irq(number)
    served = []
    while pic.pending():
        served.append(pic.acknowledge() - 0x20)
        end(pic, served[-1])
    assert served == [number for number in PRIORITY if number in lines]


@given(st.sets(st.sampled_from(LINES)), st.sets(st.sampled_from(LINES)))
def test_what_is_masked_waits_until_it_is_not(lines: set[int], masked: set[int]) -> None:
    pic = made()
    mask = sum(1 << number for number in masked)
    pic.write(0x21, 1, mask & 0xFF)
    pic.write(0xA1, 1, mask >> 8)
    for number in lines:
        pic.raise_irq(number)
    served = set()
    while pic.pending():
        served.add(number := pic.acknowledge() - 0x20)
        end(pic, number)
    assert served == lines - masked
    pic.write(0x21, 1, 0)
    pic.write(0xA1, 1, 0)
    assert pic.pending() == bool(lines & masked)


@given(st.lists(st.sampled_from(LINES), min_size=1, max_size=40), st.randoms(use_true_random=False))
def test_only_a_higher_priority_interrupts_a_handler(lines: list[int], chance: object) -> None:
    pic, serving = made(), list[int]()
    for number in lines:
        pic.lower_irq(number)
        pic.raise_irq(number)
        if pic.pending():
            new = pic.acknowledge() - 0x20
            # Within the slave, and between it and the master, the new one is always more urgent;
            # but while one of the slave's lines is served, another of them cannot come.
            assert all(PRIORITY.index(new) < PRIORITY.index(old) for old in serving)
            serving.append(new)
        elif serving and len(serving) % 2:
            end(pic, serving.pop())


def test_a_line_that_stays_high_asks_once() -> None:
    pic = made()
    pic.raise_irq(4)
    pic.raise_irq(4)
    assert pic.acknowledge() == 0x24
    end(pic, 4)
    pic.raise_irq(4)
    assert not pic.pending()
    pic.lower_irq(4)
    pic.raise_irq(4)
    assert pic.pending()


def test_a_named_end_of_service() -> None:
    pic = made()
    pic.raise_irq(4)
    assert pic.acknowledge() == 0x24
    pic.raise_irq(1)
    assert pic.acknowledge() == 0x21
    pic.write(0x20, 1, 0x64)  # of 4, though 1 is more urgent
    pic.write(0x20, 1, 0x0B)
    assert pic.read(0x20, 1) == 1 << 1
    pic.write(0x20, 1, 0x0A)
    assert pic.read(0x20, 1) == 0


def test_nothing_to_serve_is_spurious() -> None:
    pic = made()
    assert pic.acknowledge() == 0x27
    assert pic.chips[0].isr == 0


def test_automatic_end_and_rotation() -> None:
    chip = Chip(imr=0, base=0x40)
    for value in (0x11,):
        chip.write_command(value)
    for value in (0x40, 4, 3):  # ICW4 with automatic end
        chip.write_data(value)
    chip.line(5, high=True)
    assert chip.acknowledge() == 0x45
    assert chip.isr == 0
    chip.write_command(0xC0 | 3)  # the lowest priority is 3's, the highest 4's
    chip.line(0, high=True)
    chip.line(4, high=True)
    chip.line(3, high=True)
    assert [chip.acknowledge() for _ in range(3)] == [0x44, 0x40, 0x43]


def test_an_end_may_rotate() -> None:
    chip = Chip(imr=0)
    for number in (2, 6):
        chip.line(number, high=True)
    assert chip.acknowledge() == 2
    chip.write_command(0xA0)
    assert chip.lowest == 2
    chip.lines = 0
    chip.line(2, high=True)
    assert chip.acknowledge() == 6


def test_a_short_set_up_without_icw4() -> None:
    chip = Chip()
    chip.write_command(0x10)
    chip.write_data(0x60)
    chip.write_data(0)
    chip.write_data(0xFE)
    assert (chip.base, chip.read(mask=True)) == (0x60, 0xFE)


@given(st.lists(st.sampled_from(LINES), max_size=10))
def test_its_state_can_be_taken_back(lines: list[int]) -> None:
    pic = made()
    before = pic.save()
    for number in lines:
        pic.raise_irq(number)
        if pic.pending():
            pic.acknowledge()
    after = pic.save()
    pic.restore(before)
    assert pic.save() == before
    assert not pic.pending()
    pic.restore(after)
    assert pic.save() == after


@pytest.mark.parametrize("number", [-1, 16])
def test_there_are_sixteen_lines(number: int) -> None:
    with pytest.raises(InvalidInputError, match="irq"):
        Pic().raise_irq(number)
