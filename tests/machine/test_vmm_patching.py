"""What is patched: all that the published lists name and that runs, and nothing that is data."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.machine.vmm_guests import assert_same, monitored, native, one_decoder
from virtlab.machine.computer import Computer
from virtlab.machine.decode import Decoder
from virtlab.machine.encoding import encoding
from virtlab.machine.guests import GUESTS, Guest, kernel, mirror
from virtlab.machine.image import load
from virtlab.machine.probes import PROBES
from virtlab.machine.processor import Processor
from virtlab.machine.rings import NON_PRIVILEGED_SENSITIVE, ring_table
from virtlab.machine.sensitive import routine_of
from virtlab.machine.vmm import Monitor
from virtlab.machine.vmm.events import Difference, Wrong, counted_as
from virtlab.machine.vmm.patching import INT3, Patcher, could_lie

__all__ = ["one_decoder"]  # pytest finds it here

START = 0x1000


def patcher(code: str, at: int = START) -> Patcher:
    processor = Processor()
    processor.memory.write(at, bytes.fromhex(code))
    return Patcher(processor)


def found(code: str) -> list[int]:
    """Return the offsets that are patched in some code."""
    return sorted(patch.address - START for patch in patcher(code).scan(START))


# --- which ----------------------------------------------------------------------------------------


def test_what_could_lie_is_what_the_published_list_names() -> None:
    """Bugnion, Nieh and Tsafrir, table 2.2."""
    listed = {
        routine_of(encoding(probe.bytes_at(1)))
        for probe in PROBES
        if probe.mnemonic in NON_PRIVILEGED_SENSITIVE
    }
    assert could_lie() <= listed
    # The rest trap where their operand is ring 0's, and else do at ring 1 what they do at ring 0.
    rest = {"POPSEG", "MOVTOSEG", "JMPF", "RETF"}
    assert listed - could_lie() == rest | {"INT"}
    table = ring_table()
    cells = {
        table.cell(probe.name, 1, 0)
        for probe in PROBES
        if routine_of(encoding(probe.bytes_at(1))) in rest
    }
    assert cells == {"works", "faults"}


def test_int_always_traps_on_this_host() -> None:
    monitor = monitored("cd80 cd21 cc f4")
    monitor.run(200)
    assert monitor.entries["INT"] == 2
    assert monitor.entries["INT3"] == 1


@pytest.mark.parametrize(
    ("code", "name"),
    [("0f20c0", "MOV CR"), ("8ed0", "MOV to segment"), ("8cc8", "MOV from segment"),
     ("0e", "PUSH segment"), ("1f", "POP segment"), ("fa", "CLI"), ("89c8", "MOV")],
)  # fmt: skip
def test_what_a_trap_is_counted_as(code: str, name: str) -> None:
    assert counted_as(Decoder().decode(0, bytes.fromhex(code))) == name


def test_a_lie_without_a_sentence_of_its_own_is_told_all_the_same() -> None:
    wrong = Wrong(1, 2, "f", 1, "RETF", "RETF", (Difference("EIP", "0x2", "0x3"),))
    assert "EIP is 0x3 and should be 0x2" in wrong.explain()
    assert "where the guest believes to be at ring 0" in wrong.explain()


# --- where ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "places"),
    [
        ("9c 9d c3 9c", [0, 1]),  # what follows a return is not reached
        ("eb01 9c 9d f4", [3]),  # nor what is jumped over
        ("7401 9c 9d c3", [2, 3]),  # a condition goes both ways
        ("e801000000 c3 9c c3", [6]),  # a call, and back
        ("e801000000 9c c3", [5]),  # what is called may begin where the call returns to
        ("b89c9d9c9d c3", []),  # an operand is no instruction
        ("ffe0 9c", []),  # where a pointer leads cannot be read off
        ("ffd0 9c c3", [2]),  # but a call by pointer comes back
        ("e2fe 9c c3", [2]),  # a loop ends some time
        ("cd80 9c c3", [2]),
        ("f4 9c c3", [1]),
        ("669c 6a02 669d c3", [0, 4]),  # with a prefix its first byte is the prefix
        ("cf 9c", [0]),
        ("9c ea091000000800 90 9d c3", [0, 9]),
        ("0f0b 9c c3", []),  # ud2 is no instruction, so nothing goes on after it
    ],
)
def test_code_is_followed_as_the_processor_would(code: str, places: list[int]) -> None:
    assert found(code) == places


def test_each_instruction_is_looked_at_once_and_two_places_do_not_patch_twice() -> None:
    one = patcher("9c 9d c3")
    assert len(one.scan(START)) == 2
    assert one.scan(START) == []
    assert one.scan(START + 1) == []
    assert len(one.patches) == 2


def test_a_loop_over_itself_ends() -> None:
    assert found("9c ebfd") == [0]


def test_zeros_and_the_end_of_memory_are_no_code() -> None:
    assert found("00" * 64) == []
    one = patcher("9c", at=(1 << 20) - 1)
    assert len(one.scan((1 << 20) - 1)) == 1  # beyond it a bus reads as ones


def test_a_page_that_two_addresses_share_is_patched_once() -> None:
    one = patcher("9c c3")
    memory, registers = one.processor.memory, one.processor.registers
    memory.write(0x8000, (0x9000 | 3).to_bytes(4, "little"))
    for page in (5, 6):
        memory.write(0x9000 + 4 * page, (0x1000 | 3).to_bytes(4, "little"))
    registers["CR3"], registers["CR0"] = 0x8000, 0x80000011
    assert [patch.place for patch in one.scan(0x5000)] == [START]
    assert one.scan(0x6000) == []
    first, second = one.at(0x5000), one.at(0x6000)
    assert first is not None
    assert first == second
    assert one.at(0x7000) is None
    assert one.scan(0x7000) == []  # no page, no code
    assert memory.read(0x9000 + 20, 1) == b"\x03"  # and the page is not marked as used


def test_a_patch_is_lifted_and_set_again() -> None:
    one = patcher("9c c3")
    (patch,) = one.scan(START)
    memory = one.processor.memory
    assert (memory.data[START], patch.byte, patch.size) == (INT3, 0x9C, 1)
    assert one.without()[START : START + 2].hex() == "9cc3"
    one.lift(patch)
    assert memory.data[START] == 0x9C
    one.set_again(patch)
    assert memory.data[START] == INT3
    memory.write(START, b"\x90")  # the guest's own
    assert one.at(START) is None
    one.set_again(patch)
    assert memory.data[START] == 0x90
    assert one.without()[START] == 0x90


def test_a_guests_own_int3_is_no_patch() -> None:
    one, other = native("31f6 cc cc f4"), monitored("31f6 cc cc f4", patch=True)
    one.run(100)
    other.run(100)
    assert other.processor.registers["ESI"] == 2
    assert other.entries["INT3"] == 2
    assert other.memory.data[other.address - 2] == INT3
    assert_same(one, other)


@pytest.mark.parametrize("path", [kernel(), mirror()], ids=lambda path: path.stem)
def test_no_byte_of_a_kernels_data_is_patched(path: object) -> None:
    """The symbols, of which the patcher knows nothing, say what is a function."""
    image = load(str(path), 2 << 20)
    monitor = Monitor(2, patch=True, judged=False)
    monitor.load(image)
    while monitor.clock.now < 12_000 and not monitor.ended:
        monitor.step()
    assert monitor.patcher is not None
    names = {image.where(patch.address).split("+")[0] for patch in monitor.patcher.patches.values()}
    assert names
    assert {image.symbols[name].kind for name in names} <= {"function", "label"}
    assert all(patch.symbol == image.where(patch.address)
               for patch in monitor.patcher.patches.values())  # fmt: skip


# --- programs -------------------------------------------------------------------------------------


@pytest.mark.parametrize("one", GUESTS, ids=lambda one: one.name)
def test_a_program_of_the_course_has_nothing_that_lies(one: Guest) -> None:
    image = load(one.path(), 2 << 20)
    computers = Computer(2, history=0), Monitor(2), Monitor(2, patch=True)
    for computer in computers:
        computer.load(image)
        computer.run(1500)
    alone, other, patched = computers
    assert other.wrongs == patched.wrongs == []
    assert alone.memory.data == other.memory.data == patched.memory.data
    assert alone.uart.output == other.uart.output == patched.uart.output


CODE = ["9c", "9d", "cf", "90", "40", "7402", "eb01", "e800000000", "c3", "0f01e0", "b89c9d9c9d"]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from([*CODE, "8cc8", "cc", "ffe0", "750a"]), max_size=24))
def test_every_patch_is_at_an_instruction_that_could_lie(parts: list[str]) -> None:
    code = "".join(parts) + "c3"
    one = patcher(code)
    original = bytes(one.processor.memory.data)
    for patch in one.scan(START):
        raw = original[patch.place : patch.place + 15]
        assert routine_of(encoding(raw)) in could_lie()
        assert raw[0] == patch.byte
    assert one.without() == original


def test_who_jumps_into_the_middle_of_an_instruction_may_run_a_patch() -> None:
    """`jnz` leads to the byte 9D, popf; without the jump it is the operand of `mov al, 9D`."""
    code = "31c0 7501 b09d f4"
    made = native(code), monitored(code), monitored(code, patch=True)
    for computer in made:
        assert computer.run(100).ended == "halted"
    assert [computer.processor.registers["AL"] for computer in made] == [0x9D, 0x9D, INT3]
