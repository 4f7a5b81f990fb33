"""What is typed, and when, is input: the same keys at the same instructions make the same run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.machine.small_guests import CODE, DECODER, EXIT, handle, out, set_up
from virtlab.machine.bus import Bus, Device
from virtlab.machine.computer import Computer
from virtlab.machine.devices.pic import Pic
from virtlab.machine.devices.uart import Uart
from virtlab.machine.translation.tiers import TIERS
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from virtlab.machine.devices.pit import Clock

SERIAL_ON = "".join(
    out(port, value)
    for port, value in (
        *((0x20, 0x11), (0x21, 0x20), (0x21, 4), (0x21, 1), (0x21, 0xEF)),
        *((0x3F9, 1), (0x3FC, 8)),
    )
)
# push eax; push edx; read the byte; send it back, one more; EOI; pop edx; pop eax; iret
ECHO = "50 52 66baf803 ec fec0 ee" + out(0x20, 0x20) + "5a 58 cf"
COUNT_DOWN = "b9{times} 49 75fd"  # mov ecx, times; dec ecx; jnz


def computer(code: str, keys: Sequence[tuple[int, int]], tier: str = "interpreter") -> Computer:
    made = set_up(history=0 if tier != "interpreter" else 1000, tier=tier, keys=keys)
    handle(made, 0x24, ECHO)
    made.load_code(bytes.fromhex(SERIAL_ON + code), CODE)
    return made


def needs(tier: str) -> str:
    if tier == "wasm":
        pytest.importorskip("wasmtime", reason="wasmtime, of the extra machine, is not installed")
    if tier == "llvm":
        pytest.importorskip("llvmlite", reason="llvmlite, of the extra llvm, is not installed")
    return tier


@settings(deadline=None, max_examples=8)
@given(st.lists(st.integers(0, 400), min_size=1, max_size=6).map(sorted))
def test_a_key_comes_at_its_instruction(times: list[int]) -> None:
    typed = computer("fb ebfe", [(time, 0x41 + k) for k, time in enumerate(times)])
    came: dict[int, int] = {}
    while typed.clock.now < 500:
        before = typed.uart.came
        now = typed.clock.now
        typed.step()
        for number in range(before, typed.uart.came):
            came[number] = now
    assert [came[number] for number in range(len(times))] == times
    assert bytes(typed.uart.output) == bytes(0x42 + k for k in range(len(times)))


@pytest.mark.parametrize("tier", TIERS)
def test_every_tier_hears_a_key_at_the_same_instruction(tier: str) -> None:
    # A loop of forty thousand, and keys anywhere in it.
    keys = [(1_000 + 3_919 * k, 0x30 + k) for k in range(9)]
    code = "fb" + COUNT_DOWN.format(times="204e0000") + EXIT

    def once(tier: str) -> tuple[object, ...]:
        made = computer(code, keys, tier)
        run = made.run(250_000)
        registers = bytes(made.processor.registers.data[:64])
        return run.output, run.ended, run.instructions, dict(run.traps), registers

    if tier == "interpreter":
        assert once(tier)[:2] == (b"123456789", "exit")
    else:
        assert once(needs(tier)) == once("interpreter")


@pytest.mark.parametrize("tier", TIERS)
def test_a_key_to_come_wakes_a_halted_guest(tier: str) -> None:
    keys = [(1000, 0x41), (50_000, 0x42), (50_000, 0x43)]
    typed = computer("fb f4 f4" + EXIT, keys, needs(tier))
    run = typed.run(100_000)
    assert (run.ended, run.output) == ("exit", b"BCD")
    assert run.instructions < 200
    assert run.waited > 48_000


def test_without_a_key_to_come_a_halted_guest_stays_so() -> None:
    typed = computer("fb f4 ebfd", [(1000, 0x41)])
    run = typed.run(100_000)
    assert (run.ended, run.output) == ("halted", b"B")


def test_keys_are_pressed_again_after_steps_back() -> None:
    typed = computer("fb ebfe", [(60, 0x41), (70, 0x42), (90, 0x43)])
    for _ in range(150):
        typed.step()
    said = bytes(typed.uart.output)
    assert said == b"BCD"
    while typed.clock.now > 50:
        typed.step_back()
    assert (typed.uart.came, bytes(typed.uart.output), typed.uart.input) == (0, b"", b"")
    for _ in range(150):
        typed.step()
    assert bytes(typed.uart.output) == said


def test_a_computer_takes_keys() -> None:
    # Wait for a byte, send it, halt.
    code = "66bafd03 ec a801 74fb 66baf803 ec ee f4"
    typed = Computer(ram_mib=2, history=0, decoder=DECODER, keys=[(40, 0x5A)])
    typed.load_code(bytes.fromhex(code))
    run = typed.run(1000)
    assert (run.text, run.ended) == ("Z", "halted")
    assert run.instructions > 40


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ([(-1, 65)], r"keys\[0\] time = -1"),
        ([(1, 256)], r"keys\[0\] byte = 256: must be a whole number from 0 to 255"),
        ([(1, 65), (2.5, 65)], r"keys\[1\] time = 2.5"),
        ([(5, 65), (4, 65)], r"keys\[1\] time = 4: must be at least 5, the time of the one before"),
    ],
)
def test_keys_that_cannot_be_are_refused(keys: list[tuple[int, int]], says: str) -> None:
    with pytest.raises(InvalidInputError, match=says):
        Computer(ram_mib=1, keys=keys, decoder=DECODER)


def test_room_is_what_a_real_one_has() -> None:
    uart = Uart(Pic())
    assert uart.room == 1
    uart.type(b"a")
    assert uart.room == 0
    uart.write(0x3FA, 1, 1)
    assert uart.room == 15
    uart.type(b"b" * 20)
    assert uart.room == 0


def test_a_device_of_ones_own_acts_by_itself() -> None:
    """Any device on the bus may have a time; nothing in the machine knows which."""

    class Alarm(Device):
        name, ports, kept = "alarm", (0x300,), ("at",)

        def __init__(self, clock: Clock, pic: Pic, at: int) -> None:
            self.clock, self.pic = clock, pic
            self.at: int | None = at

        def read(self, port: int, size: int) -> int:
            return port + size

        def write(self, port: int, size: int, value: int) -> None:
            self.at = port + size + value

        def next_event(self) -> int | None:
            return self.at

        def advance(self) -> int:
            if self.at is None or self.clock.now < self.at:
                return 0
            self.at = None
            self.pic.raise_irq(4)
            return 1

    woken = set_up(history=0)
    woken.bus.add(Alarm(woken.clock, woken.pic, 5000))
    handle(woken, 0x24, EXIT)
    woken.load_code(bytes.fromhex(SERIAL_ON + "fb f4"), CODE)
    assert (woken.run(10_000).ended, woken.clock.now > 5000) == ("exit", True)
    assert Bus().next_event() is None
