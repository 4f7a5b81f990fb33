"""The devices beside QEMU's: the same accesses, the same answers."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from tests.machine.port_scripts import (
    NO_QEMU,
    PIC_SET_UP,
    QEMU,
    Fault,
    Halt,
    In,
    Interrupts,
    Out,
    Step,
    WaitForDisk,
    here,
    in_qemu,
)

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(QEMU is None, reason=NO_QEMU)
DISK = b"".join(f"sector {number}".encode().ljust(512, b".") for number in range(2016))


def raise_irq(number: int) -> list[Out]:
    """Let the serial port (4) or the disk (14) ask for an interrupt."""
    if number == 4:
        return [Out(0x3F9, 0), Out(0x3F9, 2)]
    return [Out(0x3F6, 0), Out(0x1F6, 0xE0), Out(0x1F7, 0xBD)]  # no such command


def pic_states() -> list[Step]:
    """Read request, service and mask registers, but for the timer's bit."""
    found: list[Step] = []
    for port, mask in ((0x20, 0xFE), (0xA0, 0xFF)):
        found += [Out(port, 0x0A), In(port, mask=mask), Out(port, 0x0B), In(port, mask=mask)]
        found += [In(port + 1)]
    return found


def random_pic_step(chance: random.Random) -> list[Step]:
    either = chance.choice((0x20, 0xA0))
    port, served = chance.choice(((0x20, 4), (0x20, 2), (0xA0, 6)))
    masks = chance.choice((0xFF, 0xFB, 0xEF, 0xEB)), chance.choice((0xFF, 0xBF))
    lowest = chance.choice((0xC0, 0xE0)) | chance.randrange(8)
    choices: list[list[Step]] = [
        [*raise_irq(chance.choice((4, 14)))],
        [Out(0x21, masks[0]), Out(0xA1, masks[1])],  # the timer and the keyboard always are masked
        [Interrupts()],
        [Out(either, 0x20)],  # the end of a service
        [Out(port, 0x60 | served)],  # of one that is named
        [Out(either, chance.choice((0xA0, lowest)))],  # priorities rotate
        [In(0x3FA), In(0x1F7)],  # the devices take their requests back
    ]
    return chance.choice(choices)


@pytest.mark.parametrize("seed", range(3))
def test_the_interrupt_controllers_do_as_qemus(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    script: list[Step] = [*PIC_SET_UP, Out(0x1F6, 0xE0)]
    for _ in range(150):
        script += random_pic_step(chance)
        script += pic_states()
    ours, theirs = here(script, DISK)[0], in_qemu(script, tmp_path, DISK)[0]
    assert len(ours) > 800
    assert ours == theirs


def random_uart_step(chance: random.Random) -> list[Step]:
    kind = chance.randrange(6)
    if kind == 0:
        return [Out(0x3FB, chance.choice((0x03, 0x83)))]
    if kind == 1:
        return [Out(0x3F9, chance.randrange(16))]
    if kind == 2:
        return [Out(0x3FC, chance.choice((0, 0x0B, 0x1E, 0x10)))]
    if kind == 3:
        return [Out(0x3FF, chance.randrange(256))]
    if kind == 4:
        # One byte at a time: without its queue a real one loses what is not read.
        return [Out(0x3FB, 3), Out(0x3F8, chance.randrange(1, 256)), In(0x3FD), In(0x3F8)]
    return [In(0x3FD), In(0x3F8)]


@pytest.mark.parametrize("seed", range(3))
def test_the_serial_port_does_as_qemus(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    script: list[Step] = [
        *PIC_SET_UP,
        Out(0x3FB, 3),
        Out(0x3F9, 0),
        Out(0x3FA, 0),
        Out(0x3FC, 0),
    ]
    for _ in range(100):
        script += random_uart_step(chance)
        script += [In(0x3FA), In(0x3F9), In(0x3FB), In(0x3FC), In(0x3FD), In(0x3FE), In(0x3FF)]
    assert here(script)[0] == in_qemu(script, tmp_path)[0]


def sector(number: int, command: int, count: int = 1) -> list[Step]:
    low, middle, high, top = number.to_bytes(4, "little")
    return [
        *(Out(0x1F6, 0xE0 | top), Out(0x1F2, count & 0xFF)),
        *(Out(0x1F3, low), Out(0x1F4, middle), Out(0x1F5, high), Out(0x1F7, command)),
    ]


TASK_FILE: list[Step] = [In(port) for port in range(0x1F1, 0x1F8)]


def test_the_disk_does_as_qemus(tmp_path: Path) -> None:
    script: list[Step] = [*PIC_SET_UP, Out(0x3F6, 0)]
    for first, count, size in ((0, 1, 2), (5, 2, 4), (2015, 1, 2)):
        script += sector(first, 0x20, count)
        for _ in range(count):
            script += [WaitForDisk(), *TASK_FILE]
            script += [In(0x1F0, size)] * (512 // size)
        script += [WaitForDisk(), *TASK_FILE]
    for first, count, size in ((7, 1, 2), (9, 2, 4)):
        script += [*sector(first, 0x30, count), WaitForDisk(), *TASK_FILE]
        for k in range(count):
            word = 0x41424344 + 0x01010101 * k & ((1 << 8 * size) - 1)
            script += [Out(0x1F0, word, size)] * (512 // size)
            script += [WaitForDisk(), *TASK_FILE]
        script += [*sector(first, 0x20), WaitForDisk(), *TASK_FILE]
        script += [In(0x1F0, 4)] * 128
    script += [Out(0x1F7, 0xE7), WaitForDisk(), *TASK_FILE]  # flush
    script += [Out(0x1F7, 0xBD), WaitForDisk(), In(0x1F1), In(0x1F7)]  # no such command
    ours, theirs = here(script, DISK), in_qemu(script, tmp_path, DISK)
    assert ours[0] == theirs[0]
    assert ours[1] == theirs[1] != DISK
    assert ours[1][7 * 512 : 7 * 512 + 4] == b"DCDC"


OTHER = b"".join(f"other {number}".encode().ljust(512, b"-") for number in range(1008))
TASKS: list[Step] = [In(port, mask=0x5F if port == 0x1F6 else 0xFF) for port in range(0x1F1, 0x1F8)]


def random_disk_step(chance: random.Random) -> list[Step]:
    device = chance.choice((0xE0, 0xF0))
    number, count = chance.choice((0, 3, 255, 1000)), chance.choice((1, 1, 2))
    command = chance.choice((0x20, 0x20, 0x30, 0xE7, 0xBD))
    words: list[Step] = [In(0x1F0, 4)] * 128
    if command == 0x30:
        words = [Out(0x1F0, chance.randrange(1 << 32), 4) for _ in range(128)]
    low, middle, *_ = number.to_bytes(4, "little")
    asked: list[Step] = [
        *(Out(0x1F6, device), Out(0x1F2, count), Out(0x1F3, low), Out(0x1F4, middle)),
        *(Out(0x1F5, 0), Out(0x1F7, command), WaitForDisk(), *TASKS),
    ]
    if command in (0x20, 0x30):
        asked += [*words, WaitForDisk(), *TASKS]
    look: list[Step] = [Out(0x1F6, device), *TASKS, In(0x3F6)]
    halfway: list[Step] = [*asked[: 8 + len(TASKS) + 3], Out(0x1F6, device ^ 0x10), *TASKS]
    reset: list[Step] = [Out(0x3F6, 4), Out(0x3F6, 0), WaitForDisk(), *TASKS]
    return chance.choice((asked, asked, asked, look, halfway, reset))


@pytest.mark.parametrize("seed", range(4))
def test_two_disks_do_as_qemus(seed: int, tmp_path: Path) -> None:
    """Which is meant, what the other hears, what one in the middle of a sector does meanwhile."""
    chance = random.Random(seed)
    script: list[Step] = [*PIC_SET_UP, Out(0x3F6, 4), Out(0x3F6, 0), WaitForDisk(), *TASKS]
    for _ in range(12):
        script += random_disk_step(chance)
    ours, theirs = here(script, DISK, OTHER), in_qemu(script, tmp_path, DISK, OTHER)
    assert len(ours[0]) > 300
    assert ours[0] == theirs[0]
    assert ours[1] == theirs[1]


def test_the_second_disk_wakes_a_halted_processor_as_qemus(tmp_path: Path) -> None:
    script: list[Step] = [*PIC_SET_UP, Out(0x3F6, 0), Out(0x21, 0xFB), Out(0xA1, 0xBF)]
    script += [Out(0x1F6, 0xF0), Out(0x1F2, 1), Out(0x1F3, 5), Out(0x1F4, 0), Out(0x1F5, 0)]
    script += [Out(0x1F7, 0x20), Halt(), In(0x1F7), *[In(0x1F0, 4)] * 128]
    ours = here(script, DISK, OTHER)[0]
    assert ours == in_qemu(script, tmp_path, DISK, OTHER)[0]
    assert ours[:9] == b"\x2e\x58other 5"


def test_identify_says_of_the_size_what_qemu_says(tmp_path: Path) -> None:
    script: list[Step] = [
        *PIC_SET_UP,
        Out(0x1F6, 0xE0),
        Out(0x1F7, 0xEC),
        In(0x1F7),
        *[In(0x1F0, 2)] * 256,
    ]
    ours, theirs = here(script, DISK)[0], in_qemu(script, tmp_path, DISK)[0]
    assert len(ours) == len(theirs) == 513
    for word in (1, 3, 6, 60, 61):  # cylinders, heads, sectors a track; sectors in all
        assert ours[1 + 2 * word : 3 + 2 * word] == theirs[1 + 2 * word : 3 + 2 * word], word
    assert ours[1 + 2 * 49 + 1] & theirs[1 + 2 * 49 + 1] & 2  # LBA


def test_the_cursor_and_the_timers_bytes_do_as_qemus(tmp_path: Path) -> None:
    script: list[Step] = [*PIC_SET_UP]
    for register, value in ((14, 3), (15, 0xE8), (14, 0), (15, 7)):
        script += [Out(0x3D4, register), Out(0x3D5, value), In(0x3D4), In(0x3D5)]
    # A count so long that it does not change its high byte: one tick takes less than a µs.
    script += [Out(0x43, 0x30), Out(0x40, 0xFF), Out(0x40, 0xFF), In(0x80)]
    assert here(script)[0] == in_qemu(script, tmp_path)[0]


@pytest.mark.parametrize("mode", [0, 2, 3])
def test_the_timer_wakes_a_halted_processor_as_qemus(mode: int, tmp_path: Path) -> None:
    script: list[Step] = [*PIC_SET_UP, Out(0x43, 0x30 | mode << 1), Out(0x40, 0), Out(0x40, 8)]
    script += [Out(0x21, 0xFE), Halt(), Out(0x20, 0x0B), In(0x20), Out(0x20, 0x20), In(0x20)]
    ours = here(script)[0]
    assert ours == in_qemu(script, tmp_path)[0] == bytes([0x20, 1, 0])


def test_the_disk_wakes_a_halted_processor_as_qemus(tmp_path: Path) -> None:
    script: list[Step] = [*PIC_SET_UP, Out(0x3F6, 0), Out(0x21, 0xFB), Out(0xA1, 0xBF)]
    script += [*sector(3, 0x20), Halt(), In(0x1F7), *[In(0x1F0, 4)] * 128]
    ours = here(script, DISK)[0]
    assert ours == in_qemu(script, tmp_path, DISK)[0]
    assert ours[:10] == b"\x2e\x58sector 3"


DIVIDE, UNKNOWN, CALL, BREAK = b"\x31\xc9\xf7\xf1", b"\x0f\x0b", b"\xcd\x30", b"\xcc"
NO_SEGMENT = b"\x66\xb8\xf8\xff\x8e\xe0"  # mov ax, 0xfff8; mov fs, ax


def test_faults_while_faults_are_delivered_go_where_qemus_go(tmp_path: Path) -> None:
    script: list[Step] = []
    for code, vector in ((DIVIDE, 0), (UNKNOWN, 6), (CALL, 0x30), (BREAK, 3), (NO_SEGMENT, 13)):
        script += [Fault(code), Fault(code, (vector,)), Fault(code, (vector, 11))]
    ours = here(script)[0]
    assert ours == in_qemu(script, tmp_path)[0]
    assert ours == bytes([0, 8, 8, 6, 11, 8, 0x30, 11, 8, 3, 11, 8, 13, 8, 8])
