"""Which code is translated together: a region (S18).

A translator that takes one basic block at a time stores and loads all registers between two of
them, and cannot see that flags which one block sets are overwritten by the next before anyone
reads them. So blocks that lead to one another are taken together: from where execution stands,
along all direct jumps, both ways of a branch, into functions that are called and on after the call.

Each instruction is of one of four classes, as Adams and Agesen name them:

    IDENT     does in the cache what it says: p-code tells all of it
    control   changes which instruction is next; its target is an address of the guest
    in-cache  touches the machine itself, but code in the cache can do it
              (`virtlab.machine.translation.deprivilege`)
    callout   touches the machine itself, so the VMM does it: it ends the region there

A region stays within one page, so that it can be forgotten when the guest writes on that page.
It also has a limit (`virtlab.machine.translation.heat.limit_for`).

Source: Adams and Agesen, "A Comparison of Software and Hardware Techniques for x86 Virtualization"
(ASPLOS 2006), section 3; they translate units of at most 12 instructions.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

from virtlab.machine.pcode import COMPUTED, CONST, RAM, REGISTER, UNIQUE, Op, signed
from virtlab.machine.sensitive import routine_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from virtlab.machine.decode import Instruction

    Guess = Callable[[Instruction], tuple[int, ...]]

__all__ = [
    "BRANCHES",
    "FAULTING",
    "INDIRECT",
    "LIMIT",
    "Region",
    "casts_shadow",
    "class_of",
    "find_block",
    "find_region",
    "successors",
    "touches_memory",
]

LIMIT = 256  # instructions
BRANCHES = frozenset({"BRANCH", "CALL", "CBRANCH"})
INDIRECT = frozenset({"BRANCHIND", "CALLIND", "RETURN"})
_COMPUTED = INDIRECT - {"RETURN"}
FAULTING = frozenset({"LOAD", "STORE", "CHECK_DIVIDE", "CHECK_SIGNED_DIVIDE"})
_NOTHING = frozenset({"LOCK", "UNLOCK"})
_STI = 0xFB
_KNOWN = frozenset(COMPUTED) | BRANCHES | INDIRECT | FAULTING | _NOTHING


@dataclass
class Region:
    """Code that is translated together.

    Attributes
    ----------
    start
        Address at which it is entered.
    code
        Address to instruction.
    leaders
        Addresses that something jumps to: there a new block begins.
    sites
        Addresses after calls, where a return may lead.
    guesses
        By address of an instruction that computes where it jumps, where it may lead.

    Examples
    --------
    >>> region = Region(0x1000)
    >>> len(region.code)
    0
    """

    start: int
    code: dict[int, Instruction] = field(default_factory=dict)
    leaders: set[int] = field(default_factory=set)
    sites: list[int] = field(default_factory=list)
    guesses: dict[int, tuple[int, ...]] = field(default_factory=dict)


def class_of(instruction: Instruction) -> str:
    """Return what a translator makes of an instruction.

    Parameters
    ----------
    instruction
        Decoded.

    Returns
    -------
    str
        'IDENT', 'control', 'in-cache' or 'callout'.

    Examples
    --------
    >>> from virtlab.machine.decode import Decoder
    >>> words = [bytes.fromhex(code) for code in ("01d8", "ebfe", "fa")]
    >>> [class_of(Decoder().decode(0, word)) for word in words]  # add, jmp, cli
    ['IDENT', 'control', 'callout']
    """
    codes = {op.code for op in instruction.ops}
    if codes - _KNOWN or _changes_before_it_faults(instruction):
        return "callout"
    if routine_of(instruction.encoding):
        return "in-cache"
    return "control" if codes & (BRANCHES | INDIRECT) else "IDENT"


def find_region(
    start: int,
    fetch: Callable[[int], Instruction | None],
    limit: int = LIMIT,
    calls: Callable[[int], bool] = lambda _address: True,
    guess: Guess | None = None,
) -> Region:
    """Follow the code from an address.

    Parameters
    ----------
    start
        Address of the first instruction.
    fetch
        Gives the instruction at an address, or None where the region has to end.
    limit
        Instructions at most.
    calls
        Says whether a function is to be followed, and what comes after its call: (its address; if
        that is not known, what comes after). What never ran yet may never run.
    guess
        Says where an instruction may lead that computes where it jumps or what it calls
        (`virtlab.machine.translation.targets`).

    Returns
    -------
    Region
        Empty if the first instruction is for the VMM.

    Examples
    --------
    >>> from virtlab.machine.decode import Decoder
    >>> code = bytes.fromhex("4975fdf4")  # dec ecx; jnz -3; hlt
    >>> def fetch(address: int) -> Instruction:
    ...     return Decoder().decode(address, code[address:] + bytes(15))
    >>> region = find_region(0, fetch)
    >>> [str(instruction) for instruction in region.code.values()], sorted(region.leaders)
    (['DEC ECX', 'JNZ 0x0'], [0, 3])
    """
    region = Region(start, leaders={start})
    todo = [start]
    while todo and len(region.code) < limit:
        todo += _follow(region, todo.pop(0), fetch, limit, calls, guess)
    return region


def find_block(
    start: int, fetch: Callable[[int], Instruction | None], limit: int = LIMIT
) -> Region:
    """Take one straight line of code: what Adams and Agesen call a translation unit.

    Parameters
    ----------
    start
        Address of the first instruction.
    fetch
        Gives the instruction at an address, or None where the unit has to end.
    limit
        Instructions at most.

    Returns
    -------
    Region
        Up to the first instruction that may lead elsewhere, or to one for the VMM.

    Examples
    --------
    >>> from virtlab.machine.decode import Decoder
    >>> code = bytes.fromhex("40404975fdf4")  # inc eax; inc eax; dec ecx; jnz -3; hlt
    >>> def fetch(address: int) -> Instruction:
    ...     return Decoder().decode(address, code[address:] + bytes(15))
    >>> list(find_block(0, fetch).code), list(find_block(0, fetch, 2).code)
    ([0, 1, 2, 3], [0, 1])
    """
    region, at = Region(start, leaders={start}), start
    while len(region.code) < limit:
        instruction = fetch(at)
        if instruction is None or not _can_take(instruction, fetch, limit - len(region.code)):
            break
        region.code[at] = instruction
        if _leads_elsewhere(instruction):
            break
        if class_of(instruction) == "control":  # it repeats, or skips what it does
            region.leaders.update((at, instruction.next))
        at = instruction.next
    return region


def _can_take(
    instruction: Instruction, fetch: Callable[[int], Instruction | None], room: int
) -> bool:
    """Return whether an instruction is not for the VMM, and neither is the one in its shadow."""
    if class_of(instruction) == "callout":
        return False
    if not casts_shadow(instruction):
        return True
    after = fetch(instruction.next) if room > 1 else None
    return after is not None and class_of(after) != "callout" and not casts_shadow(after)


def casts_shadow(instruction: Instruction) -> bool:
    r"""Return whether no interrupt comes before the instruction that follows is done.

    Parameters
    ----------
    instruction
        Decoded.

    Returns
    -------
    bool
        True of `sti`.

    Examples
    --------
    >>> from virtlab.machine.decode import Decoder
    >>> casts_shadow(Decoder().decode(0, b"\xfb")), casts_shadow(Decoder().decode(0, b"\xfa"))
    (True, False)
    """
    return instruction.encoding.opcode == _STI


def _leads_elsewhere(instruction: Instruction) -> bool:
    """Return whether another instruction than itself and the one after it may be next."""
    if any(op.code in INDIRECT or op.code == "CALL" for op in instruction.ops):
        return True
    own = (instruction.address, instruction.next)
    return any(op.ins[0].offset not in own for op in _jumps(instruction))


def _follow(
    region: Region,
    at: int,
    fetch: Callable[[int], Instruction | None],
    limit: int,
    calls: Callable[[int], bool],
    guess: Guess | None,
) -> list[int]:
    """Take one straight line of code; return where else it leads."""
    found: list[int] = []
    while at not in region.code and len(region.code) < limit:
        instruction = fetch(at)
        if instruction is None or not _can_take(instruction, fetch, limit - len(region.code)):
            break
        region.code[at] = instruction
        if class_of(instruction) == "control":
            found += _targets(region, instruction, calls, guess)
            if not _goes_on(instruction):
                break
        at = instruction.next
    return found


def _targets(
    region: Region,
    instruction: Instruction,
    calls: Callable[[int], bool],
    guess: Guess | None,
) -> list[int]:
    """Note where an instruction leads; return what of that is to be followed."""
    targets = [op.ins[0].offset for op in _jumps(instruction)]
    if guess and any(op.code in _COMPUTED for op in instruction.ops):
        targets += region.guesses.setdefault(instruction.address, guess(instruction))
    region.leaders.update(targets, [instruction.next])
    if not instruction.mnemonic.startswith("CALL"):
        return targets
    if not calls(targets[0] if targets else instruction.next):
        return []
    region.sites.append(instruction.next)
    return [*targets, instruction.next]


def successors(instruction: Instruction) -> tuple[int, ...]:
    """Return which addresses may be next, as far as the instruction itself says.

    Parameters
    ----------
    instruction
        Decoded.

    Returns
    -------
    tuple
        Where it jumps to, and what follows it, unless it never goes on there; nothing of a return.

    Examples
    --------
    >>> from virtlab.machine.decode import Decoder
    >>> words = [bytes.fromhex(code) for code in ("01d8", "7502", "eb02", "c3")]
    >>> [successors(Decoder().decode(0, word)) for word in words]  # add, jnz, jmp, ret
    [(2,), (4, 2), (4,), ()]
    """
    targets = [op.ins[0].offset for op in _jumps(instruction)]
    return tuple(dict.fromkeys(targets + [instruction.next] * _goes_on(instruction)))


def _jumps(instruction: Instruction) -> Iterator[Op]:
    """Yield the operations that go to another instruction whose address is known."""
    return (op for op in instruction.ops if op.code in BRANCHES and op.ins[0].space == RAM)


def _goes_on(instruction: Instruction) -> bool:
    """Return whether the next instruction may follow."""
    if any(op.code == "CBRANCH" for op in instruction.ops):
        return True
    ends = (op.code in INDIRECT or op.code != "CBRANCH" for op in _jumps(instruction))
    return not any(ends) and not any(op.code in INDIRECT for op in instruction.ops)


def _changes_before_it_faults(instruction: Instruction) -> bool:
    """Return whether it may change a register, branch within itself, and fault after that.

    What a region undoes at a fault is what the same node has computed. The few instructions that
    this is not enough for are left to the interpreter.
    """
    ops = instruction.ops
    inner = [(at, op) for at, op in enumerate(ops) if op.code in BRANCHES]
    if not inner or (len(inner) == 1 and inner[0][0] == len(ops) - 1):
        return False
    targets = [
        at + signed(op.ins[0].offset, op.ins[0].size)
        for at, op in inner
        if op.ins[0].space == CONST
    ]
    cuts = sorted({0, len(ops), *(at + 1 for at, _ in inner), *targets})
    parts = [ops[first:last] for first, last in pairwise(cuts)]
    writes = [any(op.out and op.out.space == REGISTER for op in part) for part in parts]
    faults = [any(op.code in FAULTING or touches_memory(op) for op in part) for part in parts]
    if any(k <= at for at, k in zip((at for at, _ in inner), targets, strict=False)):
        return any(writes) and any(faults)  # it goes in a circle
    if any(wrote and any(faults[k + 1 :]) for k, wrote in enumerate(writes)):
        return True
    return _has_two_sizes(instruction)


def touches_memory(op: Op) -> bool:
    """Return whether an operation reads or writes memory.

    Parameters
    ----------
    op
        Operation.

    Returns
    -------
    bool
        False of a branch, whose target is an address.

    Examples
    --------
    >>> from virtlab.machine.pcode import Var
    >>> touches_memory(Op("BRANCH", None, (Var(RAM, 0x1000, 4),)))
    False
    """
    if op.code in ("LOAD", "STORE"):
        return True
    places = (*op.ins, op.out) if op.out else op.ins
    return op.code not in BRANCHES and any(var.space == RAM for var in places)


def _has_two_sizes(instruction: Instruction) -> bool:
    """Return whether a temporary is written in one size and read in another."""
    sizes: dict[int, set[int]] = {}
    for op in instruction.ops:
        for var in (*op.ins, *([op.out] if op.out else [])):
            if var.space == UNIQUE:
                sizes.setdefault(var.offset, set()).add(var.size)
    return any(len(found) > 1 for found in sizes.values())
