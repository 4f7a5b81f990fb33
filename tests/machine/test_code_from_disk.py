"""A loader reads code from the disk over code that ran: what was made of the old is forgotten."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest

from tests.machine.llvm_pool import at_once
from tests.machine.small_guests import (
    CODE,
    DECODER,
    DIRECTORY,
    PAGING_ON,
    TABLE,
    map_pages,
    out,
)
from tests.machine.translated import seen
from virtlab.machine.computer import Computer
from virtlab.machine.devices.disk import SECTOR

if TYPE_CHECKING:
    from collections.abc import Callable

PLACE, SECTORS, ROUNDS = 0x150000, 4, 8
STACK = "bcf0ff0800"

# One sector, whose number is in ESI: polled, with no interrupt; then the words come to EDI.
ASK = (
    out(0x3F6, 2) + out(0x1F2, 1) + "66baf301 89f0 2403 ee" + out(0x1F4, 0) + out(0x1F5, 0)
    + out(0x1F6, 0xE0) + out(0x1F7, 0x20) + "66baf701 ec a808 74fb 66baf001"
)  # fmt: skip
MOVES = {
    "rep insl": "b980000000 fc f36d",
    "rep insw": "b900010000 fc 66f36d",
    "insl, in a loop": "b980000000 fc 6d 49 75fc",
    "in and stosd": "b980000000 fc ed ab 49 75fb",
    "in and mov": "b980000000 ed 8907 83c704 49 75f7",
}


def routine(number: int) -> bytes:
    """Return code that adds its number to EBX, 60 times."""
    return bytes.fromhex("b83c000000") + bytes([0x83, 0xC3, number]) + bytes.fromhex("48 75fa c3")


def disk(code: Callable[[int], bytes]) -> bytes:
    return b"".join(code(number + 1).ljust(SECTOR, b"\x90") for number in range(SECTORS))


def started(tier: str, code: str, image: bytes, *, paged: bool = False) -> Computer:
    computer = Computer(2, disk=image, history=0, tier=tier, decoder=DECODER)
    if paged:
        map_pages(computer)
        computer.memory.write(TABLE + 4 * 0x140, struct.pack("<I", PLACE | 3))  # once more
    computer.load_code(bytes.fromhex(code))
    return at_once(computer)


def alike(tier: str, code: str, image: bytes, *, paged: bool = False) -> Computer:
    """Run it in the interpreter and in a tier: all that can be seen is the same."""
    expected, found = (started(one, code, image, paged=paged) for one in ("interpreter", tier))
    assert seen(found, found.run(60_000)) == seen(expected, expected.run(60_000))
    assert found.ended == "halted"
    assert found.translator is not None
    assert found.translator.cache.counts["invalidations"] >= ROUNDS - 1
    return found


def loop(body: str, rounds: int = ROUNDS) -> str:
    """Return code that does something for ESI from 0 on, and halts."""
    size = len(bytes.fromhex(body + "46 81fe00000000")) + 6
    again = f"46 81fe{struct.pack('<I', rounds).hex()} 0f82{struct.pack('<i', -size).hex()}"
    return f"31f6 31db {body} {again} f4"


def to(address: int) -> str:
    return "bf" + struct.pack("<I", address).hex()


def call(address: int, times: int = 5) -> str:
    """Call an address some times, by a register."""
    into = "ba" + struct.pack("<I", address).hex()
    return f"bd{struct.pack('<I', times).hex()} {into} ffd2 4d 75fb"


TOTAL = sum(5 * 60 * (number % SECTORS + 1) for number in range(ROUNDS))


@pytest.mark.parametrize("move", MOVES)
def test_another_sector_over_a_routine_that_ran(move: str, tier: str) -> None:
    code = loop(ASK + to(PLACE) + MOVES[move] + call(PLACE))
    found = alike(tier, STACK + code, disk(routine))
    assert found.processor.registers["EBX"] == TOTAL
    assert found.translator is not None
    assert found.translator.counts["instructions"] > 4000  # it did run translated


@pytest.mark.parametrize("move", ["rep insl", "in and stosd"])
def test_through_another_page_of_the_same_frame(move: str, tier: str) -> None:
    """It is called at one linear address and loaded at another."""
    code = loop(ASK + to(0x140000) + MOVES[move] + call(PLACE))
    found = alike(tier, STACK + PAGING_ON + code, disk(routine), paged=True)
    assert found.processor.registers["EBX"] == TOTAL


@pytest.mark.parametrize("move", ["rep insl", "in and mov"])
def test_over_two_pages_of_which_the_second_holds_code(move: str, tier: str) -> None:
    code = loop(ASK + to(PLACE + 0x1000 - 256) + MOVES[move] + call(PLACE + 0x1000))
    found = alike(tier, STACK + code, disk(lambda number: bytes(256) + routine(number)))
    assert found.processor.registers["EBX"] == TOTAL


def test_over_the_code_that_loads(tier: str) -> None:
    """What comes replaces the rest of the loop that it is read by, which goes on in it."""
    body = ASK + to(CODE + 0x200) + MOVES["rep insl"]
    jump = b"\xe9" + struct.pack("<i", 0x200 - len(bytes.fromhex(STACK + "31f6 31db" + body)) - 5)
    start = len(bytes.fromhex(STACK + "31f6 31db"))

    def rest(number: int) -> bytes:  # and inc esi; cmp esi, 8; je behind the jump; jmp; hlt
        words = routine(number)[:-1] + bytes.fromhex("46 83fe08 7405")
        return words + b"\xe9" + struct.pack("<i", start - 0x200 - len(words) - 5) + b"\xf4"

    code = STACK + "31f6 31db" + body + jump.hex()
    found = alike(tier, code, disk(rest))
    assert found.processor.registers["EBX"] == TOTAL // 5


def test_over_the_page_table_that_maps_the_code(tier: str) -> None:
    """A sector of entries: the same address is then another routine, once CR3 is loaded anew."""

    def entries(number: int) -> bytes:
        first = 0x140
        return struct.pack("<128I", *((0x150 + number if page == first else page) << 12 | 3
                                      for page in range(first, first + 128)))  # fmt: skip

    computers = []
    body = ASK + to(TABLE + 4 * 0x140) + MOVES["rep insl"] + "0f20d8 0f22d8" + call(0x140000)
    for one in ("interpreter", tier):
        computer = started(one, STACK + PAGING_ON + loop(body), disk(entries), paged=True)
        for number in range(1, SECTORS + 1):
            computer.memory.write((0x150 + number) << 12, routine(number))
        computers.append(computer)
    expected, found = (seen(computer, computer.run(60_000)) for computer in computers)
    assert found == expected
    assert computers[1].processor.registers["EBX"] == TOTAL
    assert computers[1].processor.registers["CR3"] == DIRECTORY
