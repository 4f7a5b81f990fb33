"""The port bus, and the small devices on it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab.machine.bus import Bus, Device
from virtlab.machine.devices.disk import Disk
from virtlab.machine.devices.exit_port import ExitPort
from virtlab.machine.devices.pic import Pic
from virtlab.machine.devices.screen import Screen
from virtlab.machine.devices.uart import Uart
from virtlab.machine.memory import Memory
from virtlab.validate import InvalidInputError


class Bytes(Device):
    """Remembers a byte at each of its ports; the last one is two bytes wide."""

    name = "bytes"
    ports = range(0x200, 0x205)
    kept = ("values",)

    def __init__(self) -> None:
        self.values: tuple[int, ...] = (0,) * 5

    def width(self, port: int) -> int:
        return 2 if port == 0x204 else 1

    def read(self, port: int, size: int) -> int:
        return self.values[port - 0x200]

    def write(self, port: int, size: int, value: int) -> None:
        at = port - 0x200
        self.values = (*self.values[:at], value, *self.values[at + 1 :])


def made() -> tuple[Bus, Bytes]:
    bus, device = Bus(), Bytes()
    bus.add(device)
    return bus, device


@given(st.integers(0, 2**32 - 1))
def test_a_wide_access_is_as_many_bytes(value: int) -> None:
    bus, device = made()
    bus.write(0x200, 4, value)
    assert bytes(device.values[:4]) == value.to_bytes(4, "little")
    assert bus.read(0x200, 4) == value
    assert bus.read(0x202, 2) == value >> 16


def test_a_port_may_be_wide_itself() -> None:
    bus, device = made()
    bus.write(0x204, 2, 0xABCD)
    assert device.values[4] == 0xABCD
    assert bus.read(0x204, 2) == 0xABCD
    assert bus.read(0x204, 1) == 0xCD


def test_beyond_a_device_nobody_answers() -> None:
    bus, _ = made()
    assert bus.read(0x1FE, 4) == 0xFFFFFFFF  # asked at once: nobody is at the first
    assert bus.read(0x203, 2) == 0  # its own last two
    bus.log = []
    bus.write(0xFFFF, 1, 3)
    assert str(bus.log[0]) == "out 0xffff <- 0x3 (nobody)"


def test_the_state_before_is_kept_once() -> None:
    bus, device = made()
    bus.write(0x200, 1, 1)
    bus.keeps = True
    bus.write(0x200, 1, 2)
    bus.write(0x200, 1, 3)
    assert bus.before is not None
    bus.restore(bus.before)
    assert device.values[0] == 1


def test_ports_are_given_once_and_exist() -> None:
    bus, _ = made()
    with pytest.raises(InvalidInputError, match="free, but bytes has it"):
        bus.add(Bytes())
    wrong = Bytes()
    wrong.ports = range(0xFFFF, 0x10001)
    with pytest.raises(InvalidInputError, match="from 0 to 65535"):
        bus.add(wrong)


@pytest.mark.parametrize(("size", "value", "status"), [(1, 0, 1), (1, 255, 511), (4, 3, 7)])
def test_the_exit_status_is_qemus(size: int, value: int, status: int) -> None:
    bus, port = Bus(), ExitPort()
    bus.add(port)
    assert bus.read(0xF4, size) == 0
    assert port.status is None
    bus.write(0xF4, size, value)
    assert port.status == status


def test_the_screen_is_memory() -> None:
    memory = Memory(1 << 20)
    screen = Screen(memory)
    for number, letter in enumerate(b"virtlab"):
        memory.write(0xB8000 + 2 * (80 * 24 + number), bytes([letter, 7]))
    assert len(screen.lines()) == 25
    assert screen.lines()[24] == "virtlab".ljust(80)
    assert screen.lines()[0] == " " * 80
    before = screen.save()
    for register, value in ((14, 2), (15, 0x80)):
        screen.write(0x3D4, 1, register)
        screen.write(0x3D5, 1, value)
        assert (screen.read(0x3D4, 1), screen.read(0x3D5, 1)) == (register, value)
    assert screen.cursor == (8, 0)
    screen.restore(before)
    assert screen.cursor == (0, 0)


def test_a_serial_port_that_is_taken_back_says_it_again() -> None:
    uart = Uart(Pic())
    uart.type(b"in")
    before = uart.save()
    uart.write(0x3F8, 1, 65)
    uart.read(0x3F8, 1)
    uart.restore(before)
    assert (bytes(uart.output), uart.input) == (b"", b"in")


def do(disk: Disk, *accesses: tuple[int, int]) -> None:
    for port, value in accesses:
        disk.write(port, 1, value)


def test_writes_hide_the_image_and_do_not_change_it() -> None:
    image = bytes(1024)
    disk = Disk(Pic(), image)
    before = disk.save()
    do(disk, (0x1F6, 0xE0), (0x1F2, 1), (0x1F3, 1), (0x1F7, 0x30))
    for _ in range(128):
        disk.write(0x1F0, 4, 0x31323334)
    assert disk.contents() == bytes(512) + b"4321" * 128
    assert disk.image == image
    disk.restore(before)
    assert disk.contents() == image


@pytest.mark.parametrize("lba", [2, 0xFFFFFFF])
def test_beyond_the_disk_there_is_no_sector(lba: int) -> None:
    disk = Disk(Pic(), bytes(1024))
    low, middle, high, top = lba.to_bytes(4, "little")
    address = ((0x1F2, 1), (0x1F3, low), (0x1F4, middle), (0x1F5, high), (0x1F6, 0xE0 | top))
    for command in (0x20, 0x30):
        do(disk, *address, (0x1F7, command))
        assert (disk.read(0x1F7, 1), disk.read(0x1F1, 1)) == (0x41, 0x10)
        assert disk.read(0x1F0, 2) == 0


def test_what_is_not_asked_for_is_ignored() -> None:
    disk = Disk(Pic(), bytes(512))
    disk.write(0x1F0, 2, 5)
    assert disk.read(0x1F0, 2) == 0
    do(disk, (0x1F6, 0xA0), (0x1F7, 0x20))  # an address by cylinder, which is left out
    assert (disk.read(0x1F7, 1), disk.read(0x1F1, 1)) == (0x41, 4)
    do(disk, (0x1F6, 0xF0), (0x1F7, 0xEC))  # a second disk
    assert disk.read(0x1F7, 1) == 0
    assert disk.read(0x3F6, 1) == 0


def test_a_reset_and_interrupts_off() -> None:
    pic = Pic()
    disk = Disk(pic, bytes(512))
    do(disk, (0x3F6, 2), (0x1F6, 0xE0), (0x1F7, 0xEC))
    assert pic.chips[1].irr == 0
    do(disk, (0x3F6, 4), (0x3F6, 0))
    assert [disk.read(port, 1) for port in (0x1F1, 0x1F2, 0x1F3, 0x1F7)] == [1, 1, 1, 0x50]
    do(disk, (0x1F6, 0xE0), (0x1F7, 0xE7))
    assert pic.chips[1].irr == 1 << 6
    disk.read(0x1F7, 1)
    assert pic.chips[1].lines == 0


@pytest.mark.parametrize("size", [0, 1, 513])
def test_a_disk_has_whole_sectors(size: int) -> None:
    with pytest.raises(InvalidInputError, match="image bytes"):
        Disk(Pic(), bytes(size))
