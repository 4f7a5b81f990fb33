"""A region as p-code in single assignment form, with control flow between nodes (S18).

The region becomes a graph. A **node** is p-code without a branch inside; most are basic blocks, and
an instruction that branches within itself (`rep movs`, `cmov`) is cut into several. In a node each
temporary is written once, and registers are read and written only as whole **cells**: the eight
general registers of four bytes, and each flag. To write AL is to make a new EAX of the old one.

Two things follow. What a node computes and nobody needs is plain to see, the flags above all
(`virtlab.machine.translation.liveness`). And at each operation that may fault the node still knows
the value of each cell at the start of that instruction (a `Moment`), so that the fault can be
precise: as if the instruction had not begun.

Source: Cytron et al., "Efficiently Computing Static Single Assignment Form" (TOPLAS 1991), here
within a node only, so that no phi is needed.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from virtlab.machine.pcode import CONST, RAM, REGISTER, UNIQUE, Op, Var, signed
from virtlab.machine.registers import FLAGS, PLACES
from virtlab.machine.translation.layout import ANSWERED, WAITING
from virtlab.machine.translation.regions import BRANCHES, FAULTING, INDIRECT, casts_shadow

if TYPE_CHECKING:
    from virtlab.machine.decode import Instruction
    from virtlab.machine.translation.regions import Region

__all__ = [
    "CELLS",
    "FLAG_CELLS",
    "SYSTEM",
    "Branch",
    "Graph",
    "Indirect",
    "Jump",
    "Key",
    "Leave",
    "Moment",
    "Node",
    "is_cell",
    "lift",
]

Key = tuple[int, int]  # address of an instruction, and of which operation in it
_FLAG = {name: Var(REGISTER, place[0], 1) for name, place in FLAGS.items()}
FLAG_CELLS = tuple(_FLAG[name] for name in ("CF", "PF", "AF", "ZF", "SF", "DF", "OF"))
_MORE = ("IF", "IOPL", "NT", "RF", "AC", "ID")  # what in-cache instructions change besides
_WORDS = [PLACES["CR0"], (ANSWERED, 4), (WAITING, 4)]
SYSTEM = (*(_FLAG[name] for name in _MORE), *(Var(REGISTER, *place) for place in _WORDS))
CELLS = (*(Var(REGISTER, 4 * number, 4) for number in range(8)), *FLAG_CELLS)
_STATE = frozenset((*CELLS, *SYSTEM))
_EIP, _GENERAL_END = Var(REGISTER, *PLACES["EIP"]), 32  # where the general registers end, in bytes


class Jump(NamedTuple):
    """A node's end: another node follows."""

    to: Key


class Branch(NamedTuple):
    """A node's end: one of two nodes follows."""

    condition: Var
    yes: Key
    no: Key


class Indirect(NamedTuple):
    """A node's end: the address is computed; it may be one of some that are known."""

    target: Var
    sites: tuple[Key, ...]


class Leave(NamedTuple):
    """A node's end: the region is left, for an address of the guest."""

    address: int


class Moment(NamedTuple):
    """What a fault goes back to.

    Attributes
    ----------
    address
        Of the instruction.
    done
        Instructions of this node that were done before it.
    values
        Cells that this node has changed by then, and their values.
    """

    address: int
    done: int
    values: dict[Var, Var]


@dataclass
class Node:
    """P-code without a branch inside.

    Attributes
    ----------
    key
        Where it begins.
    ops
        Operations in single assignment form; temporaries have negative numbers.
    origins
        For readers, of what became operations: (address, place in the instruction, in `ops`).
    instructions
        Those that begin in it: place in `ops`, what was so before, which it is.
    moments
        By place in `ops`: what to go back to if that operation faults.
    count
        Instructions that begin in it.
    sets
        Cells it changes, and their values at its end.
    end
        What follows.

    Examples
    --------
    >>> Node((0x1000, 0)).follow
    ()
    """

    key: Key
    ops: list[Op] = field(default_factory=list)
    origins: list[tuple[int, int, int]] = field(default_factory=list)
    instructions: list[tuple[int, Moment, Instruction]] = field(default_factory=list)
    moments: dict[int, Moment] = field(default_factory=dict)
    count: int = 0
    sets: dict[Var, Var] = field(default_factory=dict)
    end: Jump | Branch | Indirect | Leave = field(default_factory=lambda: Leave(0))

    @property
    def follow(self) -> tuple[Key, ...]:
        """Which nodes may be next."""
        if isinstance(self.end, Jump):
            return (self.end.to,)
        if isinstance(self.end, Branch):
            return self.end.yes, self.end.no
        return self.end.sites if isinstance(self.end, Indirect) else ()

    @property
    def ending(self) -> tuple[Var, ...]:
        """What its end reads."""
        if isinstance(self.end, Branch):
            return (self.end.condition,)
        return (self.end.target,) if isinstance(self.end, Indirect) else ()

    def address_of(self, at: int) -> int:
        """Return the address of the instruction that an operation belongs to.

        Parameters
        ----------
        at
            Its place in `ops`.

        Returns
        -------
        int
            The node's own if it has no operations.

        Examples
        --------
        >>> Node((0x1000, 0), origins=[(0x1000, 0, 0), (0x1002, 0, 3)]).address_of(4)
        4098
        """
        found = bisect_right(self.origins, at, key=lambda origin: origin[2])
        return self.origins[found - 1][0] if found else self.key[0]


Graph = dict[Key, Node]


def is_cell(var: Var) -> bool:
    """Return whether something is a cell: it has a value from one node to the next.

    Parameters
    ----------
    var
        A place or a number.

    Returns
    -------
    bool
        Registers, and temporaries of an instruction that is cut into several nodes.

    Examples
    --------
    >>> is_cell(CELLS[0]), is_cell(Var(UNIQUE, -1, 4)), is_cell(Var(CONST, 7, 4))
    (True, False, False)
    """
    return var.space == REGISTER or (var.space == UNIQUE and var.offset >= 0)


def lift(region: Region) -> Graph:
    """Make the graph of a region.

    Parameters
    ----------
    region
        With at least one instruction.

    Returns
    -------
    Graph
        Nodes by key; where the region is left, a node without operations.

    Examples
    --------
    >>> from virtlab.machine.decode import Decoder
    >>> from virtlab.machine.translation.regions import find_region
    >>> code = bytes.fromhex("b001c3")  # mov al, 1; ret
    >>> def fetch(address: int) -> Instruction:
    ...     return Decoder().decode(address, code[address:] + bytes(15))
    >>> node = lift(find_region(0, fetch))[(0, 0)]
    >>> for op in node.ops:
    ...     print(op)
    t-1 = COPY 0x1
    t-2 = INT_AND EAX, 0xffffff00
    t-3 = INT_ZEXT t-1
    t-4 = INT_OR t-2, t-3
    t-5 = LOAD ESP
    t-6 = INT_ADD ESP, 0x4
    """
    graph: Graph = {}
    lifter, todo = _Lifter(region), [(region.start, 0)]
    while todo:
        key = todo.pop()
        if key not in graph:
            inside = key[0] in region.code and (key[1] > 0 or key[0] in region.leaders)
            graph[key] = lifter.node(key) if inside else Node(key, end=Leave(key[0]))
            todo += graph[key].follow
    return graph


class _Lifter:
    """Lifts nodes of one region; numbers temporaries through all of them."""

    def __init__(self, region: Region) -> None:
        self.region, self.temporaries = region, 0

    def node(self, key: Key) -> Node:
        """Lift from a place to the next branch, or to where something else leads."""
        self.now = Node(key)
        self.env: dict[Var, Var] = {}
        self.changed: dict[Var, Var] = {}  # what of it is the machine's state
        self.places: dict[int, Var] = {}  # temporaries in it, by where they are
        self.moment = Moment(key[0], -1, {})
        (address, first), ended = key, False
        while not ended and address in self.region.code:
            instruction = self.region.code[address]
            if first == 0:
                self.moment = Moment(address, self.now.count, self.changed.copy())
                self.now.instructions.append((len(self.now.ops), self.moment, instruction))
                self.now.count += 1
            ended = self._instruction(instruction, first)
            address, first = instruction.next, 0
            # What follows `sti` belongs to the same node, wherever else it is reached from.
            if not ended and address in self.region.leaders and not casts_shadow(instruction):
                break
        if not ended:
            self.now.end = Jump((address, 0))
        self.now.sets = {c: v for c, v in self.env.items() if c not in (v, _EIP)}  # the end has EIP
        return self.now

    def _instruction(self, instruction: Instruction, first: int) -> bool:
        """Lift operations up to one that branches; return whether there was one."""
        ops = instruction.ops
        cuts = _inner_targets(ops)
        for at in range(first, len(ops)):
            if at in cuts and at > first:
                self.now.end = Jump((instruction.address, at))
                return True
            op = ops[at]
            if op.code in ("LOCK", "UNLOCK"):
                continue
            self.now.origins.append((instruction.address, at, len(self.now.ops)))
            if op.code in BRANCHES:
                self._branch(op, at, instruction)
                return True
            if op.code in INDIRECT:
                guesses = self.region.guesses.get(instruction.address, ())
                sites = dict.fromkeys(self.region.sites if op.code == "RETURN" else guesses)
                target = self._read(op.ins[0], op)
                self.now.end = Indirect(target, tuple((site, 0) for site in sites))
                return True
            self._operation(op)
        if len(ops) in cuts or first > 0:
            self.now.end = Jump((instruction.next, 0))
            return True
        return False

    def _branch(self, op: Op, at: int, instruction: Instruction) -> None:
        target, size = op.ins[0], len(instruction.ops)
        to = (target.offset, 0)
        if target.space == CONST:
            inner = at + signed(target.offset, target.size)
            to = (instruction.address, inner) if inner < size else (instruction.next, 0)
        if op.code != "CBRANCH":
            self.now.end = Jump(to)
            return
        after = (instruction.address, at + 1) if at + 1 < size else (instruction.next, 0)
        self.now.end = Branch(self._read(op.ins[1], op), to, after)

    def _operation(self, op: Op) -> None:
        code, to, given, segment, to_change = op
        ins = tuple([self._read(var, op) for var in given])
        if code in FAULTING:
            self.now.moments[len(self.now.ops)] = self.moment
        out = to and self._new(to.size)
        self.now.ops.append(Op(code, out, ins, segment, to_change))
        if to and out:
            self._write(to, out, op)

    # --- places -----------------------------------------------------------------------------------

    def _new(self, size: int) -> Var:
        self.temporaries += 1
        return Var(UNIQUE, -self.temporaries, size)

    def _add(self, code: str, size: int, *ins: Var) -> Var:
        out = self._new(size)
        self.now.ops.append(Op(code, out, ins))
        return out

    def _read(self, var: Var, op: Op) -> Var:
        """Return the value that a place has now."""
        if var.space == CONST:
            return var
        if var.space == RAM:
            self.now.moments[len(self.now.ops)] = self.moment
            out, number = self._new(var.size), Var(CONST, var.offset, 4)
            self.now.ops.append(Op("LOAD", out, (number,), op.segment, op.to_change))
            return out
        if var.space == UNIQUE:
            return self._temporary(var)
        if var.offset >= _GENERAL_END:
            return self.env.get(var, var)
        cell = Var(REGISTER, var.offset & ~3, 4)
        whole = self.env.get(cell, cell)
        if var.size == cell.size:
            return whole
        return self._add("SUBPIECE", var.size, whole, Var(CONST, var.offset & 3, 4))

    def _temporary(self, var: Var) -> Var:
        """Return a temporary's value; one of another size is cut or widened."""
        if var in self.env:
            return self.env[var]
        if var.offset not in self.places:
            return var  # written by an earlier node of the same instruction
        value = self.env[self.places[var.offset]]
        if value.size < var.size:
            return self._add("INT_ZEXT", var.size, value)
        return self._add("SUBPIECE", var.size, value, Var(CONST, 0, 4))

    def _write(self, var: Var, value: Var, op: Op) -> None:
        if var.space == RAM:
            self.now.moments[len(self.now.ops)] = self.moment
            self.now.ops.append(Op("STORE", None, (Var(CONST, var.offset, 4), value), op.segment))
        elif var.space == UNIQUE:
            self.env.pop(self.places.get(var.offset, var), None)
            self.env[var], self.places[var.offset] = value, var
        elif var.offset >= _GENERAL_END or var.size == CELLS[0].size:
            self._set(var, value)
        else:
            cell = Var(REGISTER, var.offset & ~3, 4)
            self._set(cell, self._merged(self.env.get(cell, cell), var, value))

    def _set(self, cell: Var, value: Var) -> None:
        self.env[cell] = value
        if cell in _STATE:
            self.changed[cell] = value

    def _merged(self, whole: Var, part: Var, value: Var) -> Var:
        """Return a register with a part of it changed."""
        shift = 8 * (part.offset & 3)
        hole = ~(((1 << 8 * part.size) - 1) << shift) & 0xFFFFFFFF
        kept = self._add("INT_AND", 4, whole, Var(CONST, hole, 4))
        wide = self._add("INT_ZEXT", 4, value)
        if shift:
            wide = self._add("INT_LEFT", 4, wide, Var(CONST, shift, 4))
        return self._add("INT_OR", 4, kept, wide)


def _inner_targets(ops: tuple[Op, ...]) -> set[int]:
    """Return which operations a branch of the same instruction leads to."""
    return {
        at + signed(op.ins[0].offset, op.ins[0].size)
        for at, op in enumerate(ops)
        if op.code in BRANCHES and op.ins[0].space == CONST
    }
