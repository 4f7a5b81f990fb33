"""Devices that lie in memory: each access once, in order, at its instruction, in every tier."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.machine.small_guests import DECODER
from tests.machine.translated import eager, seen
from virtlab.machine.computer import Computer
from virtlab.machine.mapped import MappedDevice
from virtlab.machine.memory import PAGE
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from virtlab.machine.devices.pit import Clock

BASE, SIZE, STEADY = 0xFEC00000, 0x100, 0x80
CODE, DATA, STACK = 0x10000, 0x30000, 0x40000

# With a 32-bit operand in memory, at an address that follows: what the processor makes of it.
FORMS = {
    "mov eax, m": "8b05 M", "mov m, eax": "8905 M", "mov m, imm": "c705 M 78563412",
    "mov al, m": "8a05 M", "mov m, al": "8805 M", "mov ax, m": "668b05 M", "mov m, ax": "668905 M",
    "movzx eax, byte m": "0fb605 M", "movsx eax, word m": "0fbf05 M",
    "add m, eax": "0105 M", "add eax, m": "0305 M", "adc m, eax": "1105 M", "sbb m, eax": "1905 M",
    "and byte m, imm": "8025 M 0f", "or m, imm": "830d M 55", "xor m, eax": "3105 M",
    "cmp m, eax": "3905 M", "test m, eax": "8505 M", "inc m": "ff05 M", "dec m": "ff0d M",
    "not m": "f715 M", "neg m": "f71d M", "shl m, 3": "c125 M 03", "ror m, 5": "c10d M 05",
    "rcl m, 1": "d115 M", "shld m, eax, 4": "0fa405 M 04", "bts m, 5": "0fba2d M 05",
    "bt m, 5": "0fba25 M 05", "xchg m, eax": "8705 M", "xadd m, eax": "0fc105 M",
    "cmpxchg m, ecx": "0fb10d M", "mul m": "f725 M", "imul eax, m": "0faf05 M",
    "push m": "ff35 M", "pop m": "8f05 M", "setc m": "0f9205 M", "cmovc eax, m": "0f4205 M",
    "lodsd": "be M ad", "stosd": "bf M ab", "movsd from": "be M bf D a5",
    "movsd to": "be D bf M a5", "rep movsd from": "be M bf D b903000000 f3a5",
    "rep stosd": "bf M b904000000 f3ab", "cmpsd": "be M bf D a7", "scasd": "bf M af",
}  # fmt: skip


class Sticky(MappedDevice):
    """Reads change it: each gives what was stored, turned on by how many there were.

    But one register only tells what was stored.
    """

    name = "sticky"
    addresses = range(BASE, BASE + SIZE)
    kept = ("stored", "reads")

    def __init__(self, clock: Clock | None = None) -> None:
        self.clock, self.stored, self.reads = clock, 0x01234567, 0
        self.calls: list[tuple[Any, ...]] = []

    def load(self, offset: int, size: int) -> int:
        if self.steady(offset, size):
            return self.stored ^ 0x5A5A5A5A
        self.reads += 1
        value = self.stored * (2 * self.reads + 1) + offset
        self.calls.append((self.clock and self.clock.now, "load", offset, size))
        return value & (1 << 8 * size) - 1

    def steady(self, offset: int, size: int) -> bool:
        return offset == STEADY and size == 4

    def store(self, offset: int, size: int, value: int) -> None:
        self.stored = value
        self.calls.append((self.clock and self.clock.now, "store", offset, size, value))


def with_device(tier: str = "interpreter", **more: Any) -> tuple[Computer, Sticky]:
    more.setdefault("history", 0)
    computer = Computer(ram_mib=2, tier=tier, decoder=DECODER, **more)
    device = Sticky(computer.clock)
    computer.mapped.add(device)
    return computer, device


def code_of(form: str, at: int) -> bytes:
    words = form.replace("M", at.to_bytes(4, "little").hex())
    return bytes.fromhex(words.replace("D", DATA.to_bytes(4, "little").hex()))


def start_of(program: list[tuple[str, int]], times: int) -> bytes:
    """Return code that does some forms several times, and halts."""
    body = b"".join(code_of(FORMS[name], at) for name, at in program)
    back = (-len(body) - 7).to_bytes(4, "little", signed=True)
    begin = b"\xbc" + STACK.to_bytes(4, "little") + b"\xbd" + times.to_bytes(4, "little")
    return begin + body + b"\x4d\x0f\x85" + back + b"\xf4"  # dec ebp; jnz; hlt


@pytest.mark.parametrize("name", FORMS)
def test_a_processor_asks_as_often_as_unicorn_does(name: str) -> None:
    unicorn: Any = pytest.importorskip("unicorn", reason="Unicorn is not installed")
    const: Any = pytest.importorskip("unicorn.x86_const")
    code = start_of([(name, BASE + 8)], 1)
    computer, device = with_device()
    computer.load_code(code, CODE)
    run = computer.run(100)
    assert run.ended == "halted"

    theirs, uc = Sticky(), unicorn.Uc(unicorn.UC_ARCH_X86, unicorn.UC_MODE_32)
    uc.mem_map(0, 2 << 20)
    uc.mmio_map(
        *(BASE, PAGE),
        *(lambda _uc, offset, size, _data: theirs.load(offset, size), None),
        *(lambda _uc, offset, size, value, _data: theirs.store(offset, size, value), None),
    )
    uc.mem_write(CODE, code)
    uc.reg_write(const.UC_X86_REG_EAX, 0x2BADB002)  # as a boot loader leaves it
    uc.emu_start(CODE, CODE + len(code) - 1)
    ours = [call[1:] for call in device.calls]
    if name == "cmpxchg m, ecx":  # a write of what was read: a processor always writes
        ours = [call for call in ours if call[0] == "load"]
        theirs.calls = [call for call in theirs.calls if call[1] == "load"]
    assert ours == [call[1:] for call in theirs.calls]
    for register in ("EAX", "ECX", "EDX", "ESP", "ESI", "EDI"):
        wanted = uc.reg_read(getattr(const, f"UC_X86_REG_{register}"))
        assert computer.processor.registers[register] == wanted
    assert bytes(uc.mem_read(DATA, 16)) == computer.memory.read(DATA, 16)


@st.composite
def programs(draw: st.DrawFn) -> list[tuple[str, int]]:
    """Return forms, each with an address: the device's, an edge of it, or RAM's."""
    places = st.sampled_from(
        [
            BASE,
            BASE + STEADY,
            BASE + 5,
            BASE + SIZE - 4,
            BASE + SIZE - 2,
            BASE - 2,
            BASE + SIZE,
            DATA + 64,
        ]
    )
    return draw(st.lists(st.tuples(st.sampled_from(sorted(FORMS)), places), min_size=1, max_size=5))


@given(program=programs(), times=st.integers(1, 4), mmu=st.booleans())
@settings(max_examples=40, deadline=None)
def test_every_tier_asks_the_same_at_the_same_time(
    tier: str, program: list[tuple[str, int]], times: int, *, mmu: bool
) -> None:
    code, ends = start_of(program, times), []
    for one in ("interpreter", tier):
        computer, device = with_device(one, mmu=mmu)
        if one == tier:
            eager(computer)
        computer.load_code(code, CODE)
        run = computer.run(500)
        ends.append((seen(computer, run), device.calls, device.save()))
    assert ends[0] == ends[1]


def paged(computer: Computer, code: bytes) -> None:
    """Load code behind which paging is on; the device is a page of ring 3's at 0x80000000."""
    directory, low, high = 0x50000, 0x51000, 0x52000
    words = {directory: low | 7, directory + 4 * 512: high | 7, high: BASE & ~0xFFF | 7}
    words |= {low + 4 * page: page * PAGE | 7 for page in range(512)}
    for at, word in words.items():
        computer.memory.write(at, word.to_bytes(4, "little"))
    turn_on = bytes.fromhex("b800000500 0f22d8 0f20c0 0d00000080 0f22c0")
    computer.load_code(turn_on + code, CODE)


def test_with_paging_too(tier: str) -> None:
    near = 0x80000000
    program = [("mov eax, m", near + 4), ("add m, eax", near + 4), ("rep movsd from", near)]
    ends = []
    for one in ("interpreter", tier):
        computer, device = with_device(one)
        if one == tier:
            eager(computer)
        paged(computer, start_of(program, 40))
        run = computer.run(2000)
        assert run.ended == "halted"
        assert len(device.calls) == 40 * (1 + 2 + 3)
        ends.append((seen(computer, run), device.calls))
    assert ends[0] == ends[1]


@given(programs(), st.integers(0, 20))
@settings(max_examples=40, deadline=None)
def test_steps_can_be_taken_back(program: list[tuple[str, int]], count: int) -> None:
    computer, device = with_device(history=1000)
    computer.load_code(start_of(program, 2), CODE)
    states = []
    for _ in range(count):
        states.append((device.save(), computer.clock.now, bytes(computer.processor.registers.data)))
        computer.step()
    while states:
        computer.step_back()
        now = (device.save(), computer.clock.now, bytes(computer.processor.registers.data))
        assert now == states.pop()


def test_a_steady_register_is_read_without_leaving_translated_code(tier: str) -> None:
    program = [("add eax, m", BASE + STEADY), ("mov eax, m", BASE + STEADY)]
    computer, _ = with_device(tier)
    eager(computer).load_code(start_of(program, 200), CODE)
    run = computer.run(2000)
    assert run.ended == "halted"
    assert computer.processor.registers["EAX"] == 0x01234567 ^ 0x5A5A5A5A
    assert computer.translator is not None
    assert computer.translator.counts["steps"] < 100  # of 400; the first leave it


def test_the_log_tells_of_it() -> None:
    computer, _ = with_device()
    computer.bus.log = []
    computer.load_code(code_of("c605 M 07 8a05 M f4", BASE + 1), CODE)
    computer.run(10)
    assert [str(access) for access in computer.bus.log] == [
        "store 0xfec00001 <- 0x7 (sticky)",
        "load 0xfec00001 -> 0x16 (sticky)",
    ]


def test_who_looks_at_memory_does_not_touch_a_device() -> None:
    computer, device = with_device(history=10)
    computer.watches.append((BASE, 4))
    computer.load_code(bytes.fromhex("90 90 f4"), CODE)
    computer.run(10)
    assert computer.memory.read(BASE, 4) == b"\xff" * 4
    assert device.calls == []


@pytest.mark.parametrize(
    ("addresses", "words"),
    [
        (range(0x1000, 0x2000), "must be a range from the end of RAM, 0x200000, to 0xffffffff"),
        (range(0xFFFFFF00, 0x100000100), "a range from the end of RAM"),
        (range(BASE, BASE), "a range from the end of RAM"),
        (range(BASE, BASE + 64, 4), "a range from the end of RAM"),
        (range(BASE + SIZE - 1, BASE + SIZE + 7), "must be free, but sticky has some"),
    ],
)
def test_what_is_no_place_for_a_device_is_refused(addresses: range, words: str) -> None:
    computer, _ = with_device()
    other = Sticky()
    other.name, other.addresses = "other", addresses
    with pytest.raises(InvalidInputError, match=re.escape(words)):
        computer.mapped.add(other)
    assert [device.name for device in computer.mapped.devices] == ["sticky"]
