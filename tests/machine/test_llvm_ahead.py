"""One check for all accesses of a stretch: what it covers, and that nothing else can be seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.machine.llvm_pool import at_once
from tests.machine.small_guests import CODE, DECODER
from tests.machine.test_llvm_loops import TRUTH
from tests.machine.translated import needs_llvmlite, seen
from virtlab.machine.computer import Computer
from virtlab.machine.memory import PAGE
from virtlab.machine.pcode import CONST, PORTS, RAM, UNIQUE, Op, Var
from virtlab.machine.translation.control import Shape
from virtlab.machine.translation.lifting import CELLS, Branch, Jump, Leave, Moment, Node
from virtlab.machine.translation.llvm import LlvmFunction
from virtlab.machine.translation.llvm_ahead import EVERYWHERE, Group, groups_of
from virtlab.machine.translation.llvm_memory import Flat, Paged
from virtlab.machine.translation.llvm_sums import Sum
from virtlab.machine.translation.llvm_unroll import COPY, ROUNDS, unrolled

if TYPE_CHECKING:
    from virtlab.machine.translation.lifting import Graph, Key

MIB = 1 << 20
EAX, ECX, EDX, EBX, ESP = CELLS[:5]
NUMBERS = st.integers(0, 2**32 - 1)


def constant(value: int) -> Var:
    return Var(CONST, value, 4)


def temporary(number: int, size: int = 4) -> Var:
    return Var(UNIQUE, -number, size)


def loads(
    register: Var, *distances: int, first: int = 1, sets: dict[Var, Var] | None = None
) -> Node:
    """Return a node that reads four bytes at some distances from a register."""
    node = Node((0, 0), count=1, sets=sets or {})
    for number, distance in enumerate(distances):
        place, what = temporary(first + 2 * number), temporary(first + 2 * number + 1)
        node.ops.append(Op("INT_ADD", place, (register, constant(distance))))
        node.ops.append(Op("LOAD", what, (place,), RAM))
    return node


def put(node: Node, key: Key, end: Jump | Branch | Leave) -> dict[Key, Node]:
    node.key, node.end = key, end
    return {key: node}


def found(graph: Graph, *entries: Key) -> dict[tuple[Key, int], Group]:
    """Return groups by where they begin and their register's place; each has one register."""
    groups, _ = groups_of(Shape(graph, (0, 0)), [(0, 0), *entries])
    return {(begin, terms[0][0].offset): group for (begin, terms), group in groups.items()}


# --- sums -----------------------------------------------------------------------------------------


@given(NUMBERS, NUMBERS, NUMBERS, NUMBERS, st.integers(-5, 5))
def test_a_sum_is_what_it_says(a: int, b: int, k: int, m: int, times: int) -> None:
    values = {EAX: a, ECX: b}

    def value(one: Sum) -> int:
        return (sum(factor * values[cell] for cell, factor in one.terms) + one.constant) % 2**32

    one = Sum.of(EAX).plus(Sum((), k)).plus(Sum.of(ECX), 3)
    other = Sum.of(ECX).times(m)
    assert value(one) == (a + k + 3 * b) % 2**32
    assert value(one.plus(other, times)) == (a + k + 3 * b + times * b * m) % 2**32


def test_what_is_taken_away_again_is_no_term() -> None:
    assert Sum.of(EAX).plus(Sum.of(EAX), -1) == Sum((), 0)
    assert Sum.of(EAX).times(0) == Sum((), 0)


# --- stretches ------------------------------------------------------------------------------------


def test_a_register_that_a_node_moved_is_followed_into_the_next() -> None:
    node = loads(ESP, 8, sets={ESP: temporary(9)})
    node.ops.append(Op("INT_SUB", temporary(9), (ESP, constant(4))))
    graph = put(node, (0, 0), Jump((5, 0))) | put(loads(ESP, 0), (5, 0), Leave(9))
    (group,) = found(graph).values()
    assert group.reads == [(8, 4), (-4, 4)]
    assert (group.low, group.high, group.nodes) == (-4, 12, [(0, 0), (5, 0)])


def test_an_index_times_four_is_a_term_of_its_own() -> None:
    node = Node((0, 0), end=Leave(9))
    node.ops = [
        Op("INT_MULT", temporary(1), (ECX, constant(4))),
        Op("INT_ADD", temporary(2), (EBX, temporary(1))),
        Op("STORE", None, (temporary(2), EAX), RAM),
    ]
    (key,) = groups_of(Shape({(0, 0): node}, (0, 0)), [(0, 0)])[0]
    assert key[1] == ((ECX, 4), (EBX, 1))


@pytest.mark.parametrize("code", ["INT_XOR", "INT_AND", "INT_OR", "INT_LEFT"])
def test_what_is_no_sum_is_checked_where_it_is(code: str) -> None:
    node = Node((0, 0), end=Leave(9))
    node.ops = [
        Op(code, temporary(1), (EAX, ECX)),
        Op("LOAD", temporary(2), (temporary(1),), RAM),
        Op("LOAD", temporary(3), (temporary(2),), RAM),  # what has been read
        Op("INT_MULT", temporary(4), (EAX, ECX)),
        Op("LOAD", temporary(5), (temporary(4),), RAM),
    ]
    assert not found({(0, 0): node})


def test_ports_are_no_memory() -> None:
    node = Node((0, 0), [Op("LOAD", temporary(1, 2), (EAX,), PORTS)], end=Leave(9))
    assert not found({(0, 0): node})


def test_where_ways_meet_a_register_is_known_if_both_say_the_same() -> None:
    branch = Branch(Var(CONST, 1, 1), (1, 0), (2, 0))
    same = Node((1, 0), [Op("INT_ADD", temporary(1), (EAX, constant(4)))], sets={EAX: temporary(1)})
    other = Node((2, 0), [*same.ops], sets={EAX: temporary(1), ECX: constant(7)})
    graph = (
        put(Node((0, 0)), (0, 0), branch)
        | put(same, (1, 0), Jump((3, 0)))
        | put(other, (2, 0), Jump((3, 0)))
    )
    after = put(loads(EAX, 0), (3, 0), Jump((4, 0))) | put(loads(ECX, 0), (4, 0), Leave(9))
    groups = found(graph | after)
    assert groups[(0, 0), EAX.offset].reads == [(4, 4)]
    assert ((0, 0), ECX.offset) not in groups


def test_a_stretch_ends_where_code_is_entered_and_where_a_loop_begins_and_ends() -> None:
    back = Branch(Var(CONST, 1, 1), (1, 0), (2, 0))
    graph = (
        put(loads(EAX, 0), (0, 0), Jump((1, 0)))
        | put(loads(EAX, 0), (1, 0), back)
        | put(loads(EAX, 0), (2, 0), Jump((3, 0)))
        | put(loads(EAX, 0), (3, 0), Leave(9))
    )
    assert [begin for begin, _ in found(graph)] == [(0, 0), (1, 0), (2, 0)]
    assert [begin for begin, _ in found(graph, (3, 0))] == [(0, 0), (1, 0), (2, 0), (3, 0)]


def test_of_two_loops_with_the_same_start_the_inner_one_is_a_stretch() -> None:
    graph = (
        put(loads(EAX, 0), (0, 0), Branch(Var(CONST, 1, 1), (0, 0), (2, 0)))
        | put(loads(EAX, 0), (2, 0), Jump((3, 0)))
        | put(loads(EAX, 4), (3, 0), Jump((0, 0)))
    )
    groups = found(graph)
    assert groups[(0, 0), 0].reads == [(0, 4)]
    assert groups[(2, 0), 0].reads == [(0, 4), (4, 4)]


def test_rounds_of_a_loop_are_one_stretch() -> None:
    node = loads(EAX, 0, sets={EAX: temporary(9)})
    node.ops.append(Op("INT_ADD", temporary(9), (EAX, constant(2208))))
    graph = put(node, (0, 0), Branch(Var(CONST, 1, 1), (0, 0), (5, 0)))
    graph |= put(Node((5, 0)), (5, 0), Leave(5))
    rounds = unrolled(graph, Shape(graph, (0, 0)), [(0, 0)])
    (group,) = found(rounds).values()
    assert group.reads == [(2208 * k, 4) for k in range(2 * ROUNDS)]
    assert [key[1] // COPY for key in group.nodes] == list(range(2 * ROUNDS))


# --- what is worth it -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reads", "writes", "worth"),
    [
        ([(0, 4), (1 << 15, 4)], [], True),
        ([(0, 4), (1 << 16, 4)], [], False),  # too far apart
        ([], [(-4, 4), (4091, 4)], True),
        ([], [(-4, 4), (4092, 4)], False),  # three pages, perhaps
        ([(5000, 1)], [(0, 4)], True),
    ],
)
def test_a_group_is_not_too_wide(
    reads: list[tuple[int, int]],
    writes: list[tuple[int, int]],
    worth: bool,  # noqa: FBT001
) -> None:
    assert Group((), reads, writes, [(0, 0), (5, 0)]).is_worth((0, 0)) == worth


def checks(way: Flat | Paged) -> int:
    """Return how many ways out code has that reads three times from one register."""
    graph = put(loads(EAX, 0, 4, 8), (0, 0), Leave(9))
    graph[0, 0].moments = dict.fromkeys((1, 3, 5), Moment(0, 0, {}))
    return LlvmFunction(graph, (0, 0), (0, 0), way).text.count("icmp uge")


def test_three_reads_have_one_check_unless_memory_is_asked_for() -> None:
    assert checks(Flat(MIB)) == 1
    assert checks(Flat(MIB, asks=True)) == 3
    assert checks(Paged()) == 3


def stores(*distances: int) -> Graph:
    """Return a node that reads from [EAX] and writes four bytes at some distances from there."""
    node = loads(EAX, 0)
    for number, distance in enumerate(distances):
        place = temporary(10 + number)
        node.ops.append(Op("INT_ADD", place, (EAX, constant(distance))))
        node.ops.append(Op("STORE", None, (place, ECX), RAM))
    node.moments = {at: Moment(0, 0, {}) for at in range(1, len(node.ops), 2)}
    return put(node, (0, 0), Leave(9))


@pytest.mark.parametrize(
    ("distances", "at_once", "in_all"),
    [
        ((4, 8), 1, 4),  # if all is not in one page: what is read, the first page, the last one
        ((4,), 1, 3),
        ((4088,), 1, 3),
        ((4092,), 2, 2),  # it cannot be in one page: what is read, and the page that is written
    ],
)
def test_reads_and_writes_of_a_frame_have_one_check_and_others_only_if_that_fails(
    distances: tuple[int, ...], at_once: int, in_all: int
) -> None:
    text = LlvmFunction(stores(*distances), (0, 0), (0, 0), Flat(MIB)).text
    before, _ = text.split("at_0:")
    asked = text.count("icmp uge") - before.count("icmp uge")
    straight = text.split("store:")[0].count("icmp uge")  # what is aside comes last
    assert (straight, asked) == (at_once, in_all)


def test_a_single_write_is_checked_as_it_is() -> None:
    graph = stores(4)
    del graph[0, 0].ops[:2]
    graph[0, 0].moments = {1: Moment(0, 0, {})}
    assert LlvmFunction(graph, (0, 0), (0, 0), Flat(MIB)).text.count("icmp uge") == 1


def test_a_frame_that_nobody_moves_is_checked_where_the_function_is_entered() -> None:
    frame, rest = loads(ESP, 4, 12), loads(ESP, 8)
    loop = put(frame, (0, 0), Jump((5, 0))) | put(rest, (5, 0), Branch(TRUTH, (5, 0), (9, 0)))
    last = Node((9, 0), end=Leave(9))
    groups, accesses = groups_of(Shape(loop | {(9, 0): last}, (0, 0)), [(0, 0)])
    assert [(begin, group.low, group.high) for (begin, _), group in groups.items()] == [
        (EVERYWHERE, 4, 16)
    ]
    assert {begin for begin, _ in accesses.values()} == {EVERYWHERE}
    last.sets[ESP] = constant(0)  # the same, but somewhere the pointer is moved
    groups, _ = groups_of(Shape(loop | {(9, 0): last}, (0, 0)), [(0, 0)])
    assert {begin for begin, _ in groups} == {(0, 0), (5, 0)}


def test_one_access_to_a_frame_is_reason_enough() -> None:
    assert Group((), [(4, 4)], [], [(5, 0)]).is_worth(EVERYWHERE)
    assert not Group((), [], [(0, 4), (PAGE, 4)], [(5, 0)]).is_worth(EVERYWHERE)


# --- the same as in the interpreter ---------------------------------------------------------------

FRAME = "6089e85051525d5b5a61"  # pusha; mov eax,ebp; push eax, ecx, edx; pop ebp, ebx, edx; popa
FRAME_LOOP = FRAME + "4975f3"  # dec ecx; jnz back
READS = "8b068b4e048b56088b5e0c4d75f2"  # four reads from [esi] on; dec ebp; jnz
STRIDE = "030681c6a00800004d75f5"  # add eax,[esi]; add esi,2208; dec ebp; jnz
WRITES = "8907895ffc8957084d75f5"  # mov [edi],eax; [edi-4],ebx; [edi+8],edx; dec ebp; jnz
STACKED = "038424080100008b142489542404" + "4d75ef"  # add eax,[esp+264]; ...; dec ebp; jnz
INDEXED = "8b448efc89048f414d75f5"  # mov eax,[esi+4*ecx-4]; mov [edi+4*ecx],eax; inc ecx; dec; jnz
HALT = "ebfe"


def run(code: str, tier: str, limit: int, registers: dict[str, int]) -> dict[str, object]:
    computer = Computer(2, history=0, tier=tier, decoder=DECODER, mmu=False)
    computer.load_code(bytes.fromhex(code + HALT), CODE)
    if tier == "llvm":
        at_once(computer)
    for name, value in registers.items():
        computer.processor.registers[name] = value
    return seen(computer, computer.run(limit))


def same(code: str, registers: dict[str, int], limits: list[int]) -> None:
    for limit in limits:
        assert run(code, "llvm", limit, registers) == run(code, "interpreter", limit, registers)


END = 2 * MIB
BESIDE = [CODE - 8, CODE + 8, CODE + 4088]
STARTS = [0x8000, 0, 4, 0xFFFFFFFC, END - 4, END - 16, END - 40, END, *BESIDE]


@needs_llvmlite
@pytest.mark.parametrize("start", STARTS, ids=hex)
def test_frames_anywhere(start: int) -> None:
    same(FRAME_LOOP, {"ESP": start, "ECX": 5}, [3, 11, 47, 200])


@needs_llvmlite
@pytest.mark.parametrize("start", STARTS, ids=hex)
@pytest.mark.parametrize("code", [READS, STRIDE], ids=["reads", "stride"])
def test_reads_up_to_the_end_of_memory(code: str, start: int) -> None:
    same(code, {"ESI": start, "EBP": 9}, [2, 7, 29, 100])
    same(code, {"ESI": start - 6624 & 0xFFFFFFFF, "EBP": 9}, [100])


@needs_llvmlite
@pytest.mark.parametrize("start", STARTS, ids=hex)
def test_writes_beside_code_and_on_it(start: int) -> None:
    same(WRITES, {"EDI": start, "EAX": 0x90909090, "EBX": 1, "EDX": 2, "EBP": 6}, [3, 10, 60])
    same(INDEXED, {"ESI": start, "EDI": start + 8 & 0xFFFFFFFF, "ECX": 3, "EBP": 6}, [3, 10, 60])


@needs_llvmlite
@pytest.mark.parametrize("start", [*STARTS, END - 268, END - 267, CODE - 4, CODE - 5], ids=hex)
def test_a_frame_that_is_checked_once(start: int) -> None:
    same(STACKED, {"ESP": start, "EBP": 40}, [1, 7, 23, 120, 1000])


BORDERS = [0x9000, CODE, CODE + PAGE, END]
NEAR = [border + distance for border in BORDERS for distance in (-28, -12, -3, -1, 1, 4, 12, 28)]


@needs_llvmlite
@pytest.mark.parametrize("start", NEAR, ids=hex)
def test_frames_across_the_border_of_a_page(start: int) -> None:
    same(FRAME_LOOP, {"ESP": start, "ECX": 5}, [29, 200])
    same(WRITES, {"EDI": start, "EAX": 0x90909090, "EBX": 1, "EDX": 2, "EBP": 6}, [60])
    same(STACKED, {"ESP": start - 264, "EBP": 40}, [120])


@needs_llvmlite
@pytest.mark.parametrize("start", [0x9800, 0x9004, 0x9010, 0x9021], ids=hex)
def test_a_frame_in_two_pages_is_no_reason_to_leave(start: int) -> None:
    computer = Computer(2, history=0, tier="llvm", decoder=DECODER, mmu=False)
    computer.load_code(bytes.fromhex(FRAME_LOOP + "f4"), CODE)
    at_once(computer)
    computer.processor.registers["ESP"], computer.processor.registers["ECX"] = start, 1000
    assert computer.run().instructions == 11_001
    assert computer.translator is not None
    assert computer.translator.counts["steps"] < 40
