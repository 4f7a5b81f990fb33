"""A guest that wants to touch what is not its memory: every tier, every size, every edge.

Whatever address it makes, whichever page it maps to where, it ends as in the interpreter, for which
there is no memory beyond its own; and around the guest's RAM nothing changes: before it in the
buffer stand registers, and tables that say where pages are. Addresses that would lead there, if
somebody added without a look, are among those that are tried.
"""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.machine.llvm_pool import at_once
from tests.machine.translated import RandomBlocks
from virtlab.machine.memory import PAGE
from virtlab.machine.translation.layout import (
    ANSWERED,
    JUMPS,
    LIMITS,
    LINKS,
    PORT_MAP,
    RAM,
    READ_TLB,
    RING,
    SLOTS,
    WRITE_TLB,
)
from virtlab.machine.translation.port_map import PortMap

CODE, MIB = 0x10000, 1 << 20
END = RandomBlocks.RAM_MIB * MIB  # of RAM
TOP = 1 << 32
UNUSED = slice(0x2000, LINKS)  # of the buffer before RAM: canaries live there
CANARY = b"\xa5\x5a" * ((UNUSED.stop - UNUSED.start) // 2)

# Each three times, in a loop that EDI counts; the address is in EAX.
LOOPED = {
    "write 4": "8908",
    "write 2": "668908",
    "write 1": "8808",
    "read 4": "8b18",
    "read 2": "668b18",
    "read 1": "8a18",
    "read and write": "ff00",
    "exchange": "8710",
    "write 8": "0fc708",  # cmpxchg8b
    "bit far away": "0fab08",  # bts [eax], ecx: four bits of ECX are a byte's address
    "push and pop": "89c4 51 5b",  # mov esp, eax; push ecx; pop ebx
    "call": "89c4 e800000000 5b",
    "with a displacement": "898800000280",  # mov [eax - 0x7ffe0000], ecx
    "with an index": "890cd8",  # mov [eax + 8 * ebx], ecx
    "quotient": "f730",  # div dword ptr [eax]
}
ONCE = {
    "copy to": "89c7 fc a5",
    "copy from": "89c6 89e7 fc a5",
    "copy many": "89c7 b906000000 fc f3a5",
    "fill backwards": "89c7 b906000000 fd f3ab",
    "all registers": "89c4 60 61",
    "frame": "89c5 c9",  # mov ebp, eax; leave
}
EDGES = [
    *(END + d for d in range(-9, 3)),
    *(TOP + d - TOP * (d >= 0) for d in range(-9, 2)),
    # Where the buffer's beginning would be, counted from RAM's: registers, tables, canaries, ports.
    *((TOP - RAM + at) % TOP for at in (0, 4, 644, 0x400, 0x404, 0x800, 0x2000, JUMPS)),
    *((TOP - RAM + at) % TOP for at in (ANSWERED, PORT_MAP, PORT_MAP + 2 * 0x3F8, RING)),
    *((TOP - RAM + at) % TOP for at in (READ_TLB, READ_TLB + 4, WRITE_TLB, WRITE_TLB + 4, RAM - 4)),
    *(END + at for at in (PAGE, 0x10000, 0x20000, MIB, 16 * MIB)),
    *(0x7FFFFFFF, 0x80000000, 0x7FFDFFFC, 0xA0000, 0xFEC00000),
]


def blocks_of(tier: str, *, mmu: bool) -> RandomBlocks:
    blocks = RandomBlocks(3, mmu=mmu, tier=tier)
    translator = at_once(blocks.translating).translator
    assert translator is not None
    translator.host.view[UNUSED] = CANARY
    return blocks


def put(blocks: RandomBlocks, at: int, code: str) -> int:
    for computer in (blocks.interpreting, blocks.translating):
        computer.memory.write(at, bytes.fromhex(code))
    return at


def placed(blocks: RandomBlocks) -> dict[str, int]:
    """Put all attempts into memory; return where each is."""
    found = {}
    for at, (name, code) in enumerate({**LOOPED, **ONCE}.items()):
        size = len(bytes.fromhex(code))
        again = f"4f 75{-(size + 3) & 0xFF:02x}" if name in LOOPED else ""  # dec edi; jnz
        found[name] = put(blocks, CODE + 0x40 * at, code + again + "f4")
    return found


def state(address: int) -> dict[str, int]:
    names = {"EAX": address, "ECX": 0x8BADF00D, "EDX": 0, "EBX": 0x20000001, "ESP": 0x208000}
    return {**names, "EBP": 0x209000, "ESI": 0x20A000, "EDI": 3, "eflags": 2}


def check_around(blocks: RandomBlocks) -> None:
    """See that nothing beside RAM has changed, and that no slot of a table leads there."""
    translator = blocks.translating.translator
    assert translator is not None
    view = translator.host.view
    assert bytes(view[UNUSED]) == CANARY
    for table in (READ_TLB, WRITE_TLB):
        for slot in range(SLOTS):
            page, add = struct.unpack_from("<II", view, table + 8 * slot)
            assert page % PAGE == 0
            if page // PAGE % SLOTS == slot:  # else it is empty
                assert RAM <= (page + add) % TOP <= len(view) - PAGE, hex(page)
    ports = memoryview(bytearray(RAM))
    PortMap(ports, blocks.translating.bus).publish()
    assert bytes(view[PORT_MAP:RAM]) == bytes(ports[PORT_MAP:RAM])
    limits = view[LIMITS:PORT_MAP].cast("I")
    assert all(limit <= (page + 1) * PAGE for page, limit in enumerate(limits[: END // PAGE]))
    assert limits[END // PAGE - 1] <= END - 7
    assert not any(limits[END // PAGE :])
    assert blocks.same_memory()
    assert translator.counts["instructions"] > 100


def try_all(blocks: RandomBlocks, addresses: list[int]) -> None:
    for name, start in placed(blocks).items():
        for address in addresses:
            different = blocks.compare(start, state(address), 60)
            assert not different, (name, hex(address), different)
    check_around(blocks)


@pytest.mark.parametrize("mmu", [True, False], ids=["with MMU", "without MMU"])
def test_no_address_leads_out(tier: str, mmu: bool) -> None:  # noqa: FBT001
    try_all(blocks_of(tier, mmu=mmu), EDGES)


# --- through pages ------------------------------------------------------------------------------

DIRECTORY, TABLE = 0x300000, 0x301000
AREA = 0x3F0000  # linear pages that are mapped to what is tried
BEYOND = [
    END - PAGE,
    END,  # behind the last page of RAM
    TOP - PAGE,
    (TOP - RAM) & ~(PAGE - 1),  # where registers would be
    TOP - RAM + READ_TLB,
    TOP - RAM + WRITE_TLB,
    0x210000,
    END + 16 * MIB,
    0x220000,
    0x80000000,
]


def paged(tier: str) -> RandomBlocks:
    """Return computers with paging on: RAM at its place, and an area that leads elsewhere."""
    blocks = blocks_of(tier, mmu=True)
    entries = [at << 12 | 7 for at in range(1024)]
    for k, physical in enumerate(BEYOND):
        entries[AREA // PAGE + k] = physical | 7
    entries[AREA // PAGE + len(BEYOND)] = 0
    for computer in (blocks.interpreting, blocks.translating):
        computer.memory.write(DIRECTORY, struct.pack("<I", TABLE | 7))
        computer.memory.write(DIRECTORY + 4, bytes(PAGE - 4))
        computer.memory.write(TABLE, struct.pack("<1024I", *entries))
    # mov cr3, eax; mov eax, cr0; or eax, 1 << 31; mov cr0, eax; hlt
    start = put(blocks, CODE - 0x100, "0f22d8 0f20c0 0d00000080 0f22c0 f4")
    assert not blocks.compare(start, state(DIRECTORY), 20)
    assert blocks.translating.processor.registers["CR0"] >> 31
    return blocks


def around(page: int) -> list[int]:
    return [AREA + page * PAGE + d for d in (-7, -4, -3, -1, 0, 4, 0x404, 0x7FC)]


def test_no_page_leads_out(tier: str) -> None:
    try_all(paged(tier), [at for page in range(len(BEYOND) + 1) for at in around(page)])


def test_a_page_that_is_mapped_elsewhere_meanwhile(tier: str) -> None:
    """It is read and written, then its entry leads beyond RAM; with and without `invlpg`."""
    blocks = paged(tier)
    places = placed(blocks)
    entry = TABLE + 4 * (AREA // PAGE)
    change = put(blocks, CODE - 0x80, "8918 0f0139 f4")  # mov [eax], ebx; invlpg [ecx]; hlt
    quiet = put(blocks, CODE - 0x40, "8918 f4")
    for start in (change, quiet, change):
        for physical in (0x210000, TOP - RAM, END, 0x211000, TOP - PAGE, 0x212000):
            for name in ("write 4", "read 1", "read and write"):
                assert not blocks.compare(places[name], state(AREA + 8), 60), name
            now = {**state(entry), "EBX": physical & ~(PAGE - 1) | 7, "ECX": AREA}
            assert not blocks.compare(start, now, 20)
    check_around(blocks)


def test_tables_beyond_memory_map_nothing_that_is_ours(tier: str) -> None:
    """CR3, or an entry of the directory, leads to where there are only ones."""
    blocks = paged(tier)
    places = placed(blocks)
    for physical in (END, TOP - RAM, TOP - PAGE):
        here = {**state(DIRECTORY + 8), "ECX": physical & ~(PAGE - 1) | 7}
        assert not blocks.compare(places["write 4"], here, 60)
        for name in ("write 4", "read 4", "push and pop"):
            assert not blocks.compare(places[name], state(0x800000 + 0x404), 60), name
    check_around(blocks)


@pytest.fixture(scope="module")
def flat(tier: str) -> tuple[RandomBlocks, dict[str, int]]:
    blocks = blocks_of(tier, mmu=False)
    return blocks, placed(blocks)


ADDRESSES = st.one_of(
    st.integers(0, TOP - 1),
    st.integers(END - 64, END + 64),
    st.integers(TOP - RAM - 64, TOP - 1),
)


@settings(max_examples=60, deadline=None)
@given(name=st.sampled_from([*LOOPED, *ONCE]), address=ADDRESSES, index=st.integers(0, TOP - 1))
def test_whatever_address(
    flat: tuple[RandomBlocks, dict[str, int]], name: str, address: int, index: int
) -> None:
    if CODE - 0x100 <= address < CODE + 0x1000:
        return
    blocks, places = flat
    begin: dict[str, Any] = {**state(address), "EBX": index, "ECX": index}
    different = blocks.compare(places[name], begin, 60)
    assert not different, (name, hex(address), different)


def test_the_canaries_would_sing() -> None:
    """A slot that leads to the buffer's beginning is seen, and so is a byte that changed."""
    for at, value in ((UNUSED.start + 5, b"\0"), (READ_TLB, struct.pack("<II", 0, RAM - 4))):
        blocks = blocks_of("python", mmu=True)
        try_all(blocks, [END - 4])
        assert blocks.translating.translator is not None
        view = blocks.translating.translator.host.view
        view[at : at + len(value)] = value
        with pytest.raises(AssertionError):
            check_around(blocks)
