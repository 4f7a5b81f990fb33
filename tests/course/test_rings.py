"""Exercises of chapter 02: what students write runs on the course's computer."""

from __future__ import annotations

import pytest

from virtlab.course import rings as ask
from virtlab.course import rings_predict as predict
from virtlab.course.rings_code import try_gate, try_read_if
from virtlab.machine.rings import NON_PRIVILEGED_SENSITIVE, ring_table


@pytest.mark.parametrize(
    "code",
    [
        "9c58",  # pushf; pop eax
        "9c 58 c1e809",
        "669c 6658",  # of 16 bits
        "9c 8b0424",
        bytes.fromhex("9c58"),
        bytearray.fromhex("9c58"),
    ],
)
def test_five_bytes_can_read_the_interrupt_flag(code: object) -> None:
    assert try_read_if(lambda: code) is None


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        ("fa", "CLI at ring 3 with IOPL 0"),
        ("31c0", "interrupts on or off"),
        ("9c 58 83e001", "interrupts on or off"),  # the carry flag
        ("9c58 0f01e0 90", "1 to 5 are wanted"),
        ("ebfe", "does not come to its end"),
        ("cli", "text in hexadecimal"),
        (42, "it returned int"),
        (b"", "0 bytes"),
        ("9c58 f7d0", "IF is to stand at bit 9, or alone"),  # the wrong way round
    ],
)
def test_other_bytes_get_a_hint(code: object, hint: str) -> None:
    assert hint in str(try_read_if(lambda: code))


def test_the_host_s_flag_is_read_at_ring_1_too() -> None:
    assert ask.read_if.check(lambda: "9c58").is_right
    assert not ask.read_if.check(lambda: None).is_right


def gate(access: int, *, low: int | None = None, selector: int | None = None) -> object:
    def write(handler: int, code: int) -> bytes:
        offset = handler if low is None else low
        high, place = offset >> 16, code if selector is None else selector
        value = offset & 0xFFFF | place << 16 | access << 40 | high << 48
        return value.to_bytes(8, "little")

    return write


@pytest.mark.parametrize(
    ("access", "more", "hint"),
    [
        (0xEE, {}, None),
        (0x8E, {}, "the gate is for ring 0"),
        (0xCE, {}, "the gate is for ring 2"),
        (0x6E, {}, "not present"),
        (0xEF, {}, "interrupts on"),
        (0xE6, {}, "no gate of 32 bits"),
        (0xEE, {"low": 0x4242}, "leads to 0x4242"),
        (0xEE, {"selector": 0x3B}, "leads to"),
        (0xEE, {"selector": 0}, "no code segment"),
    ],
)
def test_a_gate_is_called_from_ring_3(access: int, more: dict[str, int], hint: str | None) -> None:
    found = try_gate(gate(access, **more))  # type: ignore[arg-type]
    if hint is None:
        assert found is None
    else:
        assert hint in str(found)


def test_a_gate_of_another_size_is_refused() -> None:
    assert try_gate(lambda *_: bytes(7)) == "A gate has 8 bytes; it returned 7."


@pytest.mark.parametrize("seed", range(12))
def test_what_breaks_a_kernel_is_what_the_monitor_found(seed: int) -> None:
    question = predict.culprit().problem(seed)
    options: dict[str, str] = question.options  # type: ignore[attr-defined]
    right = options[question.right_answer]  # type: ignore[attr-defined]
    word = right.split()[0].upper()
    assert {"MOV": "MOV", "PUSH": "PUSH"}.get(word, word) in NON_PRIVILEGED_SENSITIVE


def test_of_five_lines_one_lies() -> None:
    for seed in range(12):
        question = predict.culprit().problem(seed)
        lines = tuple(question.options.values())  # type: ignore[attr-defined]
        assert len(predict._liars(lines)) == 1


def test_the_counts_are_computed() -> None:
    assert ask.lists.right_answer == [18, 19]
    assert ask.pairs.right_answer == 6
    assert predict.pairs("hlt").right_answer == 12
    assert predict.frame("cli", 3).right_answer == 24
    assert predict.frame("int 0x80", 0).right_answer == 12
    assert predict.error(0x21).right_answer == 0x10A


def test_predictions_are_the_tables() -> None:
    for seed in range(20):
        question = predict.outcome().problem(seed)
        told = question.right_answer  # type: ignore[attr-defined]
        assert told in set(ring_table().to_frame()["outcome"])
        assert question.explanation()
    assert predict.page(2, user=False, writable=False, write=True).right_answer == "works"
    assert predict.page(3, user=True, writable=False, write=True).right_answer == "faults"
