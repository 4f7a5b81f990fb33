"""The python tier: what its source says is what p-code says, and it can be read."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.machine.small_guests import DECODER, set_up
from tests.machine.test_translation_values import NUMBERS, SHAPES
from tests.machine.translated import eager, seen
from virtlab.machine.computer import Computer
from virtlab.machine.faults import Fault
from virtlab.machine.guests import guest
from virtlab.machine.image import load
from virtlab.machine.pcode import COMPUTED, CONST, UNIQUE, Op, Var
from virtlab.machine.translation.lifting import lift
from virtlab.machine.translation.liveness import needs
from virtlab.machine.translation.python import STATE, PythonFunction
from virtlab.machine.translation.python_control import Choice, Loop, negated
from virtlab.machine.translation.python_host import PythonHost
from virtlab.machine.translation.python_memory import NotDoneError
from virtlab.machine.translation.python_shape import arranged
from virtlab.machine.translation.python_values import HELPERS, expression
from virtlab.machine.translation.regions import find_region

if TYPE_CHECKING:
    from virtlab.machine.decode import Instruction
    from virtlab.machine.translation.lifting import Graph

START = 0x100000


def graph_of(code: str, start: int = START) -> Graph:
    words = bytes.fromhex(code)

    def fetch(address: int) -> Instruction | None:
        at = address - start
        if not 0 <= at < len(words):
            return None
        try:
            return DECODER.decode(address, words[at:] + bytes(15))
        except Fault:
            return None

    return lift(find_region(start, fetch))


def function_of(code: str) -> PythonFunction:
    graph = graph_of(code)
    return PythonFunction(graph, needs(graph), (START, 0))


# --- values -----------------------------------------------------------------------------------


def evaluated(words: str, values: dict[str, int]) -> int:
    return int(eval(words, {**HELPERS, "min": min}, values))  # noqa: S307 - it is what is tested


def value_of(op: Op, ins: tuple[int, ...], made: dict[Var, Op] | None = None) -> int:
    """Compute an operation as its source does; only names of values are `a` and `b`."""
    names = dict(zip(dict.fromkeys(v for v in op.ins if v.space != CONST), "ab", strict=False))

    def words(var: Var) -> str:
        if var.space == CONST:
            return str(var.offset)
        inner = (made or {}).get(var)
        return expression(inner, words, inner_of) if inner else names.get(var, f"v{-var.offset}")

    def inner_of(var: Var) -> Op | None:
        return (made or {}).get(var)

    values = dict(zip(names.values(), ins, strict=False))
    values |= {f"v{k}": value for k, value in enumerate(ins, start=1)}
    return evaluated(expression(op, words, inner_of), values)


@pytest.mark.parametrize("name", sorted(COMPUTED))
@given(data=st.data(), one=NUMBERS, other=NUMBERS)
@example(data=None, one=0xFFFFFFFF, other=1)
def test_each_operation_is_what_the_table_says(
    name: str, data: st.DataObject | None, one: int, other: int
) -> None:
    """With both operands in variables, and with the second written as a number."""
    shapes = SHAPES.get(name, [(size, size, 1) for size in (1, 2, 4, 8)])
    first, second, out = shapes[-1] if data is None else data.draw(st.sampled_from(shapes))
    amount = other % 70 if name in ("INT_LEFT", "INT_RIGHT", "INT_SRIGHT") else other
    if name == "SUBPIECE":
        amount = 0 if first <= out else amount % (first - out + 1)
    if name.startswith("BOOL"):
        first = second = 1
        one, amount = one & 1, amount & 1
    ins = one % (1 << 8 * first), amount % (1 << 8 * second)
    if name in ("INT_DIV", "INT_REM", "INT_SDIV", "INT_SREM") and ins[1] == 0:
        return
    a, b = Var(UNIQUE, -1, first), Var(UNIQUE, -2, second)
    table = int(COMPUTED[name](ins, first, out)) & (1 << 8 * out) - 1
    written = Var(CONST, ins[1], second)
    choices = [(a, written)] if name == "SUBPIECE" else [(a, b), (a, written)]
    for pair in choices:
        assert value_of(Op(name, Var(UNIQUE, -9, out), pair), ins) == table


CONDITIONS = {"72": "<", "76": "<=", "74": "==", "75": "!=", "7c": "<", "7e": "<=", "7d": "<="}


@pytest.mark.parametrize("jump", CONDITIONS)
def test_a_comparison_and_a_jump_are_one_comparison(jump: str) -> None:
    """`cmp eax, ebx; jcc`: no flag is computed, and the way taken is the processor's."""
    code = f"39d8 {jump}09 83c101 b801000000 c3 83c101 b802000000 c3"
    source = function_of(code).source
    assert not re.search(r"[zso]f =|not zf", source.partition("# 0x100002")[0])
    conditions = re.findall(r"if (?!left)(.*):", source)
    turned = "(eax ^ 0x80000000) {} (ebx ^ 0x80000000)" if jump[1] in "cdef" else "eax {} ebx"
    words = turned.format(CONDITIONS[jump])
    if jump == "7d":  # not less is not more, the other way round
        words = "(ebx ^ 0x80000000) <= (eax ^ 0x80000000)"
    assert conditions[0] in (words, negated(words), f"not ({words})")
    numbers = [0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]
    for eax in numbers:
        for ebx in numbers:
            ends = []
            for tier in ("python", "interpreter"):
                computer = set_up(history=0, tier=tier)
                computer.load_code(bytes.fromhex(code))
                if tier == "python":
                    eager(computer)
                computer.processor.registers["EAX"] = eax
                computer.processor.registers["EBX"] = ebx
                ends.append((computer.run(4).instructions, computer.processor.registers["EAX"]))
            assert ends[0] == ends[1], (hex(eax), hex(ebx))


# --- source -----------------------------------------------------------------------------------


def test_the_lecture_s_example_reads_as_one_would_write_it() -> None:
    source = function_of("b907000000 49 75fd c3").source  # mov ecx, 7; dec ecx; jnz; ret
    body = [line.strip() for line in source.splitlines()]
    assert body[0] == f"def at_00100000({', '.join(STATE)}):"
    at = body.index("# 0x100005  DEC ECX")
    recipe = next(line for line in body if line.startswith("ecx = (ecx"))
    assert recipe == "ecx = (ecx - 1) & 0xffffffff"
    assert body[at - 3 : at] == ["while True:", "if left < 2: raise Empty", "left -= 2"]


def test_lines_are_those_of_their_instruction() -> None:
    function = function_of("8b03 01c8 894304 c3")  # mov eax,[ebx]; add; mov [ebx+4],eax; ret
    text = function.source.splitlines()
    for address, lines in function.lines.items():
        comments = [text[k - 1].strip() for k in lines if text[k - 1].strip().startswith("#")]
        assert all(comment.startswith(f"# {address:#x} ") for comment in comments)
    assert "write4" in text[max(function.lines[START + 4]) - 1]
    for line, place in function.places.items():
        assert re.search(r"read|write|Empty|check", text[line - 1]), text[line - 1]
        assert line in function.lines[place.address]


@pytest.mark.parametrize("name", ["sieve", "quicksort"])
def test_all_of_a_program_is_python_that_can_be_read(name: str) -> None:
    computer = Computer(4, history=0, tier="python", decoder=DECODER)
    computer.load(load(guest(name).path(), 4 << 20))
    computer.run()
    assert computer.translator is not None
    host = computer.translator.host
    assert isinstance(host, PythonHost)
    functions = host.functions
    assert functions
    for function in functions:
        tree = ast.parse(function.source)
        names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        assert not {name for name in names if name.startswith("part")}
        assert max(map(len, function.source.splitlines())) < 240


def test_a_fault_undoes_no_more_than_its_instruction() -> None:
    """`add` changes EAX and flags that nobody reads; then `push` cannot write."""
    host = PythonHost(1 << 20, lambda _at, _size: -1, lambda _at, _size, _value: 1)
    graph = graph_of("01d8 89d9 41 53 c3")  # add eax, ebx; mov ecx, ebx; inc ecx; push ebx; ret
    host.jump_to(START, host.install(host.compile(graph, needs(graph), (START, 0), 1)))
    state = (START, 50, 0xFFFFFFFF, 7, 0, 1, 0x1000, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
    host.set_state(state)
    assert host.enter() == 1
    after = dict(zip(STATE, host.state(), strict=True))
    assert (after["eip"], after["left"]) == (START + 5, 47)
    assert (after["eax"], after["ecx"], after["esp"]) == (0, 2, 0x1000)
    assert (after["cf"], after["zf"], after["af"]) == (1, 0, 0)  # of inc, but for the carry


# --- shapes -----------------------------------------------------------------------------------


def depth_of(source: str) -> int:
    return max((len(line) - len(line.lstrip())) // 4 for line in source.splitlines())


def alike(code: str, limit: int) -> PythonFunction:
    ends = []
    for tier in ("python", "interpreter"):
        computer = set_up(history=0, tier=tier)
        computer.load_code(bytes.fromhex(code))
        if tier == "python":
            eager(computer)
        ends.append(seen(computer, computer.run(limit)))
    assert ends[0] == ends[1]
    return function_of(code)


def test_two_hundred_choices_one_after_the_other() -> None:
    """`cmov` branches within itself; nothing may be nested or recursive without end."""
    function = alike("40 0f44c3" * 120 + "ebfe", 300)
    assert depth_of(function.source) < 5


def test_a_hundred_choices_within_one_another_are_a_flat_loop() -> None:
    """Each of two ways goes on to a choice of its own: too deep to be nested."""
    ladder = "a801 7402 40 40 d1e8" * 60  # test al, 1; jz over; inc; inc; shr eax, 1
    function = alike(ladder + "ebfe", 400)
    assert depth_of(function.source) < 90
    compile(function.source, "ladder", "exec")


def nested(depth: int) -> str:
    """Return `depth` loops within one another, each two rounds."""
    inner = "40"
    for k in range(depth):
        where = 0x180000 + 4 * k
        begin = b"\xc7\x05" + where.to_bytes(4, "little") + (2).to_bytes(4, "little")
        count = b"\xff\x0d" + where.to_bytes(4, "little")  # dec dword ptr [where]
        back = len(bytes.fromhex(inner)) + len(count) + 6
        inner = (
            (begin.hex() + inner + count.hex())
            + "0f85"
            + (-back % (1 << 32)).to_bytes(4, "little").hex()
        )
    return inner


@pytest.mark.parametrize("depth", [2, 5, 18])
def test_loops_within_one_another(depth: int) -> None:
    """Python allows twenty blocks; more become one loop."""
    function = alike(nested(depth) + "ebfe", 3000)
    parts = function.source.count("while True:")
    assert parts > depth if depth < 15 else parts >= 1
    compile(function.source, "loops", "exec")


def test_opposites() -> None:
    for one in range(3):
        for other in range(3):
            for sign in ("==", "!=", "<", "<=", ">", ">="):
                words = f"{one} {sign} {other}"
                assert evaluated(words, {}) != evaluated(negated(words), {})
    assert negated("not (a | b)") == "a | b"
    assert negated("(a) & (b)") == "not ((a) & (b))"


def test_what_several_ways_lead_to_is_written_once() -> None:
    # test eax, eax; jz else; inc ebx; jmp on; (else) dec ebx; (on) inc ecx; ret
    graph = graph_of("85c0 7403 43 eb01 4b 41 c3")
    function = PythonFunction(graph, needs(graph), (START, 0))
    assert function.source.count("ecx = (ecx + 1)") == 1
    assert "way" not in function.source
    assert "else:" in function.source
    loops = graph_of("49 75fd c3")
    from virtlab.machine.translation.control import Shape

    parts = arranged(
        Shape(loops, (START, 0)), lambda _node: ([], ("c",)), lambda _to, _key: ["return"]
    )
    assert isinstance(parts[0], Loop)
    assert any(isinstance(part, Choice) for part in parts[0].inside)


# --- memory -----------------------------------------------------------------------------------


def test_bytes_that_lie_across_pages_and_words() -> None:
    """All sizes at all distances from the end of a page."""
    for distance in range(-5, 3):
        at = (0x181000 + distance).to_bytes(4, "little").hex()
        code = "b904000000" + f"0105{at} 660fb605{at} 66a1{at} 66a3{at} a0{at} a1{at} a3{at}"
        alike(code + f"49 75{(256 - 43) % 256:02x} f4", 60)


def test_a_page_is_forgotten_when_the_tlb_forgets_it() -> None:
    computer = eager(set_up(history=0, tier="python"))
    computer.load_code(
        bytes.fromhex("a300001800 8b1d00001800 ebf3")
    )  # mov [..], eax; mov ebx, [..]
    computer.run(30)
    assert computer.translator is not None
    host = computer.translator.host
    assert isinstance(host, PythonHost)
    names = host.memory.names
    assert 0x180000 in names["read4"]
    assert 0x180000 in names["write1"]
    computer.translator.tlb.flush(0x180123)
    assert 0x180000 not in names["read4"]
    computer.run(30)
    computer.translator.tlb.guard({0x180})
    assert 0x180000 in names["read4"]
    assert 0x180000 not in names["write4"]


def test_what_cannot_be_divided_stops() -> None:
    host = PythonHost(1 << 20, lambda _at, _size: -1, lambda _at, _size, _value: 1)
    for dividend, divisor, fits in ((10, 3, True), (1 << 40, 1, False), (5, 0, False)):
        check = host.names["check_quotient"]
        if fits:
            check(dividend, divisor, 64, 32)
        else:
            with pytest.raises(NotDoneError):
                check(dividend, divisor, 64, 32)


@pytest.mark.parametrize("code", sorted(set(SHAPES) & {"INT_AND", "INT_OR"}))
def test_parts_are_written_once_however_deep_they_are(code: str) -> None:
    """Written two or three times on each level, forty levels would take for ever."""
    written: list[Var] = []
    depth = 40
    values = [Var(UNIQUE, at, 4) for at in range(depth + 1)]

    def words(var: Var) -> str:
        written.append(var)
        at = var.offset
        if var.space == CONST or at == 0:
            return f"v{at}"
        return expression(Op(code, var, (values[at - 1], Var(1, at, 4))), leaf_or, lambda _: None)

    def leaf_or(var: Var) -> str:
        return words(var) if var.space == UNIQUE else f"r{var.offset}"

    assert words(values[-1]).count("r") == depth
    assert len(written) == depth + 1
