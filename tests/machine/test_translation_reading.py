"""Translated code is read back: terms, text and shorthand against an assembler and the bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.machine.small_guests import DECODER
from virtlab.machine.guests import GUESTS, kernel
from virtlab.machine.image import load
from virtlab.machine.translation.lifting import lift
from virtlab.machine.translation.listing import program_bytes
from virtlab.machine.translation.liveness import needs
from virtlab.machine.translation.regions import find_region
from virtlab.machine.translation.wasm import WasmFunction, wasm_module
from virtlab.machine.translation.wasm_code import I32, I64, constant, module
from virtlab.machine.translation.wasm_read import Term, read_module
from virtlab.machine.translation.wasm_short import shorthand
from virtlab.machine.translation.wasm_text import text_of
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from virtlab.machine.decode import Instruction
    from virtlab.machine.image import Image

RAM = 4 << 20


def region_module(image: Image, start: int, *, marks: bool) -> bytes:
    """Return the module of the region that begins somewhere."""

    def fetch(address: int) -> Instruction | None:
        code = program_bytes(image, address, 15)
        return DECODER.decode(address, code) if code and address >> 12 == start >> 12 else None

    graph = lift(find_region(start, fetch))
    return wasm_module([WasmFunction(graph, needs(graph), (start, 0), marks=marks)])


def places() -> list[Any]:
    """Return a few functions of each program and of the kernel."""
    found = []
    for path in [*(one.path() for one in GUESTS), kernel()]:
        image = load(path, RAM)
        functions = [one for one in image.symbols.values() if one.kind == "function"][:6]
        found += [
            pytest.param(image, one.address, id=f"{path.stem}-{one.name}") for one in functions
        ]
    return found


@pytest.mark.parametrize(("image", "start"), places())
def test_an_assembler_makes_the_same_of_our_text(image: Image, start: int) -> None:
    wasmtime: Any = pytest.importorskip("wasmtime")
    ours = read_module(region_module(image, start, marks=False))
    again = read_module(bytes(wasmtime.wat2wasm(text_of(ours))))
    assert again.functions == ours.functions
    assert again.types == ours.types


@pytest.mark.parametrize(("image", "start"), places()[:8])
def test_marks_change_nothing_but_what_a_reader_sees(image: Image, start: int) -> None:
    plain = read_module(region_module(image, start, marks=False))
    marked = read_module(region_module(image, start, marks=True))
    assert marked.functions[-1].body == plain.functions[-1].body
    marks = {term.mark for term in everything(marked.functions[-1].body)}
    assert start in marks
    assert {term.mark for term in everything(plain.functions[-1].body)} == {-1}


def everything(terms: tuple[Term, ...]) -> list[Term]:
    found = []
    for term in terms:
        found += [term, *everything(term.args)]
        for body in term.bodies:
            found += everything(body)
    return found


def test_a_module_with_marks_is_one_that_runs() -> None:
    wasmtime: Any = pytest.importorskip("wasmtime")
    image = load(GUESTS[0].path(), RAM)
    code = region_module(image, image.symbols["isPrime"].address, marks=True)
    wasmtime.Module.validate(wasmtime.Engine(), code)


@given(number=st.integers(-(1 << 31), (1 << 31) - 1), wide=st.integers(-(1 << 63), (1 << 63) - 1))
def test_numbers_come_back(number: int, wide: int) -> None:
    code = constant(number) + b"\x1b"[:0] + constant(wide, 8) + b"\xa7\x6a\x0b"
    made = module([((), (I32,))], [], [((I64,), code)], of_type=0, first=0)
    (total,) = read_module(made).functions[0].body
    first, second = total.args
    assert (total.name, first.values, second.args[0].values) == ("i32.add", (number,), (wide,))


def test_what_the_translator_never_writes_is_refused() -> None:
    made = module([((), (I32,))], [], [((), b"\x43\0\0\0\0\x0b")], of_type=0, first=0)  # f32.const
    with pytest.raises(InvalidInputError, match=r"opcode = '0x43'"):
        read_module(made)


_RETURN = " (return (i32.load offset=9216 (i32.shl (i32.const {}) (i32.const 2))))"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("(local.set 0 (i32.add (local.get 0) (i32.const 1)))", "ecx += 1"),
        ("(local.set 1 (i32.eqz (i32.and (local.get 0) (i32.const 255))))", "t1 = !(ecx & 255)"),
        ("(i32.store offset=4 (i32.const 0) (local.get 0))", "vm.ecx = ecx"),
        ("(i32.store offset=2056 (i32.const 0) (local.get 0))", "vm.kept[1] = ecx"),
        ("(i32.store8 (local.get 0) (i32.const 7))", "mem8[ecx] = 7"),
        ("(local.set 0 (i32.load16_u (local.get 0)))", "ecx = mem16[ecx]"),
        ("(local.set 0 (i32.const -1000000))", "ecx = 0xfff0bdc0"),
        ("(if (local.get 0) (then (local.set 0 (i32.const 1))))", "if ecx: ecx = 1"),
        (
            "(i32.store offset=644 (i32.const 0) (i32.const 4096))" + _RETURN.format(1),
            "leave FAULT at 0x1000",
        ),
        (
            "(i32.store offset=644 (i32.const 0) (i32.const 4096))" + _RETURN.format(9),
            "leave along link 9 to 0x1000",
        ),
        ("(return (i32.load offset=9216 (local.get 0)))", "return mem32[ecx + 9216]"),
        ("(loop (br_if 0 (i32.lt_s (local.get 0) (i32.const 9))))", "if ecx <s 9: goto next"),
    ],
)
def test_shorthand_of_what_an_assembler_makes(text: str, wanted: str) -> None:
    wasmtime: Any = pytest.importorskip("wasmtime")
    whole = f"""(module (import "vmm" "memory" (memory 1))
        (func (export "f0") (result i32) (local i32 i32) {text} (return (local.get 1))))"""
    read = read_module(bytes(wasmtime.wat2wasm(whole)))
    lines = [one.text for one in shorthand(read, read.functions[0], {0: "ecx", 1: "t1"})]
    assert wanted in lines


def test_shorthand_leaves_nothing_out_but_what_it_folds() -> None:
    """Each cell that the function sets is set in the shorthand too, as often."""
    image = load(GUESTS[0].path(), RAM)
    read = read_module(region_module(image, image.symbols["isPrime"].address, marks=True))
    names = {number: f"n{number}" for number in range(len(read.functions[-1].locals))}
    lines = shorthand(read, read.functions[-1], names)
    sets = [one for one in everything(read.functions[-1].body) if one.name == "local.set"]
    for number, name in names.items():
        times = sum(one.values[0] == number for one in sets)
        written = sum(
            one.text.split(" ")[0] == name
            or f": {name} " in one.text
            or (one.text.startswith("enter") and name in one.text.replace(",", "").split())
            for one in lines
        )
        inside_of_an_access = times - written
        assert inside_of_an_access >= 0
