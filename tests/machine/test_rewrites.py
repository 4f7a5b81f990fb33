"""Instructions that read memory and write it back ask for the right to write at once.

Beside a real processor: which says that a page which is missing is missing for a write.
"""

from __future__ import annotations

import json
import platform
import struct
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.machine.small_guests import (
    CODE,
    PAGING_ON,
    TABLE,
    handle,
    map_pages,
)
from tests.machine.test_hard_guests import STACK, alike
from tests.machine.test_paging import TABLE as SMALL_TABLE
from tests.machine.test_paging import fault_of, paged
from virtlab.machine.bus import Bus
from virtlab.machine.decode import Decoder
from virtlab.machine.devices.disk import Disk
from virtlab.machine.devices.pic import Pic
from virtlab.machine.faults import Fault
from virtlab.machine.pcode import CONST, REGISTER, Op, Var
from virtlab.machine.read_once import changed_place, read_once

if TYPE_CHECKING:
    from virtlab.machine.computer import Computer

DECODER = Decoder()
PAGE_6 = SMALL_TABLE + 4 * 6

# With EBX, ESI and EDI at the operand, and 1 in EAX, ECX and EDX; as ring 3's error code says it:
# 4 read, 6 write, of a page that is not there.
CHANGES = {
    "xchg": "8703", "xchg byte": "8603", "xadd": "0fc103", "xadd byte": "0fc003",
    "cmpxchg": "0fb10b", "cmpxchg byte": "0fb00b", "cmpxchg8b": "0fc70b",
    "lock cmpxchg8b": "f00fc70b", "lock cmpxchg": "f00fb10b", "lock inc": "f0ff03",
    "inc": "ff03", "dec": "ff0b", "inc byte": "fe03", "inc word": "66ff03", "not": "f713",
    "neg": "f71b", "add": "0103", "adc": "1103", "sub": "2903", "sbb": "1903", "and": "2103",
    "or": "0903", "xor": "3103", "or imm": "830b01", "and byte imm": "802300",
    "add imm32": "810378563412", "bts": "0fab03", "btr": "0fb303", "btc": "0fbb03",
    "bts imm": "0fba2b01", "btr imm": "0fba3301", "btc imm": "0fba3b01", "lock bts": "f00fab03",
    "shl 1": "d123", "shr imm": "c12b03", "sar cl": "d33b", "rol byte": "c00301", "rcr": "d11b",
    "shl 0": "c12300", "shl cl = 0": "31c9d323", "shld": "0fa40301", "shrd cl": "0fad03",
    "shld cl = 0": "31c90fa503", "cmpxchg differs": "b8050000000fb10b",
}  # fmt: skip
READS = {
    "mov from": "8b03", "cmp": "3903", "test": "8503", "bt": "0fa303", "bt imm": "0fba2301",
    "add from": "0303", "imul": "0faf03", "mul": "f723", "lods": "ad", "cmovc": "0f4203",
    "movzx": "0fb603",
}  # fmt: skip
WRITES = {"mov to": "8903", "setc": "0f9203", "stos": "ab", "mov imm": "c70301000000"}
ERROR = {**dict.fromkeys(CHANGES, 6), **dict.fromkeys(READS, 4), **dict.fromkeys(WRITES, 6)}
FORMS = {**CHANGES, **READS, **WRITES}

# A program of Linux that lets instructions fault: its handler keeps the error code, and goes on
# behind them. Numbers are offsets in struct ucontext: of err, and of rip.
NATIVE = r"""
import ctypes, json, struct, sys
libc = ctypes.CDLL(None)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_int] * 3 + [ctypes.c_long]
page = lambda rights, size=4096: libc.mmap(None, size, rights, 0x22, -1, 0)
code, kept, absent, read_only, stack = page(7), page(3), page(0), page(1), page(3, 65536)
ctypes.string_at(read_only, 1)  # so that it is there
number = lambda value: struct.pack("<Q", value)
handler = bytes.fromhex("488b82c0000000 48b9") + number(kept) + bytes.fromhex("488901 48b8")
handler += number(code + 0x200) + bytes.fromhex("488982a8000000 c3")
back = b"\x48\xb9" + number(kept + 8) + bytes.fromhex("488b21 5b c3")
ctypes.memmove(code + 0x100, handler, len(handler))
ctypes.memmove(code + 0x200, back, len(back))
class Action(ctypes.Structure):
    _fields_ = [("handler", ctypes.c_void_p), ("mask", ctypes.c_uint8 * 128),
                ("flags", ctypes.c_int), ("restorer", ctypes.c_void_p)]
action = Action(code + 0x100)
action.flags = 0x48000004  # SA_SIGINFO, SA_ONSTACK, SA_NODEFER
assert libc.sigaltstack(struct.pack("<QiiQ", stack, 0, 0, 65536), None) == 0
assert libc.sigaction(11, ctypes.byref(action), None) == 0
def error(form, where):
    words = b"\x53\x48\xb9" + number(kept + 8) + bytes.fromhex("488921 48bb") + number(where)
    words += bytes.fromhex("b801000000 b901000000 ba01000000 4889de 4889df" + form + "5b c3")
    ctypes.memmove(code, words, len(words))
    ctypes.memmove(kept, number(0), 8)
    ctypes.CFUNCTYPE(None)(code)()
    return ctypes.c_uint64.from_address(kept).value
forms = json.load(sys.stdin)
print(json.dumps({name: [error(form, absent + 0x100), error(form, read_only + 0x100)]
                  for name, form in forms.items()}))
"""


def at_ring_3(form: str, entry: int) -> int:
    """Return the error code that an instruction gives; 0 if it does not fault."""
    processor = paged(form, {6: entry}, 3)
    end = processor.registers["EIP"] + len(bytes.fromhex(form))
    for name in ("EAX", "ECX", "EDX"):
        processor.registers[name] = 1
    for name in ("EBX", "ESI", "EDI"):
        processor.registers[name] = 0x6100
    try:
        while processor.registers["EIP"] < end:
            processor.step()
    except Fault as fault:
        found = fault
    else:
        return 0
    assert (found.vector, found.address) == (14, 0x6100)
    return found.code or 0


@pytest.mark.parametrize("name", FORMS)
def test_the_error_code_says_what_is_wanted(name: str) -> None:
    read_only = 7 if ERROR[name] == 6 else 0
    assert at_ring_3(FORMS[name], 0) == ERROR[name]
    assert at_ring_3(FORMS[name], 0x6005) == read_only


def test_as_a_real_processor_says_it() -> None:
    if sys.platform != "linux" or platform.machine() not in ("x86_64", "AMD64"):
        pytest.skip("not Linux on x86")
    run = subprocess.run(
        [sys.executable, "-c", NATIVE], input=json.dumps(FORMS), capture_output=True, text=True,
        check=True, timeout=60,
    )  # fmt: skip
    measured = json.loads(run.stdout)
    assert measured == {n: [code, 7 if code == 6 else 0] for n, code in ERROR.items()}


def test_arpl_asks_for_it_only_when_it_writes() -> None:
    """As a real processor does; there is no ARPL among its instructions of 64 bits."""
    assert at_ring_3("6303", 0) == 4
    processor_writes = at_ring_3("b803000000 6303", 0x6005)
    assert processor_writes == 7
    assert at_ring_3("b800000000 6303", 0x6005) == 0


@pytest.mark.parametrize("entry", [0, 0x150001])
@pytest.mark.parametrize("name", [*CHANGES, "cmp", "mov to"])
def test_in_code_that_ran_before(name: str, entry: int, tier: str) -> None:
    """In each tier: some pages may be written, and then comes one that may not."""

    def prepare(computer: Computer) -> None:
        map_pages(computer)
        for page in range(0x140, 0x150):
            computer.memory.write(TABLE + 4 * page, struct.pack("<I", 0x140003))
        computer.memory.write(TABLE + 4 * 0x150, struct.pack("<I", entry))

    protect = "0f20c0 0d00000100 0f22c0"  # CR0.WP
    body = f"b801000000 b901000000 ba01000000 89df {FORMS[name]} 81c300100000"
    size = len(bytes.fromhex(body)) + 2
    code = STACK + PAGING_ON + protect + "bb00011400" + body + f"eb{-size & 0xFF:02x}"
    computer, translated = alike(tier, code, prepare)
    assert translated > 50
    if name == "cmp" and entry:
        assert computer.traps == {("#PF", "exception"): 1}
        assert computer.processor.registers["CR2"] == 0x1FF100  # map_pages leaves the last out
        return
    registers = computer.processor.registers
    assert (registers["CR2"], registers["EBX"]) == (0x150100, 0x150100)
    assert registers["ESI"] == (0 if name == "cmp" else 2) + (entry & 1)
    mark = computer.memory.read(TABLE + 4 * 0x150, 1)[0]
    assert mark == entry & 0xFF  # what faulted has not been used


# add dword [esp], 0 reads the error code: bit 1 or nothing is given; EDX counts
GIVES_PAGES = "50 8b442404 a802 740f 0f20d0 c1e80c c70485{table}{entry} 42 58 83c404 cf"


def test_pages_that_are_given_on_a_write_only(tier: str) -> None:
    """A kernel gives a page to whoever writes, and would not to who reads: none is left out."""

    def prepare(computer: Computer) -> None:
        map_pages(computer)
        for page in range(0x150, 0x158):
            computer.memory.write(TABLE + 4 * page, bytes(4))
        words = GIVES_PAGES.format(
            table=struct.pack("<I", TABLE).hex(), entry=struct.pack("<I", 0x150003).hex()
        )
        handle(computer, 14, words)

    # eight pages, each incremented: all are the same frame
    loop = "ff03 81c300100000 81fb00801500 75f0"
    code = STACK + PAGING_ON + "ba00000000 bb00001500" + loop + "f4"
    computer, _ = alike(tier, code, prepare)
    assert computer.traps == {("#PF", "exception"): 8}
    assert computer.processor.registers["EDX"] == 8
    assert computer.memory.read(0x150000, 4) == struct.pack("<I", 8)


def test_a_port_is_not_read_for_a_page_that_is_missing() -> None:
    """INS faults before a word is taken from the device: it would be lost."""
    processor = paged("f26d", {6: 0})  # rep insd
    data = b"both words".ljust(512)
    disk = Disk(Pic(), data)
    processor.bus = Bus()
    processor.bus.add(disk)
    for port, value in ((0x1F2, 1), (0x1F6, 0xE0), (0x1F3, 0), (0x1F7, 0x20)):
        disk.write(port, 1, value)
    processor.registers["ECX"], processor.registers["EDX"] = 2, 0x1F0
    processor.registers["EDI"] = 0x6000
    fault = fault_of(processor)
    assert (fault.vector, fault.code, fault.address) == (14, 2, 0x6000)
    processor.memory.write(PAGE_6, struct.pack("<I", 0x9007))
    processor.step()
    processor.step()
    assert processor.memory.read(0x9000, 8) == data[:8]


EBX, EAX, VALUE = Var(REGISTER, 12, 4), Var(REGISTER, 0, 4), Var(2, 16, 4)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("ff03", True), ("870424", True), ("ff0500600000", True), ("0fb10b", True),
        ("0fb10d00600000", True), ("01048d00600000", True),
        ("8f0424", False),  # pop [esp]: ESP has changed in between
        ("ff3424", False), ("ff1424", False), ("8b03", False), ("8903", False), ("a5", False),
        ("c9", False), ("60", False), ("61", False), ("c3", False),
    ],
)  # fmt: skip
def test_which_instructions_are_meant(code: str, *, expected: bool) -> None:
    found = DECODER.decode(CODE, bytes.fromhex(code) + bytes(10))
    loads = [op for op in found.ops if op.to_change]
    assert bool(loads) is expected
    assert len(loads) <= 1
    if expected:
        place = changed_place(found.ops)
        assert place is not None
        reads = [op for op in found.ops if op.code == "LOAD" and op.ins[0] == place]
        assert len(reads) <= 1  # of a device no second value


def test_an_address_that_changes_ends_it() -> None:
    part = Var(REGISTER, 13, 1)  # BH
    load, store = Op("LOAD", VALUE, (EBX,)), Op("STORE", None, (EBX, VALUE))
    change = Op("COPY", part, (Var(CONST, 0, 1),))
    assert changed_place((load, store)) == EBX
    assert changed_place((load, change, store)) is None
    assert changed_place((store, load)) is None
    done = list(read_once((load, store, change, load), EBX))
    assert [op.code for op in done] == ["LOAD", "COPY", "STORE", "COPY", "COPY", "LOAD"]
    assert not done[-1].to_change
