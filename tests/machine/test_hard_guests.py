"""Guests that are hard to translate: each ends in every tier as it does in the interpreter."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest

from tests.machine.llvm_pool import at_once
from tests.machine.small_guests import CODE, PAGING_ON, TABLE, handle, map_pages, set_up
from tests.machine.translated import seen

if TYPE_CHECKING:
    from collections.abc import Callable

    from virtlab.machine.computer import Computer

MOST = 20_000
STACK = "bcf0ff0800"  # mov esp


def guest(tier: str, code: str, prepare: Callable[[Computer], object] | None = None) -> Computer:
    """Return a computer with a program, which translates whatever it sees, at once."""
    computer = set_up(history=0, tier=tier)
    for vector in (6, 13, 14):  # mov eax, vector; mov ebx, cr2; pop esi; pop edi; hlt
        handle(computer, vector, f"b8{vector:02x}000000 0f20d3 5e 5f f4")
    if prepare is not None:
        prepare(computer)
    computer.load_code(bytes.fromhex(code))
    return at_once(computer)


def alike(
    tier: str, code: str, prepare: Callable[[Computer], object] | None = None
) -> tuple[Computer, int]:
    """Run a program in the interpreter and in a tier; return the latter, and what it translated."""
    expected, found = (guest(one, code, prepare) for one in ("interpreter", tier))
    assert seen(found, found.run(MOST)) == seen(expected, expected.run(MOST))
    assert found.translator is not None
    return found, found.translator.counts["instructions"]


WRITES_CODE = {
    "cs:": "b964000000 2e890d00201000 49 75f6 f4",
    "ds": "66b80800 8ed8 b964000000 890d00201000 49 75f7 f4",
    "es": "66b80800 8ec0 b964000000 bf00201000 ab 49 75fc f4",
    "add cs:": "b964000000 2e010d00201000 49 75f6 f4",
}


@pytest.mark.parametrize("way", WRITES_CODE)
def test_nothing_is_written_through_a_code_segment(way: str, tier: str) -> None:
    computer, translated = alike(tier, STACK + WRITES_CODE[way])
    assert computer.traps == {("#GP", "exception"): 1}
    assert translated


def test_code_is_read_through_its_own_segment(tier: str) -> None:
    _, translated = alike(tier, STACK + "b964000000 2e031d00001000 49 75f6 f4")
    assert translated > 300


@pytest.mark.parametrize("first", [0x190FFE, 0x190FFF, 0x150000, 0x150001])
def test_a_write_over_two_pages_that_hits_code_is_done_once(first: int, tier: str) -> None:
    def prepare(computer: Computer) -> None:
        map_pages(computer)
        pages = {0x180: 0x190, 0x181: 0x150}  # two neighbours that lie apart, the second lower
        for page, frame in pages.items():
            computer.memory.write(TABLE + 4 * page, struct.pack("<I", frame << 12 | 3))
        computer.memory.write(first, b"\xc3")

    linear = (first & 0xFFF) + (0x180000 if first > 0x160000 else 0x181000)
    called = f"bb{struct.pack('<I', linear).hex()} ffd3"
    add = "8105fe0f1800 00000001"  # to the two last bytes of one page and two of the other
    code = STACK + PAGING_ON + called + "b903000000 " + add + " 49 75f3" + "f4"
    computer, _ = alike(tier, code, prepare)
    assert computer.memory.read(0x150001, 1)[0] in (3, 0xC6)  # thrice, and not more often


def test_a_loader_that_writes_many_pages_at_once(tier: str) -> None:
    pages = [bytearray(b"\xc3" * 4096) for _ in range(4)]
    pages[0][:5] = b"\xe9" + struct.pack("<i", 2 * 4096 - 5)
    pages[2][:10] = bytes.fromhex("b9e8030000 43 49 75fc f4")  # counts up, and then down
    computer = guest(tier, b"".join(pages).hex())
    for code, expected in ((0x43, 1000), (0x4B, 0)):
        pages[2][5] = code
        computer.memory.write(CODE, b"".join(pages))
        computer.processor.registers["EIP"], computer.processor.halted = CODE, False
        computer.processor.registers["EBX"] = 0 if expected else 1000
        assert computer.run().ended == "halted"
        assert computer.processor.registers["EBX"] == expected
    assert computer.translator is not None
    assert computer.translator.cache.counts["invalidations"]


COMPARES = {
    "dword": "0fb10d {}",
    "word, at a pointer": "be{} 660fb10e",
    "byte": "0fb00d {}",
    "locked": "be{} f00fb10e",
    "qword": "0fc70d {}",
    "qword, at a pointer": "be{} 0fc70e",
    "dword, where EAX says, which changes": "b8{} 0fb108",
    "qword, where EDX says, which changes": "ba{} 0fc70a",
}


@pytest.mark.parametrize("entry", [0x150003, 0x150001])
@pytest.mark.parametrize("way", COMPARES)
def test_a_comparison_that_fails_writes_what_was_there(way: str, entry: int, tier: str) -> None:
    """Intel SDM, CMPXCHG: the operand is written "without regard to the result"."""

    def prepare(computer: Computer) -> None:
        map_pages(computer)
        computer.memory.write(TABLE + 4 * 0x150, struct.pack("<I", entry))
        computer.memory.write(0x150000, b"\x55" * 8)

    protect = "0f20c0 0d00000100 0f22c0"  # CR0.WP
    code = STACK + PAGING_ON + protect + "b811111111 ba11111111" + COMPARES[way].format("00001500")
    computer, translated = alike(tier, code + "f4", prepare)
    assert translated
    assert computer.memory.read(0x150000, 8) == b"\x55" * 8
    (mark,) = computer.memory.read(TABLE + 4 * 0x150, 1)
    if entry & 2:
        assert mark & 0x60 == 0x60  # accessed and dirty
        assert computer.processor.registers["EAX"] & 0xFF == 0x55
    else:
        assert computer.traps == {("#PF", "exception"): 1}
        registers = computer.processor.registers
        assert registers["CR2"] == 0x150000
        assert registers["ESI"] == 3  # a write, to a page that is there


# Page tables that are code too. Entries 0x150 and 0x151 as code, before and after the first is
# marked as written: sub eax, ebx; add al, 0; ret; and imul eax, ebx, 4; add bl, al; ret.
ENTRIES = "2bc30400 c3c30000"
ADDRESS = "00001500"  # on the page that the first of them maps
WRITES = {
    "add": f"8305 {ADDRESS} 07",
    "inc": f"ff05 {ADDRESS}",
    "shl": f"b101 d325 {ADDRESS}",
    "xadd": f"0fc105 {ADDRESS}",
    "xchg": f"870d {ADDRESS}",
    "push": "89e5 bc04001500 50 89ec",
    "two pages": "8105 feff1400 07000100",
}


@pytest.mark.parametrize("way", WRITES)
def test_a_write_that_marks_a_page_table_which_is_code_is_done_once(way: str, tier: str) -> None:
    def prepare(computer: Computer) -> None:
        map_pages(computer)
        computer.memory.write(TABLE + 4 * 0x150, bytes.fromhex(ENTRIES))
        computer.memory.write(0x4C000, b"\1\2\3\4")

    call = f"ba{struct.pack('<I', TABLE + 4 * 0x150).hex()} ffd2"
    body = f"{call} {WRITES[way]} 4e"  # and dec esi; jnz
    size = len(bytes.fromhex(body)) + 2
    begin = "bb05000000 31c0 be03000000"
    computer, translated = alike(
        tier, STACK + PAGING_ON + begin + body + f"75{-size & 0xFF:02x} f4", prepare
    )
    assert not computer.traps
    assert translated
    assert computer.translator is not None
    assert computer.translator.cache.counts["invalidations"]
    assert computer.memory.read(TABLE + 4 * 0x150, 1) == b"\x6b"  # it is marked
    assert computer.memory.read(0x4C000, 4) + computer.memory.read(0x14FFFE, 2) != b"\1\2\3\4\0\0"


def test_an_instruction_over_two_pages_changes_in_its_second_part(tier: str) -> None:
    begin = 0x101FFD  # of mov eax, number: its upper half lies on the next page
    loop = bytes.fromhex("b801000000 01c3 ff0500201000 49")  # add ebx; inc the upper half; dec ecx
    loop += b"\x0f\x85" + struct.pack("<i", -len(loop) - 6) + b"\xf4"

    def prepare(computer: Computer) -> None:
        computer.memory.write(begin, loop)

    code = bytes.fromhex("bb00000000 b964000000")
    code += b"\xe9" + struct.pack("<i", begin - CODE - len(code) - 5)
    computer, _ = alike(tier, code.hex(), prepare)
    wanted = sum(1 + (turn << 16) for turn in range(100)) % (1 << 32)
    assert computer.processor.registers["EBX"] == wanted


def test_a_segment_that_becomes_shorter_is_shorter_for_code_that_was_translated(tier: str) -> None:
    reads = "bef0ff1400 b90a000000 8b06 83c604 49 75f8"  # ten words from 14fff0 on
    shorter = "66c705100008004f01 c60516000800c0 66b81000 8ed8"  # now DS ends with 14ffff
    around = len(bytes.fromhex(reads + shorter)) + 3
    code = STACK + "bd03000000" + reads + shorter + "4d 75" + struct.pack("b", -around).hex() + "f4"
    computer, translated = alike(tier, code)
    assert translated > 30
    assert computer.traps == {("#GP", "exception"): 1}
    assert computer.processor.registers["EBP"] == 2  # in the second round


def test_code_that_the_mark_of_its_own_store_changes_is_not_run_as_it_was(tier: str) -> None:
    """The mark turns the entry 0015eb03 into 0015eb63; its lowest byte is what BL is set to."""
    begin = TABLE + 0x520
    code = bytes.fromhex("a300001500").ljust(0x1F, b"\x90") + b"\xb3"  # mov [150000], eax; mov bl
    code += bytes.fromhex("03eb1500")  # the entry: 3, and jmp to what is 15h bytes further
    code = code.ljust(0x38, b"\x90") + b"\xf4"

    def prepare(computer: Computer) -> None:
        map_pages(computer)
        computer.memory.write(begin, code)

    jump = f"b8{struct.pack('<I', begin).hex()} ffe0"  # mov eax; jmp eax
    computer, translated = alike(tier, STACK + PAGING_ON + jump, prepare)
    assert translated
    assert computer.processor.registers["EBX"] & 0xFF == 0x63


@pytest.mark.parametrize("esp", [CODE + 15, (2 << 20) + 64, (2 << 20) - 2], ids=hex)
def test_a_frame_that_is_code_or_no_ram_is_seen(esp: int, tier: str) -> None:
    """No code of the loop moves ESP, so the llvm tier looks where it stands only once."""
    code = f"b964000000 bc{struct.pack('<I', esp).hex()}"  # mov ecx, 100; mov esp
    loop = "40 890424 bb00000000 01da 031424 49"  # inc eax; mov [esp]; mov ebx; add edx, twice
    code += f"{loop} 75{struct.pack('b', -len(bytes.fromhex(loop)) - 2).hex()} f4"
    assert bytes.fromhex(code)[14] == 0xBB  # the number behind it is what stands at code + 15
    found = []
    for one in ("interpreter", tier):
        computer = set_up(history=0, tier=one, mmu=False)
        computer.load_code(bytes.fromhex(code))
        at_once(computer)
        found.append(seen(computer, computer.run(MOST)))
    assert found[0] == found[1]
