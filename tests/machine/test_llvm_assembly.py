"""Host assembly: the code LLVM makes without our marks too, and each line's owner is right."""

from __future__ import annotations

import builtins
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.machine.small_guests import DECODER
from virtlab.machine.guests import GUESTS, guest
from virtlab.machine.image import Image, load
from virtlab.machine.translation import llvm_assembly, llvm_code
from virtlab.machine.translation.lifting import Graph, lift
from virtlab.machine.translation.listing import listing, program_bytes, unit_code
from virtlab.machine.translation.listing_rows import program_of
from virtlab.machine.translation.liveness import needs
from virtlab.machine.translation.llvm import LlvmFunction
from virtlab.machine.translation.llvm_assembly import (
    ENTER,
    LEAVE,
    Assembly,
    HostLine,
    assembly,
)
from virtlab.machine.translation.llvm_memory import TYPES
from virtlab.machine.translation.llvm_values import DECLARATIONS, Lines
from virtlab.machine.translation.regions import find_region

if TYPE_CHECKING:
    from virtlab.machine.decode import Instruction

pytest.importorskip("llvmlite")

RAM = 4 << 20
JUMP = re.compile(r"j\w+ +(\d+)")


def graph_of(program: Image, start: int) -> Graph:
    def fetch(address: int) -> Instruction | None:
        code = program_bytes(program, address, 15)
        return DECODER.decode(address, code) if code else None

    return lift(find_region(start, fetch, 256))


def of(code: str) -> Assembly:
    graph = graph_of(program_of(bytes.fromhex(code)), 0x1000)
    return assembly(graph, needs(graph), (0x1000, 0))


def texts(found: Assembly) -> list[str]:
    return [line.text for line in found.lines]


def made_for(found: Assembly, address: int) -> str:
    return "\n".join(line.text for line in found.lines if line.origin == address)


def function_of(name: str) -> tuple[Graph, int]:
    image = load(guest(name).path(), RAM)
    start = image.symbols["main"].address
    return graph_of(image, start), start


def without_marks(graph: Graph, start: int) -> list[str]:
    """Return the instructions that LLVM makes when nothing says what they are for."""

    class Plain(Lines):
        origins: dict[int, int] = {}  # noqa: RUF012 - nobody writes to it

    function = LlvmFunction(graph, (start, 0), (11, 12), lines=Plain())
    code = function.text
    for number, name in llvm_assembly._ASKS.items():
        code = code.replace(f"inttoptr (i64 {number} to ptr)", name)
    machine = llvm_assembly._machine()
    module = llvm_assembly._optimized(llvm_assembly._HEAD + DECLARATIONS + code + TYPES, machine)
    blocks, _ = llvm_assembly._blocks(f"{machine.emit_assembly(module)}")
    return [text.split()[0] for block in blocks for _, text in block]


@pytest.mark.parametrize("name", ["isprime", "crc32", "sieve"])
def test_marks_change_nothing_of_the_code(name: str) -> None:
    graph, start = function_of(name)
    marked = assembly(graph, needs(graph), (start, 0))
    assert [text.split()[0] for text in texts(marked)] == without_marks(graph, start)


@pytest.mark.parametrize("name", [one.name for one in GUESTS])
def test_each_line_has_an_owner_and_each_jump_a_line(name: str) -> None:
    graph, start = function_of(name)
    found = assembly(graph, needs(graph), (start, 0))
    assert [line.number for line in found.lines] == list(range(1, len(found.lines) + 1))
    known = {address for node in graph.values() for address, _, _ in node.origins}
    owners = {line.origin for line in found.lines}
    assert owners <= known | {ENTER, LEAVE}
    assert {ENTER, LEAVE} < owners
    targets = [int(jump[1]) for text in texts(found) if (jump := JUMP.fullmatch(text))]
    assert targets
    assert all(1 <= target <= len(found.lines) for target in targets)
    assert not any("LBB" in text for text in texts(found))
    assert found.size > len(found.lines)  # most instructions have more than one byte
    assert found.lines[-1].text.split()[0] in ("ret", "jmp", "call")


NUMBERS = st.lists(
    st.integers(0x11111111, 0x77777777), min_size=1, max_size=6, unique_by=lambda one: one % 997
)


@settings(deadline=None, max_examples=15)
@given(NUMBERS)
def test_a_constant_stands_in_the_line_of_the_instruction_that_has_it(numbers: list[int]) -> None:
    code = b"".join(  # mov dword [0x2000 + 4k], number
        b"\xc7\x05" + (0x2000 + 4 * at).to_bytes(4, "little") + number.to_bytes(4, "little")
        for at, number in enumerate(numbers)
    )
    found = of((code + b"\xeb\x00").hex())
    for at, number in enumerate(numbers):
        owners = {line.origin for line in found.lines if f"{number:#x}" in line.text}
        assert owners == {0x1000 + 10 * at}


def test_what_an_instruction_says_is_what_its_lines_do() -> None:
    found = of("f7e3 d1e8 0fcb 31c8 c3")  # mul ebx; shr eax, 1; bswap ebx; xor eax, ecx; ret
    assert "imul" in made_for(found, 0x1000) or "mul" in made_for(found, 0x1000)
    assert "shr" in made_for(found, 0x1002)
    assert "bswap" in made_for(found, 0x1004)
    assert "xor" in made_for(found, 0x1006)
    assert "call   vmm_load" in made_for(found, 0x1008)
    assert "tlb]" in made_for(found, 0x1008)


def test_a_write_looks_in_the_table_for_writes() -> None:
    found = of("8903 ebfc")  # mov [ebx], eax; jmp back
    assert "wtlb]" in made_for(found, 0x1000)
    assert "call   vmm_store" in made_for(found, 0x1000)
    assert not any(re.search(r"\btlb", text) for text in texts(found))


def test_names_stand_for_addresses_of_the_guest() -> None:
    image = load(guest("isprime").path(), RAM)
    rows = {row.text: row.lines for row in listing(image, "isPrime", tier="assembly").rows}
    assert any("offset nexti" in line for line in rows["IDIV ESI"])
    assert any("offset notPrime" in line for line in rows["RET"] + rows["XOR EAX,EAX"])
    assert any("idiv" in line for line in rows["IDIV ESI"])
    assert rows["MOV ECX,EDI"][0].startswith("enter: eax, ecx, edx, esp, esi, edi, cf")
    assert rows["RET"][-1].startswith("leave: ")


def test_the_same_program_has_the_same_code_each_time() -> None:
    assert of("01d8 40 ebfb") == of("01d8 40 ebfb")


def test_other_code_of_this_process_is_written_as_before() -> None:
    binding = llvm_code.llvm().binding
    llvm_assembly._machine()
    target = binding.Target.from_triple("x86_64-unknown-linux-gnu")
    module = binding.parse_assembly("define i32 @seven() { ret i32 7 }")
    assert "$7, %eax" in target.create_target_machine().emit_assembly(module)


def test_all_of_it_is_what_an_assembler_takes() -> None:
    text = unit_code(load(guest("isprime").path(), RAM), "isPrime", tier="assembly")
    lines = text.splitlines()
    assert lines[0].strip() == ".intel_syntax noprefix"
    assert "region:" in lines
    assert {"\t\t# nexti", "\t\t# enter", "\t\t# leave"} <= set(lines)
    assert not any(word in text for word in (".cfi", ".loc", ".debug"))
    labels = {line.partition(":")[0] for line in lines if line.startswith(".LBB")}
    assert set(re.findall(r"\.LBB\d+_\d+", text)) == labels


def test_without_llvmlite_the_column_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def missing(name: str, *rest: Any) -> Any:
        if name.startswith("llvmlite"):
            raise ModuleNotFoundError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", missing)
    llvm_code.llvm.cache_clear()
    llvm_assembly._machine.cache_clear()
    try:
        found = listing(program_of(bytes.fromhex("01d8 ebfe")), tier="assembly")
    finally:
        monkeypatch.undo()
        llvm_code.llvm.cache_clear()
        llvm_assembly._machine.cache_clear()
    words = (
        "no assembly: llvmlite = 'missing': must be installed: the extra virtlab[llvm] brings it"
    )
    assert found.rows[0].lines == (words,)
    assert (found.rows[1].lines, found.code_bytes) == ((), 0)


@pytest.mark.parametrize(
    ("code", "written"),
    [
        ("mov\teax, dword ptr [rsi + 8]", "mov    eax, [rsi + 8]"),
        ("mov\tdword ptr [rsp + 12], 0", "mov    dword ptr [rsp + 12], 0"),
        ("movzx\teax, byte ptr [rsi + 8]", "movzx  eax, byte ptr [rsi + 8]"),
        ("shl\tdword ptr [rsi], cl", "shl    dword ptr [rsi], cl"),
        ("jne\t.LBB0_3", "jne    40"),
        ("add\teax, 65536", "add    eax, 0x10000"),
        ("mov\teax, 4660", "mov    eax, offset start"),
        ("xor\tedx, dword ptr [rsi + rax + 65536]", "xor    edx, [rsi + rax + tlb]"),
        ("mov\teax, dword ptr [rsi + 65536]", "mov    eax, [rsi + 0x10000]"),
        ("call\tvmm_load@PLT", "call   vmm_load"),
        ("ret", "ret"),
    ],
)
def test_a_line_is_written_for_a_person(code: str, written: str) -> None:
    names = llvm_assembly._Names(
        lambda at: "start" if at == 0x1234 else f"{at:#x}", frozenset({0x1234})
    )
    assert llvm_assembly._written(" ".join(code.split("\t")), {".LBB0_3": 40}, names) == written


@pytest.mark.parametrize("seed", range(6))
def test_whatever_the_code_its_lines_are_all_there(seed: int) -> None:
    rng = np.random.default_rng(seed)
    adds = [bytes([0x01, 0xC0 | int(rng.integers(0, 64))]) for _ in range(12)]
    found = of((b"".join(adds) + b"\xeb\xe6").hex())
    lines = [line for line in found.lines if line.origin >= 0]
    assert {HostLine} == set(map(type, lines))
    assert {line.origin for line in lines} <= {0x1000 + 2 * at for at in range(13)}
    assert len({line.origin for line in lines}) >= 4
