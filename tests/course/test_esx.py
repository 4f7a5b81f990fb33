"""The exercises of the layers: answers by other ways, and code that almost does it."""

from __future__ import annotations

import math
from typing import Any

import pytest

from virtlab.course import esx as ask
from virtlab.course.esx_code import try_device, try_ports
from virtlab.machine.bus import Device


def test_port_accesses_are_a_sum_by_hand() -> None:
    assert ask.traps.right_answer == 6 + 4 * (1 + 128 + 2) == 530
    for seed in range(4):
        question = ask.traps.problem(seed)
        sectors = int(question.text.split("**")[1].split()[0])
        assert question.check(6 + 131 * sectors).is_right


def test_the_disk_by_hand() -> None:
    by_hand = 2.2 + 3.24 + 0.4 * math.sqrt(100) + 7.496 + 8 / 72 * 14.993
    assert ask.service.check(by_hand).is_right
    assert not ask.service.check(by_hand - 7.5).is_right


def test_the_gap_is_used_if_it_is_long_enough() -> None:
    assert ask.sector.right_answer == 100
    larger = 0
    for seed in range(12):
        question: Any = ask.sector.problem(seed)
        if question.right_answer > 2048:
            words = question.text.split("**")[1].split(" MiB")[0].replace(" and", ",")
            assert question.right_answer // 2048 == sum(map(int, words.split(", ")))
            larger += 1
    assert larger


def test_beside_a_fast_disk_the_layers_are_most() -> None:
    assert ask.crossings.right_answer == pytest.approx(100 * 78.9 / 178.9, rel=0.001)


@pytest.mark.parametrize(
    ("question", "answer"),
    [(ask.own, "b"), (ask.first, "c"), (ask.console, "b"), (ask.turn, "b")],
)
def test_choices_are_asked_of_the_model(question: Any, answer: str) -> None:
    assert question.right_answer == answer


class Adder(Device):
    name = "adder"
    ports = range(0x510, 0x512)
    kept: tuple[str, ...] = ("sum",)

    def __init__(self) -> None:
        self.sum = 0

    def read(self, port: int, size: int) -> int:
        del size
        return self.sum if port == 0x511 else 0

    def write(self, port: int, size: int, value: int) -> None:
        del size
        self.sum = (self.sum + value) % 256 if port == 0x510 else 0


class Wide(Adder):
    def write(self, port: int, size: int, value: int) -> None:
        del size
        self.sum = self.sum + value if port == 0x510 else 0

    def read(self, port: int, size: int) -> int:
        del size
        return min(self.sum, 255) if port == 0x511 else 0


class Uncleared(Adder):
    def write(self, port: int, size: int, value: int) -> None:
        if port == 0x510:
            super().write(port, size, value)


class Forgets(Adder):
    kept = ()


class Nameless(Adder):
    name = ""


class Elsewhere(Adder):
    ports = range(0x20, 0x22)


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (Wide, "not 44"),
        (Uncleared, "set the sum to 0"),
        (Forgets, "`kept`"),
        (Nameless, "`name`"),
        (Elsewhere, "0x510 and 0x511"),
        (dict, "derives from `Device`"),
    ],
)
def test_a_device_that_almost_does_it_gets_its_hint(made: Any, says: str) -> None:
    assert says in str(try_device(made))


def test_a_device_that_does_it_is_right() -> None:
    assert try_device(Adder) is None
    assert ask.device.check(Adder).is_right


class ReadOnly:
    def __init__(self, bus: Any) -> None:
        self.bus = bus

    def read(self, port: int, size: int) -> int:
        return int(self.bus.read(port, size))

    def write(self, port: int, size: int, value: int) -> None:
        if not (port == 0x1F7 and value in self.lost):
            self.bus.write(port, size, value)

    lost = (0x30, 0x31)


class Deaf(ReadOnly):
    lost = (0x20, 0x30)


def test_a_handler_that_loses_writes_is_right() -> None:
    assert try_ports(ReadOnly) is None
    assert "written" in str(try_ports(lambda bus: bus))
    assert "let the rest through" in str(try_ports(Deaf))


def test_there_are_ten_of_three_kinds() -> None:
    questions = list(ask.sheet)
    assert len(questions) == 10
    assert {question.kind for question in questions} == {"number", "choice", "code"}
