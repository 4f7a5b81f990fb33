"""The processor's own code of a region, each line with the guest's instruction it is for (S18).

What LLVM gets has one line for each thing to do, in order. What it makes of that is shorter and
stands elsewhere: sums are folded into addresses, what a loop does not change is done before it. So
each line of its input says for which instruction of the guest it is, as a compiler says it for a
debugger (a *debug location*: here the "line number" counts instructions of the guest); LLVM carries
it along, and the assembler's text has it as `.loc`. What LLVM has made of several at once has none,
and is shown with its neighbours.

    4  jl     96            a line has a number, and a jump says which it leads to
    9  call   vmm_load      asks the VMM to read: the TLB does not know the page
       [rsi + rax + tlb]    `layout.READ_TLB`; `wtlb` is for writes, `ports` the table of ports

The code is for one kind of processor, whichever this one is, so that all see the same. What is run
is made for this processor and knows the address of what it calls, and of loops a hot one is
unrolled (`llvm_unroll`). The text differs from one version of LLVM to the next.

Needs `llvmlite`, of the extra `llvm`.

Source: LLVM, "Source Level Debugging with LLVM" (llvm.org/docs/SourceLevelDebugging.html).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from virtlab.machine.memory import PAGE
from virtlab.machine.translation import layout
from virtlab.machine.translation.liveness import needs as find_needs
from virtlab.machine.translation.llvm import LlvmFunction
from virtlab.machine.translation.llvm_code import PASSES, llvm
from virtlab.machine.translation.llvm_memory import TYPES
from virtlab.machine.translation.llvm_values import DECLARATIONS, Lines
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from virtlab.machine.pcode import Var
    from virtlab.machine.translation.lifting import Graph, Key
    from virtlab.machine.translation.liveness import Needs

__all__ = ["CPU", "ENTER", "LEAVE", "Assembly", "HostLine", "assembly"]

CPU, _TRIPLE = "x86-64-v3", "x86_64-unknown-linux-gnu"  # what most have had since 2013
ENTER, LEAVE = -1, -2  # instead of an address: how a function is entered and left
_ASKS = {11: "@vmm_load", 12: "@vmm_store"}  # stand-ins for addresses that a text cannot know
_FIRST = 20  # number of the first debug location; `llvm_memory.TYPES` has those before 6
_HEAD = "declare i64 @vmm_load(i32, i32)\ndeclare i32 @vmm_store(i32, i32, i64)\n"
_PLACES = """
!llvm.module.flags = !{!10}
!llvm.dbg.cu = !{!11}
!10 = !{i32 2, !"Debug Info Version", i32 3}
!11 = distinct !DICompileUnit(language: DW_LANG_C, file: !12, isOptimized: true,
                              emissionKind: LineTablesOnly)
!12 = !DIFile(filename: "guest", directory: "")
!13 = distinct !DISubprogram(name: "region", file: !12, unit: !11, spFlags: DISPFlagDefinition)
"""
_LABEL = re.compile(r"\.?LBB\d+_\d+")
_SIZE = re.compile(r"\b(?:byte|word|dword|qword) ptr (?=\[)")
_SIZED = re.compile(r"(?:mov|add|sub|and|or|xor|cmp|test|adc|sbb|imul|cmov\w+)")  # by a register
_REGISTER = re.compile(
    r"(?<![\w\[])(?:[re]?[abcd]x|[abcd][lh]|[re]?(?:[sd]i|bp)|sil|dil|bpl|r\d+[dwb]?)(?![\w\]])"
)
_NUMBER = re.compile(r"(?<![\w.])\d{4,}\b")
_TABLES = {
    layout.READ_TLB: "tlb",
    layout.READ_TLB + 4: "tlb + 4",
    layout.WRITE_TLB: "wtlb",
    layout.WRITE_TLB + 4: "wtlb + 4",
}
_PORTS = {"ports": (layout.PORT_MAP, 0x20000), "ring": (layout.RING, 4 * layout.RING_SIZE)}


class HostLine(NamedTuple):
    """A line of assembly.

    Attributes
    ----------
    origin
        Address of the guest's instruction it is for, `ENTER` or `LEAVE`.
    number
        Of the line, from 1.
    text
        What it is, in the syntax of the processor's maker.
    """

    origin: int
    number: int
    text: str


@dataclass(frozen=True)
class Assembly:
    """A region as machine code.

    Attributes
    ----------
    lines
        In the order in which they stand.
    size
        Bytes of the code.
    text
        All of it with directives, as an assembler takes it; where LLVM says which instruction of
        the guest what follows is for, there is a comment.
    cells
        What is loaded when it is entered: registers and flags of the guest.
    """

    lines: tuple[HostLine, ...]
    size: int
    text: str
    cells: tuple[Var, ...]


class _Located(Lines):
    """Lines that say which instruction of the guest they are for."""

    def __init__(self) -> None:
        super().__init__()
        self.origins: dict[int, int] = {}

    def value(self, code: str) -> str:
        return super().value(f"{code}{self._location()}")

    def add(self, code: str) -> None:
        super().add(f"{code}{self._location()}")

    def _location(self) -> str:
        number = self.origins.setdefault(self.origin, len(self.origins) + 1)
        return f", !dbg !{_FIRST + number}"

    def described(self) -> str:
        """Return what the locations are."""
        return _PLACES + "".join(
            f"!{_FIRST + number} = !DILocation(line: {number}, scope: !13)\n"
            for number in self.origins.values()
        )


@lru_cache(maxsize=1)
def _machine() -> Any:
    """Return what writes code for `CPU`; the option is for this one alone, and taken back."""
    binding = llvm().binding
    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()
    binding.set_option("", "-x86-asm-syntax=intel")
    try:
        target = binding.Target.from_triple(_TRIPLE)
        machine = target.create_target_machine(cpu=CPU, opt=2, reloc="static", codemodel="small")
    except RuntimeError as error:
        raise InvalidInputError("llvmlite", str(error), f"built for {_TRIPLE} too") from error
    finally:
        binding.set_option("", "-x86-asm-syntax=att")
    machine.set_asm_verbosity(verbose=False)
    return machine


def assembly(
    graph: Graph, needs: dict[Key, Needs], start: Key, where: Callable[[int], str] = hex
) -> Assembly:
    """Translate a region as the llvm tier does, for a processor of `CPU`'s kind.

    Parameters
    ----------
    graph, needs, start
        Of the region, as a `Host` takes them.
    where
        Writes an address of the guest.

    Returns
    -------
    Assembly
        Its lines.

    Raises
    ------
    InvalidInputError
        If `llvmlite` is not installed, or was built without this kind of processor.

    Examples
    --------
    >>> from virtlab.machine.translation.lifting import Leave, Node
    >>> from virtlab.machine.translation.liveness import needs
    >>> graph = {(0x1000, 0): Node((0x1000, 0), end=Leave(0x2000))}
    >>> found = assembly(graph, needs(graph), (0x1000, 0))
    >>> found.lines[-1].text, any("0x2000" in line.text for line in found.lines)
    ('ret', True)
    """
    machine, located = _machine(), _Located()
    function = LlvmFunction(
        graph, start, (11, 12), drop_dead=needs == find_needs(graph), lines=located
    )
    code = function.text.replace("nounwind {", "nounwind !dbg !13 {", 1)
    for number, name in _ASKS.items():
        code = code.replace(f"inttoptr (i64 {number} to ptr)", name)
    module = _optimized(_HEAD + DECLARATIONS + code + TYPES + located.described(), machine)
    size = _size(machine.emit_object(module.clone()))
    text = machine.emit_assembly(module)
    origins = {number: origin for origin, number in located.origins.items()}
    known = {address for node in graph.values() for address, _, _ in node.origins}
    ends = {getattr(node.end, "address", 0) for node in graph.values()}
    lines = tuple(_lines(text, origins, _Names(where, frozenset(known | ends))))
    return Assembly(lines, size, _remarked(text, origins, where), tuple(function.kept))


def _optimized(text: str, machine: Any) -> Any:
    """Parse a module, and do to it what the tier does."""
    binding = llvm().binding
    module = binding.parse_assembly(text)
    module.triple = _TRIPLE
    builder = binding.create_pass_builder(machine, binding.create_pipeline_tuning_options(2))
    llvm().optimize(module, builder, PASSES)
    return module


def _size(obj: bytes) -> int:
    """Return how many bytes of an object file are code."""
    sections = llvm().binding.ObjectFileRef.from_data(obj).sections()
    return sum(section.size() for section in sections if section.is_text())


def _remarked(text: str, origins: dict[int, int], where: Callable[[int], str]) -> str:
    """Leave out what is for debuggers and for unwinding the stack; write locations as comments."""
    ways = {ENTER: "enter", LEAVE: "leave"}

    def remark(found: re.Match[str]) -> str:
        origin = origins.get(int(found[1]))
        return "" if origin is None else f"\t\t# {ways.get(origin) or where(origin)}\n"

    kept = re.sub(r"\t\.(?:cfi_|file).*\n|\.L(?:tmp|func_begin)\d+:\n", "", text)
    kept = re.sub(r"\t\.loc\t1 (\d+).*\n", remark, kept)
    return kept.partition("\t.section\t.debug")[0]


class _Names(NamedTuple):
    """Writes numbers as what they mean."""

    where: Callable[[int], str]
    addresses: frozenset[int]

    def number(self, found: re.Match[str]) -> str:
        value = int(found[0])
        known = self.where(value) if value in self.addresses and value >= PAGE else "0x"
        return f"{value:#x}" if known.startswith("0x") else f"offset {known}"

    def memory(self, found: re.Match[str]) -> str:
        """Write what is in brackets, with names of tables."""
        *registers, last = found[0][1:-1].split(" + ")
        place = int(last) if last.isdecimal() else 0
        if len(registers) > 1 and place in _TABLES:
            last = _TABLES[place]
        for name, (first, size) in _PORTS.items():
            if 0 <= place - first < size:
                last = name + (f" + {place - first:#x}" if place > first else "")
        return f"[{' + '.join([*registers, last])}]"


def _lines(text: str, origins: dict[int, int], names: _Names) -> Iterator[HostLine]:
    """Take the instructions out of an assembler's text, and number them."""
    blocks, labels = _blocks(text)
    total, last = 0, ENTER
    for block in blocks:
        last = next((origins[loc] for loc, _ in block if loc), last)
        for loc, code in block:
            last, total = origins.get(loc, last), total + 1
            yield HostLine(last, total, _written(code, labels, names))


def _blocks(text: str) -> tuple[list[list[tuple[int, str]]], dict[str, int]]:
    """Return instructions, each with its location, 0 if it has none; and labels' numbers."""
    blocks: list[list[tuple[int, str]]] = [[]]
    labels: dict[str, int] = {}
    body = text.partition("\nregion:")[2].partition(".Lfunc_end0")[0]
    location = count = 0
    for line in body.splitlines():
        words = line.partition("#")[0].split(None, 1)
        label = _LABEL.match(line)
        if label:
            labels[label[0]] = count + 1
            blocks.append([])
        elif words and words[0] == ".loc":
            location = int(words[1].split()[1])
        elif words and not words[0].startswith(".") and not words[0].endswith(":"):
            blocks[-1].append((location, " ".join(words).rstrip()))
            count += 1
    return blocks, labels


def _written(code: str, labels: dict[str, int], names: _Names) -> str:
    """Write an instruction for a person: sizes that a register says already are left out."""
    name, _, operands = code.partition(" ")
    operands = _LABEL.sub(lambda found: str(labels.get(found[0], found[0])), operands.strip())
    if name.startswith("j") and operands.isdecimal():
        return f"{name:6} {operands}"
    if _SIZED.fullmatch(name) and _REGISTER.search(operands):
        operands = _SIZE.sub("", operands)
    operands = re.sub(r"\[[^]]*\]", names.memory, operands.removesuffix("@PLT"))
    return f"{name:6} {_NUMBER.sub(names.number, operands)}".rstrip()
