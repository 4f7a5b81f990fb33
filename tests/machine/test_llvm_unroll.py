"""A loop that is put down several times does the same as once."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.machine.llvm_pool import LOOP, at_once
from tests.machine.small_guests import DECODER, set_up
from tests.machine.test_llvm_loops import TRUTH, graphs, reached
from tests.machine.translated import needs_llvmlite
from virtlab.machine.computer import Computer
from virtlab.machine.translation.control import Shape
from virtlab.machine.translation.lifting import Branch, Graph, Jump, Key, Node, lift
from virtlab.machine.translation.llvm import LlvmFunction
from virtlab.machine.translation.llvm_code import PASSES, llvm
from virtlab.machine.translation.llvm_loops import checked
from virtlab.machine.translation.llvm_memory import TYPES, Flat
from virtlab.machine.translation.llvm_unroll import ROUNDS, unrolled
from virtlab.machine.translation.llvm_values import DECLARATIONS
from virtlab.machine.translation.regions import find_region


def once(key: Key) -> Key:
    """Return which node of the loop as it was a copy is of."""
    return key[0], key[1] % (1 << 16)


@settings(max_examples=300, deadline=None)
@given(graph=graphs(), more=st.sets(st.integers(0, 11)))
def test_each_copy_leads_to_copies_of_what_its_node_led_to(graph: Graph, more: set[int]) -> None:
    shape = Shape(graph, (0, 0))
    entries = [(at, 0) for at in more if (at, 0) in shape.number]
    found = unrolled(graph, shape, entries)
    assert graph.keys() <= found.keys()
    for key, node in found.items():
        original = graph[once(key)]
        assert node.key == key
        assert node.count == original.count
        assert [once(to) for to in node.follow] == list(original.follow)
        assert type(node.end) is type(original.end)
        assert all(to in found for to in node.follow)
    for key in found.keys() - graph.keys():  # no look at the count among the copies
        assert key not in checked(Shape(found, (0, 0)), entries)
    for copy in found.keys() - graph.keys():
        assert any(to in graph for to in reached(found, copy))


def test_only_the_innermost_loop_is_put_down_again() -> None:
    graph = {
        (1, 0): Node((1, 0), count=1, end=Jump((2, 0))),  # outer loop
        (2, 0): Node((2, 0), count=2, end=Branch(TRUTH, (2, 0), (3, 0))),  # inner loop
        (3, 0): Node((3, 0), count=4, end=Branch(TRUTH, (1, 0), (4, 0))),
        (4, 0): Node((4, 0), count=8),
    }
    shape = Shape(graph, (1, 0))
    assert [once(key) for key in unrolled(graph, shape) if key not in graph] == [(2, 0)] * (
        2 * ROUNDS - 1
    )
    graph[3, 0].count, graph[2, 0].count = 4, 33  # two rounds would be too long
    assert unrolled(graph, shape) == graph


def test_a_loop_that_is_entered_in_the_middle_stays_as_it_is() -> None:
    graph = {
        (1, 0): Node((1, 0), count=1, end=Jump((2, 0))),
        (2, 0): Node((2, 0), count=2, end=Branch(TRUTH, (1, 0), (4, 0))),
        (4, 0): Node((4, 0)),
    }
    shape = Shape(graph, (1, 0))
    assert unrolled(graph, shape, [(2, 0)]) == graph
    assert len(unrolled(graph, shape)) == len(graph) + 2 * (ROUNDS - 1)


def test_code_that_does_not_ask_for_memory_calls_nothing() -> None:
    code = bytes.fromhex("8b03 8907 ebfa")  # mov eax, [ebx]; mov [edi], eax; again
    region = find_region(0, lambda at: DECODER.decode(at, code[at:] + bytes(15)))
    asks, leaves = (
        LlvmFunction(lift(region), (0, 0), (1, 2), Flat(1 << 20, asks=asks)).text
        for asks in (True, False)
    )
    assert "inttoptr" in asks
    assert "inttoptr" not in leaves


@needs_llvmlite
def test_a_loop_ends_after_any_number_of_rounds() -> None:
    for rounds in range(1, 5 * ROUNDS + 1):
        ends = []
        for tier in ("interpreter", "llvm"):
            computer = Computer(2, history=0, tier=tier, decoder=DECODER)
            if tier == "llvm":
                at_once(computer)
            computer.load_code(bytes.fromhex(f"b9{rounds:02x}000000" + LOOP[11:]))
            run = computer.run()
            ends.append((run.instructions, bytes(computer.processor.registers.data)))
        assert ends[0] == ends[1]


@needs_llvmlite
def test_memory_that_is_often_out_of_reach_is_asked_for_later() -> None:
    """Beyond RAM nothing is read but ones, as often as the loop comes by."""
    results = []
    for tier in ("interpreter", "llvm"):
        computer = set_up(history=0, tier=tier, ram_mib=2)
        if tier == "llvm":
            at_once(computer)
        # mov ecx, 200; (there) mov eax, [0x300000]; add ebx, eax; dec ecx; jnz there; hlt
        computer.load_code(bytes.fromhex("b9c8000000 a100003000 01c3 49 75f6 f4"))
        run = computer.run(2000)
        results.append((run.ended, run.instructions, computer.processor.registers["EBX"]))
        if computer.translator is not None:
            assert computer.translator.counts["steps"] < 100
    assert results[0] == results[1]


def test_a_loop_of_one_node_is_put_down_again_though_a_larger_one_begins_there() -> None:
    graph = {
        (1, 0): Node((1, 0), count=3, end=Branch(TRUTH, (1, 0), (2, 0))),
        (2, 0): Node((2, 0), count=90, end=Branch(TRUTH, (1, 0), (4, 0))),
        (4, 0): Node((4, 0), count=8),
    }
    found = unrolled(graph, Shape(graph, (1, 0)))
    assert sorted(map(once, found.keys() - graph.keys())) == [(1, 0)] * (2 * ROUNDS - 1)
    assert found[2, 0].follow == ((1, 0), (4, 0))
    assert [node.follow[1] for key, node in found.items() if once(key) == (1, 0)] == [(2, 0)] * 8


def blocks_of(text: str) -> dict[str, list[str]]:
    """Return a function's blocks after all passes, by label."""
    module = llvm().binding.parse_assembly(DECLARATIONS + text + TYPES)
    binding, machine = llvm().binding, llvm()._machine
    options = binding.create_pipeline_tuning_options(2)
    llvm().optimize(module, binding.create_pass_builder(machine, options), PASSES)
    found: dict[str, list[str]] = {}
    for line in str(module).split("define i32 @region")[1].splitlines()[1:]:
        if line[:1].isalnum():
            lines = found.setdefault(line.split(":")[0], [])
        elif line.startswith("  ") and found:
            lines.append(line.strip())
    return found


@needs_llvmlite
def test_what_only_who_leaves_a_loop_needs_is_done_there() -> None:
    code = bytes.fromhex("0306" + "83c604" + "39fe" + "75f7" + "ebfe")  # add eax,[esi]; up to edi
    graph = lift(find_region(0, lambda at: DECODER.decode(at, code[at:] + bytes(15))))
    text = LlvmFunction(unrolled(graph, Shape(graph, (0, 0))), (0, 0), (0, 0), Flat(1 << 20)).text
    blocks = blocks_of(text)
    rounds = [blocks[name] for name in blocks if re.fullmatch(r"at_0(_\d+)?|v\d+", name)]
    inside = [lines for lines in rounds if not any(" asm " in line for line in lines)]
    counted = [line for lines in inside for line in lines if re.search(r"add .*%left", line)]
    assert len(counted) == 1  # all rounds at once
    assert counted[0].endswith(f"-{4 * 2 * ROUNDS}")
    to_out = [lines for lines in blocks.values() if lines[-1:] == ["br label %out"]]
    assert len(to_out) == text.count("br label %out")
    assert all(" asm " in lines[0] for lines in to_out)
