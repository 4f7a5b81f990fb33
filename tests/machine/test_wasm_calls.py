"""Numbers that go from Python into WebAssembly and back, and what is raised on the way (S18)."""

from __future__ import annotations

import gc
import weakref
from typing import TYPE_CHECKING, NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.machine.small_guests import CODE, set_up
from tests.machine.translated import eager
from virtlab.machine.translation.layout import RAM
from virtlab.machine.translation.wasm_calls import Imported, caught, without_arguments
from virtlab.machine.translation.wasm_store import Instances

if TYPE_CHECKING:
    from virtlab.machine.computer import Computer

wasmtime = pytest.importorskip("wasmtime")
I32, I64 = st.integers(-(1 << 31), (1 << 31) - 1), st.integers(-(1 << 63), (1 << 63) - 1)
READS = bytes.fromhex("a100000040 41 ebf8")  # mov eax, [0x40000000]; inc ecx; jmp


def reading(tier: str) -> Computer:
    """Return what reads where no memory is, again and again."""
    computer = eager(set_up(history=0, tier=tier))
    computer.load_code(READS)
    return computer


def called(text: str, *imports: Imported) -> int:
    """Return what the function 'f' of a module gives, or raise what it does."""
    store = wasmtime.Store()
    module = wasmtime.Module(store.engine, wasmtime.wat2wasm(text))
    instance = wasmtime.Instance(store, module, [one.function(store) for one in imports])
    return without_arguments(store, instance.exports(store)["f"])()


@given(I32, I32, I64)
def test_each_number_arrives_as_it_was_sent(a: int, b: int, c: int) -> None:
    seen: list[tuple[int, ...]] = []

    def ask(*numbers: int) -> int:
        seen.append(numbers)
        return a ^ b

    text = f"""(module (import "" "" (func $ask (param i32 i32 i64) (result i32)))
        (func (export "f") (result i32)
            (call $ask (i32.const {a}) (i32.const {b}) (i64.const {c}))))"""
    assert called(text, Imported(ask, ("i32", "i32", "i64"), "i32")) == a ^ b
    assert seen == [(a, b, c)]


@given(st.integers(0, (1 << 64) - 1))
def test_all_bits_of_what_was_read_arrive(value: int) -> None:
    half = value >> 32
    text = """(module (import "" "" (func $ask (result i64)))
        (func (export "f") (result i32)
            (i32.wrap_i64 (i64.shr_u (call $ask) (i64.const 32)))))"""
    assert called(text, Imported(lambda: value, (), "i64")) & 0xFFFFFFFF == half


def test_a_trap_is_raised() -> None:
    with pytest.raises(wasmtime.Trap, match="unreachable"):
        called('(module (func (export "f") (result i32) unreachable))')


def test_what_is_raised_while_code_asks_is_raised_when_it_has_left() -> None:
    errors: list[BaseException] = []

    def ask() -> NoReturn:
        raise KeyboardInterrupt

    text = (
        '(module (import "" "" (func $ask (result i32))) (func (export "f") (result i32) call 0))'
    )
    assert called(text, Imported(caught(ask, 1, errors), (), "i32")) == 1
    assert isinstance(errors.pop(), KeyboardInterrupt)


def test_a_guest_stands_before_the_access_that_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    computer = reading("wasm")
    translator = computer.translator
    assert translator is not None
    computer.run(3000)
    assert translator.tlb.asked > 900  # each turn does
    ecx = computer.processor.registers["ECX"]

    def fails(_address: int, _size: int) -> NoReturn:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(translator.tlb, "load", fails)
        with pytest.raises(KeyboardInterrupt):
            computer.run(30)
    assert computer.processor.registers["EIP"] == CODE
    computer.run(30)
    assert computer.processor.registers["ECX"] == ecx + 10


def test_no_wrapper_is_called_while_a_guest_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    computer = reading("wasm")
    monkeypatch.setattr(wasmtime.Func, "__call__", None)
    computer.run(3000)
    assert computer.translator is not None
    assert computer.translator.counts["instructions"] > 2900


def test_what_is_asked_goes_with_who_asks() -> None:
    class Host:
        def load(self, _address: int, _size: int) -> int:
            return -1

    host = Host()
    reference = weakref.ref(host)
    instances = Instances(RAM, host.load, lambda _address, _size, _value: 1)
    instances.run()
    del host, instances
    gc.collect()
    assert reference() is None
