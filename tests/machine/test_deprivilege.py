"""Sensitive instructions in the cache do what the interpreter does, interrupts and all."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.machine.small_guests import (
    COUNT_IN_EBX,
    DECODER,
    handle,
    set_up,
    timer_set_up,
)
from tests.machine.translated import eager, needs_wasmtime, seen
from virtlab.machine import interpreter
from virtlab.machine.faults import Fault
from virtlab.machine.memory import Memory
from virtlab.machine.processor import Processor
from virtlab.machine.segments import Segment
from virtlab.machine.translation.deprivilege import Rights, deprivileged, rights_of
from virtlab.machine.translation.passes import Passes
from virtlab.machine.translation.regions import class_of, find_block, find_region
from virtlab.machine.translation.speed import can_run
from virtlab.machine.translation.tiers import TIERS

if TYPE_CHECKING:
    from virtlab.machine.computer import Computer
    from virtlab.machine.decode import Instruction

RING = {Rights.KERNEL: (0, 0), Rights.INTERRUPTS: (3, 3), Rights.NONE: (3, 0)}
IN_CACHE = ["fa", "fb", "9c", "9d", "669c", "669d", "0f06", "0f20c0", "0f20d1", "0f20d2", "0f20e3"]


# --- one instruction ------------------------------------------------------------------------------


def processor_at(ring: int, eflags: int, stack: int) -> Processor:
    """Return one whose stack has a random number on top."""
    processor = Processor(Memory(1 << 16), decoder=DECODER)
    for number in range(6):
        access = (0x9B if number == 1 else 0x93) | ring << 5
        processor.set_segment(number, Segment(8 * number | ring, 0, 0xFFFFFFFF, access, big=True))
    processor.registers.eflags = eflags
    processor.registers["ESP"] = 0x1002
    processor.memory.write(0x1002, struct.pack("<I", stack))
    for number, name in enumerate(("CR0", "CR2", "CR3", "CR4")):
        processor.registers[name] = 0x01010101 * number | 9
    return processor


@settings(max_examples=300, deadline=None)
@given(
    code=st.sampled_from(IN_CACHE),
    rights=st.sampled_from(list(Rights)),
    eflags=st.integers(0, (1 << 22) - 1),
    stack=st.integers(0, (1 << 32) - 1),
)
def test_it_does_what_the_routine_does(code: str, rights: Rights, eflags: int, stack: int) -> None:
    """Registers, flags and the stack; `popf` of TF is the only hard case without an interrupt."""
    ring, iopl = RING[rights]
    eflags = eflags & ~0x23100 | iopl << 12 if ring else eflags & ~0x20100  # neither VM nor TF
    instruction = DECODER.decode(0, bytes.fromhex(code) + bytes(12))
    made = deprivileged(instruction, rights)
    if made is instruction:
        assert rights != Rights.KERNEL
        assert code not in ("9c", "9d", "669c", "669d")
        return
    ours, theirs = processor_at(ring, eflags, stack), processor_at(ring, eflags, stack)
    interpreter.run(instruction, theirs)
    if theirs.registers.flag("TF"):
        with pytest.raises(Fault, match="#DE"):
            interpreter.run(made, ours)
        return
    interpreter.run(made, ours)
    assert bytes(ours.registers.data) == bytes(theirs.registers.data)
    assert bytes(ours.memory.data) == bytes(theirs.memory.data)


def of(code: str, rights: Rights = Rights.KERNEL) -> Instruction:
    return deprivileged(DECODER.decode(0, bytes.fromhex(code) + bytes(12)), rights)


@pytest.mark.parametrize("code", IN_CACHE)
def test_the_kernel_s_are_done_in_the_cache(code: str) -> None:
    plain = DECODER.decode(0, bytes.fromhex(code) + bytes(12))
    assert class_of(plain) == "callout"
    assert class_of(of(code)) == "in-cache"
    assert str(of(code)) == str(plain)


@pytest.mark.parametrize("code", ["fa", "fb", "0f06", "0f20c0"])
def test_what_faults_at_an_outer_ring_is_for_the_vmm(code: str) -> None:
    assert class_of(of(code, Rights.NONE)) == "callout"


@pytest.mark.parametrize(
    "code",
    ["f4", "0f22c0", "0f21c0", "cf", "0f0118", "ef", "ed", "6c", "8ed8", "0f01f0", "cd80", "0fa2"],
)
def test_what_changes_the_machine_is_for_the_vmm(code: str) -> None:
    assert class_of(of(code)) == "callout"


def test_rights() -> None:
    found = {(cpl, iopl): rights_of(cpl, iopl) for cpl in range(4) for iopl in range(4)}
    assert {place for place, rights in found.items() if rights == Rights.KERNEL} == {
        (0, iopl) for iopl in range(4)
    }
    assert all(
        (rights == Rights.INTERRUPTS) == (0 < cpl <= iopl) for (cpl, iopl), rights in found.items()
    )


# --- the shadow of sti ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "taken"),
    [
        ("fb 40 f4", 2),  # sti; inc eax; hlt
        ("40 fb f4", 1),  # what follows is for the VMM: so is sti
        ("40 fb fb 40 f4", 1),
        ("fb c3", 2),
        ("fb 75fd", 2),
        ("40 fb", 1),  # nothing follows that can be read
    ],
)
def test_sti_and_what_follows_go_together(code: str, taken: int) -> None:
    data = bytes.fromhex(code)

    def fetch(address: int) -> Instruction | None:
        if address >= len(data):
            return None
        found = DECODER.decode(address, data[address:] + bytes(15))
        return deprivileged(found, Rights.KERNEL)

    for find in (find_region, find_block):
        assert len(find(0, fetch, 256).code) == taken
        assert len(find(0, fetch, 1).code) == (0 if data[0] == 0xFB else 1)


# --- whole guests ---------------------------------------------------------------------------------

PIECES = [
    "fa",  # cli
    "fb",  # sti
    "9c",  # pushf
    "9d",  # popf, of whatever is there
    "9c 9d",
    "9c fa 40 9d",  # as a kernel does it
    "669c 669d",
    "9c 812424ff0f0000 9d",  # and dword [esp], 0xfff
    "9c 810c2400020000 9d",  # or dword [esp], 0x200: IF
    "9c 810c2400010000 9d",  # or dword [esp], 0x100: TF
    "9c 810c2400300000 9d",  # or dword [esp], 0x3000: IOPL
    "9c 58",  # pushf; pop eax
    "01c8",
    "1507000000",
    "d1e0",
    "41",
    "0fafc1",
    "f7f1",  # div ecx
    "890d00001800",  # mov [0x180000], ecx
    "7402 01c8",
    "7202 fa40",
    "7502 fb40",
    "fb eb00",
    "e800000000 58",
    "fb f4",  # until the timer comes
    "0f06",
    "0f20c0",
]


def random_kernel(rng: np.random.Generator, length: int) -> str:
    """Return a loop of pieces; the stack is put right again each time round."""
    pieces = "".join(PIECES[int(k)] for k in rng.integers(0, len(PIECES), length))
    code = bytes.fromhex("bcf0ff0800" + pieces)  # mov esp
    return (code + b"\xe9" + struct.pack("<i", -len(code) - 5)).hex()


def with_handlers(computer: Computer, count: int) -> str:
    """Put handlers there; return code that lets the timer come."""
    handle(computer, 0x20, COUNT_IN_EBX)
    for vector in (0, 1, 13):  # step over `div`, whose fault comes again; count traps in EDI
        skip = "83042402" if vector == 0 else "83c404 ff0424" if vector == 13 else ""
        handle(computer, vector, "47" + skip + "cf")
    computer.processor.registers["EDI"] = 0
    return "bb00000000 b903000000" + timer_set_up(count)


def compare(body: str, count: int, ring: int, iopl: int, limit: int, **more: Any) -> Any:
    """Run it on both; return what each saw, and the translating computer."""
    ends = []
    translating = more.pop("tier", "wasm")
    for tier in ("interpreter", translating):
        computer = set_up(history=0, tier=tier, **(more if tier == translating else {}))
        code = with_handlers(computer, count)
        if ring:
            # ltr; push ss, esp, eflags, cs, eip; iretd, to what follows
            begin = "66b82800 0f00d8 6a23 68f0ff0800 68{flags} 6a1b e8 00000000 83042405 cf"
            flags = (0x202 | iopl << 12).to_bytes(4, "little").hex()
            code += begin.format(flags=flags)
        else:
            code += "fb"
        computer.load_code(bytes.fromhex(code + body))
        if tier == translating:
            eager(computer)
        ends.append(seen(computer, computer.run(limit)))
    return ends, computer


@needs_wasmtime
@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    length=st.integers(1, 25),
    count=st.integers(3, 90),
    place=st.sampled_from([(0, 0), (0, 3), (3, 0), (3, 3)]),
    limit=st.integers(100, 1500),
)
def test_random_kernels_end_alike(
    seed: int, length: int, count: int, place: tuple[int, int], limit: int
) -> None:
    body = random_kernel(np.random.default_rng(seed), length)
    ends, _ = compare(body, count, *place, limit)
    assert ends[0] == ends[1]


BUSY = "9c fa 41 01c8 9d 42 fa 41 fb 42 9c 58 41 ebef"  # a lock, taken and given back, on and on


@needs_wasmtime
@pytest.mark.parametrize("count", range(17, 49, 2))
def test_an_interrupt_at_every_instruction_of_a_kernel(count: int) -> None:
    ends, computer = compare(BUSY, count, 0, 0, 3000)
    assert ends[0] == ends[1]
    assert computer.translator.counts["instructions"] > 800
    assert ends[0]["counts"][2]["int 0x20", "device"] > 20


WAITING = [  # loops with IF off, so that the interrupt is pending when IF goes up
    "fa b907000000 49 75fd fb 42 41 ebf1",  # cli; ...; sti; inc edx; inc ecx; again
    "9c fa b907000000 49 75fd 9d 42 41 ebf0",  # pushf; cli; ...; popf; inc edx; inc ecx; again
    "fa b903000000 fb 42 49 75fc ebf3",  # the instruction after sti is a loop's first
]


@needs_wasmtime
@pytest.mark.parametrize("body", WAITING)
@pytest.mark.parametrize("count", range(23, 41))
def test_an_interrupt_that_waited_comes_at_the_same_instruction(body: str, count: int) -> None:
    ends, _ = compare(body, count, 0, 0, 1500)
    assert ends[0] == ends[1]
    assert ends[0]["counts"][2]["int 0x20", "device"] > 5


@needs_wasmtime
@pytest.mark.parametrize("limit", range(60, 90, 2))
def test_a_run_that_stops_after_sti_goes_on_as_the_interpreter_does(limit: int) -> None:
    """The shadow is not lost: a run may end anywhere, and another begins there."""
    for tail in (1, 2, 50):
        ends = []
        for tier in ("interpreter", "wasm"):
            computer = set_up(history=0, tier=tier)
            code = with_handlers(computer, 9)
            computer.load_code(bytes.fromhex(code + "fb" + BUSY))
            if tier == "wasm":
                eager(computer)
            computer.run(limit)
            run = computer.run(tail)
            ends.append((computer.processor.shadow, seen(computer, run)))
        assert ends[0] == ends[1]


@needs_wasmtime
def test_a_user_s_popf_leaves_if_and_iopl_alone() -> None:
    """The same bytes, at ring 0 and at ring 3: what is translated for one is not the other's."""
    same = "9c 812424ffcdffff 810c2400300000 9d 9c 58"  # IF off, IOPL 3, by popf; what came of it?
    for ring, wanted in ((0, 0x3002), (3, 0x202)):
        ends, computer = compare("31c9" + same + "25003200 00" + "ebfe", 999, ring, 0, 400)
        assert ends[0] == ends[1]
        assert computer.processor.registers["EAX"] == wanted & 0x3200


@needs_wasmtime
@pytest.mark.parametrize("iopl", [0, 3])
def test_code_that_both_rings_run_is_translated_for_each(iopl: int) -> None:
    """A function called at ring 0 and then at ring 3; `cli` in it faults there with IOPL 0."""
    ends, computer = compare("fa 41 fb 42 90 ebf9", 25, 3, iopl, 900)
    assert ends[0] == ends[1]
    rights = {unit.key.rights for unit in computer.translator.cache.units}
    assert (Rights.INTERRUPTS if iopl else Rights.NONE) in rights
    assert Rights.KERNEL in rights  # the timer's handler
    faults = ends[0]["counts"][2].get(("#GP", "exception"), 0)
    assert bool(faults) == (iopl == 0)


@needs_wasmtime
def test_a_fault_after_cli_finds_if_off() -> None:
    """The handler of a division by zero finds it on its stack, which is compared."""
    ends, _ = compare("31c9 fb 90 fa 90 f7f1 ebf8", 60000, 0, 0, 300)
    assert ends[0] == ends[1]
    assert ends[0]["counts"][2]["#DE", "exception"] > 20


@needs_wasmtime
def test_in_the_cache_nobody_is_asked() -> None:
    """Without the pass the interpreter is needed four times in each round; with it, not at all."""
    steps = {}
    for on in (True, False):
        ends, computer = compare(BUSY, 60000, 0, 0, 20_000, passes=Passes(in_cache=on))
        assert ends[0] == ends[1]
        steps[on] = computer.translator.counts["steps"]
    assert steps[True] < 200
    assert steps[False] > 5000


@needs_wasmtime
def test_flags_that_were_put_off_are_pushed() -> None:
    """`add` sets flags that the next `add` overwrites, but for one way out, which pushes them."""
    body = "b8ffffffff 83c001 7201 90 9c 5a 83c001 9c 5e 01c0 ebfe"
    ends, computer = compare(body, 60000, 0, 0, 500)
    assert ends[0] == ends[1]
    assert computer.processor.registers["EDX"] & 0x55 == 0x55  # CF, PF, AF, ZF


@pytest.mark.parametrize("tier", TIERS[1:])
@pytest.mark.parametrize("body", [BUSY, *WAITING])
@pytest.mark.parametrize("count", [23, 29, 34])
def test_every_tier_does_it(tier: str, body: str, count: int) -> None:
    """None of them knows which instructions these are."""
    if can_run(tier):
        pytest.skip(can_run(tier))
    ends, computer = compare(body, count, 0, 0, 1500, tier=tier)
    assert ends[0] == ends[1]
    assert computer.translator.counts["instructions"] > 400
