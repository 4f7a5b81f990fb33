"""A listing beside what it is of: bytes, classes, and what is struck out really is not needed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from benchmarks.differential import random_instruction
from tests.machine.small_guests import DECODER
from virtlab.machine.faults import Fault
from virtlab.machine.guests import GUESTS, guest, kernel, mirror
from virtlab.machine.image import load
from virtlab.machine.pcode import COMPUTED, CONST, REGISTER
from virtlab.machine.registers import SIZE
from virtlab.machine.translation.lifting import CELLS
from virtlab.machine.translation.listing import listing, program_bytes, unit_code
from virtlab.machine.translation.listing_rows import CLASSES, program_of
from virtlab.machine.translation.listing_text import one_column, side_by_side
from virtlab.machine.translation.passes import Passes
from virtlab.machine.translation.regions import BRANCHES, class_of
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtlab.machine.decode import Instruction
    from virtlab.machine.pcode import Var
    from virtlab.machine.translation.listing_rows import Listing

RAM = 4 << 20


def of(name: str, start: str, passes: Passes | None = None) -> Listing:
    path = {"kernel": kernel, "mirror": mirror}.get(name, lambda: guest(name).path())()
    return listing(load(path, RAM), start, passes)


@pytest.mark.parametrize("name", [one.name for one in GUESTS])
def test_rows_are_the_programs_bytes_in_order(name: str) -> None:
    image = load(guest(name).path(), RAM)
    found = listing(image, "main")
    start, size = image.symbols["main"].address, image.symbols["main"].bytes
    assert b"".join(row.code for row in found.rows) == program_bytes(image, start, size)
    at = start
    for row in found.rows:
        assert row.address == at
        assert row.kind == class_of(DECODER.decode(at, program_bytes(image, at, 15)))
        assert len(row.operations) == len(DECODER.decode(at, program_bytes(image, at, 15)).ops)
        at += len(row.code)


def test_of_is_prime_as_the_paper_prints_it() -> None:
    found = of("isprime", "isPrime")
    code = b"".join(row.code for row in found.rows)
    assert code[:10].hex(" ") == "89 f9 be 02 00 00 00 39 ce 7d"  # Adams and Agesen, section 3.1
    assert [row.name for row in found.rows if row.name] == ["isPrime", "nexti", "prime", "notPrime"]
    signs = "".join(row.sign for row in found.rows)
    assert signs == "===>====>==>=>=>"
    assert found.rows[3].text == "JGE prime"
    assert found.rows[3].lines[-1] == "if yes: goto prime"


def test_what_is_for_the_vmm_is_a_callout_and_ends_a_unit() -> None:
    found = of("mirror", "set_flags", Passes(in_cache=False))
    assert [(row.text, row.kind, row.unit) for row in found.rows] == [
        ("PUSH EAX", "IDENT", 1),
        ("POPFD", "callout", 0),
        ("RET", "control", 2),
    ]
    assert found.rows[1].lines == ("call the VMM: POPFD",)
    assert found.summary()["callouts"] == 1


def test_what_is_done_in_the_cache_has_a_class_of_its_own() -> None:
    found = of("mirror", "set_flags")
    assert [(row.text, row.kind, row.unit) for row in found.rows] == [
        ("PUSH EAX", "IDENT", 1),
        ("POPFD", "in-cache", 1),
        ("RET", "control", 1),
    ]
    assert any("IF" in one.text for one in found.rows[1].operations)
    hlt = listing(program_of(bytes.fromhex("fb 90 f4")))
    assert [row.kind for row in hlt.rows] == ["in-cache", "IDENT", "callout"]


def test_units_as_the_passes_say() -> None:
    whole = of("isprime", "isPrime")
    blocks = of("isprime", "isPrime", Passes(regions=False))
    short = of("isprime", "isPrime", Passes(regions=False, most=2))
    assert [one.summary()["units"] for one in (whole, blocks, short)] == [1, 5, 9]
    for one in (blocks, short):
        for unit in range(1, 6):
            rows = [row for row in one.rows if row.unit == unit]
            assert [row.kind for row in rows[:-1]] == ["IDENT"] * (len(rows) - 1)


def test_without_the_pass_no_recipe_is_left_and_the_code_grows() -> None:
    for name in ("sieve", "crc32", "quicksort"):
        lazy, eager = of(name, "main"), of(name, "main", Passes(dead_flags=False))
        assert eager.count("put off") == 0 < lazy.count("put off")
        assert eager.count("done") > lazy.count("done")
        assert eager.code_bytes > lazy.code_bytes
        assert eager.summary()["operations"] == lazy.summary()["operations"]


# --- what is struck out is not needed: run what is left ------------------------------------------


def straight_line(rng: np.random.Generator, length: int) -> bytes:
    """Return random instructions of registers alone, and a jump at the end."""
    code = b""
    while length:
        words = random_instruction(rng)[:15]
        try:
            found = DECODER.decode(0x1000 + len(code), words)
        except Fault:
            continue
        codes = {op.code for op in found.ops}
        plain = class_of(found) == "IDENT" and codes <= set(COMPUTED)
        if plain and all(var.space != 3 for op in found.ops for var in op.ins):
            code, length = code + found.code, length - 1
    return code + b"\xeb\x00"


def run(instructions: list[Instruction], states: Iterator[str], data: bytearray) -> bytearray:
    """Do those operations of some instructions that are done."""
    for instruction in instructions:
        temporaries: dict[int, int] = {}

        def value(var: Var, temporaries: dict[int, int] = temporaries) -> int:
            if var.space == CONST:
                return var.offset & (1 << 8 * var.size) - 1
            if var.space == REGISTER:
                return int.from_bytes(data[var.offset : var.offset + var.size], "little")
            return temporaries.get(var.offset, 0) & (1 << 8 * var.size) - 1

        for op in instruction.ops:
            if next(states) != "done" or op.code in BRANCHES or op.out is None:
                continue
            ins = tuple(map(value, op.ins))
            made = int(COMPUTED[op.code](ins, op.ins[0].size, op.out.size))
            made &= (1 << 8 * op.out.size) - 1
            if op.out.space == REGISTER:
                data[op.out.offset : op.out.offset + op.out.size] = made.to_bytes(
                    op.out.size, "little"
                )
            else:
                temporaries[op.out.offset] = made
    return data


@pytest.mark.parametrize("seed", range(40))
def test_what_is_not_struck_out_is_enough(seed: int) -> None:
    rng = np.random.default_rng(seed)
    found = listing(program_of(straight_line(rng, 12)))
    image = program_of(b"".join(row.code for row in found.rows))
    decoded = [
        DECODER.decode(row.address, program_bytes(image, row.address, 15)) for row in found.rows
    ]
    states = [one.state for row in found.rows for one in row.operations]
    assert "done" in states
    data = bytearray(rng.integers(0, 256, SIZE, dtype=np.uint8).tobytes())
    for cell in CELLS[8:]:
        data[cell.offset] &= 1
    all_of_it = run(decoded, iter(["done"] * len(states)), bytearray(data))
    rest = run(decoded, iter(states), bytearray(data))
    for cell in CELLS:
        place = slice(cell.offset, cell.offset + cell.size)
        assert rest[place] == all_of_it[place], cell


def test_much_is_struck_out_of_random_code() -> None:
    found = listing(program_of(straight_line(np.random.default_rng(1), 30)))
    assert found.count("put off") + found.count("dead") > found.count("done") / 2


# --- text, and what is refused -------------------------------------------------------------------


@pytest.mark.parametrize("width", [100, 120, 200])
def test_four_columns_fit(width: int) -> None:
    found = of("crc32", "main")
    lines = side_by_side(found, width).splitlines()
    assert max(map(len, lines)) <= width
    for row in found.rows:
        assert any(line.startswith(f"{row.address:8x} {row.sign}") for line in lines)
    marks = sum(line[fixed_end() :].lstrip()[:2] in ("~ ", "x ") for line in lines[:-2])
    assert marks >= 10


def fixed_end() -> int:
    return 8 + 1 + 17 + 22


def test_one_column_is_what_a_disassembler_writes() -> None:
    text = one_column(of("isprime", "isPrime"))
    assert "  100221  >  7d 0e           JGE prime" in text.splitlines()
    assert text.splitlines()[0] == "isPrime:"


def test_bytes_that_are_no_instruction_are_shown_as_such() -> None:
    found = listing(program_of(bytes.fromhex("90 0f0b")))
    assert [(row.text, row.kind) for row in found.rows] == [
        ("NOP", "IDENT"),
        ("(no instruction)", "none"),
    ]
    assert set(CLASSES) == {"IDENT", "control", "in-cache", "callout", "none"}


def test_it_begins_where_one_says() -> None:
    image = load(guest("isprime").path(), RAM)
    address = image.symbols["nexti"].address
    assert listing(image, "nexti").rows[0] == listing(image, hex(address)).rows[0]
    assert listing(image, address).rows[0].address == address
    assert listing(image).rows[0].name == "_start"
    assert len(listing(image, "isPrime", most=3).rows) == 3


@pytest.mark.parametrize(
    ("start", "message"),
    [
        ("isPrim", "start = 'isPrim': must be an address or one of _start"),
        ("0x5", "start = '0x5': must be an address in the program's segments"),
        (1 << 32, "start"),
    ],
)
def test_a_wrong_start_is_refused(start: str | int, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        listing(load(guest("isprime").path(), RAM), start)


def test_a_tier_that_keeps_no_code_shows_none() -> None:
    found = listing(program_of(bytes.fromhex("01d8 ebfe")), tier="interpreter")
    assert (found.code_bytes, [row.lines for row in found.rows]) == (0, [(), ()])
    with pytest.raises(InvalidInputError, match="tier = 'qemu'"):
        listing(program_of(b"\x90"), tier="qemu")


def test_json_has_all_of_it() -> None:
    found = of("isprime", "isPrime")
    told = json.loads(json.dumps(found.to_json()))
    assert [row["translated"] for row in told["rows"]] == [list(row.lines) for row in found.rows]
    assert told["done"] + told["put_off"] + told["dead"] == told["operations"]
    assert found.to_frame()["bytes"].iloc[0] == "89 f9"


@pytest.mark.parametrize("tier", ["python", "wasm", "llvm"])
def test_each_tier_can_be_read_beside_the_instructions(tier: str) -> None:
    found = listing(load(guest("isprime").path(), RAM), "isPrime", tier=tier)
    assert found.tier == tier
    made = {row.text: "\n".join(row.lines) for row in found.rows}
    wanted = {
        "python": "esi = (esi + 1) & 0xffffffff",
        "wasm": "esi = t",
        "llvm": ", 1",
    }[tier]
    assert wanted in made["INC ESI"]
    assert sum(bool(row.lines) for row in found.rows) >= 5


def test_the_python_column_is_the_functions_source() -> None:
    found = listing(program_of(bytes.fromhex("b907000000 49 75fd c3")), tier="python")
    lines = [line for row in found.rows for line in row.lines]
    assert "while True:" in [line.strip() for line in lines]
    assert found.rows[0].lines[-1] == "ecx = 7"
    assert not any(line.lstrip().startswith("#") for line in lines)


@pytest.mark.parametrize(
    ("tier", "wanted"),
    [
        ("python", "def at_00100218("),
        ("wasm", "(module\n (type (func (result i32)))"),
        ("llvm", "define i32 @region(ptr %base)"),
    ],
)
def test_all_the_code_of_a_unit_can_be_had(tier: str, wanted: str) -> None:
    image = load(guest("isprime").path(), RAM)
    assert unit_code(image, "isPrime", tier=tier).startswith(wanted)
    assert unit_code(program_of(b"\xf4"), tier=tier) == ""  # HLT is for the VMM


@pytest.mark.parametrize("tier", ["python", "wasm", "llvm"])
def test_words_of_the_state_have_names(tier: str) -> None:
    found = listing(program_of(bytes.fromhex("e460 ebfc")), tier=tier)  # in al, 0x60; jmp back
    said = " ".join(one.text for one in found.rows[0].operations)
    assert "INT_ADD answered, 0x1" in said
    assert "r418" not in said
    if tier != "llvm":  # there it is the name of a variable
        assert "r418" not in " ".join(line for row in found.rows for line in row.lines)


def test_all_of_a_units_llvm_has_no_flags_that_nobody_reads() -> None:
    code = program_of(bytes.fromhex("01d8 01d8 49 75f9 f4"))  # add, add, dec ecx; jnz; hlt
    lazy, eager = (
        unit_code(code, 0x1000, Passes(dead_flags=drop), "llvm") for drop in (True, False)
    )
    assert "switch i32" in lazy
    assert lazy != eager


def test_each_class_and_each_flag_is_counted() -> None:
    found = listing(program_of(bytes.fromhex("01d8 fa f4")))
    rows = found.by_class().to_dict("records")
    assert [(row["class"], row["how many"]) for row in rows] == [
        ("IDENT", 1),
        ("in-cache", 1),
        ("callout", 1),
    ]
    for state in ("done", "put off", "dead"):
        assert sum(row[state] for row in rows) == found.count(state)
    assert sorted(flag for at, flag in found.flags() if at == 0x1000) == sorted(
        ["CF", "PF", "AF", "ZF", "SF", "OF"]
    )


def test_without_the_pass_the_last_writer_of_each_flag_computes_it() -> None:
    code = program_of(bytes.fromhex("01d8 40 ebfb"))  # add; inc; jmp back
    assert "done" not in listing(code).flags().values()
    found = listing(code, None, Passes(dead_flags=False)).flags()
    done = sorted(flag for (_, flag), state in found.items() if state == "done")
    assert done == sorted(["CF", "PF", "AF", "ZF", "SF", "OF"])
