"""A region's WebAssembly in shorthand, each line with the guest's instruction it is for (S18).

The text format says every detail; a column beside the guest's code has room for what matters.
Here a term is an expression (`ecx + 1`), locals have the names of registers and flags, and three
things that the translator writes again and again are one line each:

    eax = mem32[esp + 4]        look the page up in the TLB; if it is not there ask the VMM; if
                                that cannot be done leave
    if left < 5: leave EMPTY    store all that has changed, and return
    enter: eax, ecx, zf         load what is used

`virtlab.machine.translation.wasm_text` has it in full. Names for numbers are left out.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from virtlab.machine.registers import FLAGS, GENERAL
from virtlab.machine.translation import layout
from virtlab.machine.translation.tiers import DONE, EMPTY, FAULT, SLICE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from virtlab.machine.translation.wasm_read import Function, Module, Term

__all__ = ["Line", "shorthand"]

_BETWEEN = {
    "add": "+", "sub": "-", "mul": "*", "div_u": "/", "div_s": "/s", "rem_u": "%", "rem_s": "%s",
    "and": "&", "or": "|", "xor": "^", "shl": "<<", "shr_u": ">>>", "shr_s": ">>",
    "eq": "==", "ne": "!=", "lt_u": "<", "lt_s": "<s", "gt_u": ">", "gt_s": ">s",
    "le_u": "<=", "le_s": "<=s", "ge_u": ">=", "ge_s": ">=s",
}  # fmt: skip
_REASONS = {DONE: "DONE", FAULT: "FAULT", EMPTY: "EMPTY"}
_FIXED = {
    **{4 * at: name.lower() for at, name in enumerate(GENERAL)},
    **{place[0]: name.lower() for name, place in FLAGS.items()},
    layout.EIP: "eip",
    layout.LEFT: "left",
    layout.RECIPE: "recipe",
    layout.REAL: "real",
    layout.PENDING: "pending",
}
_NAMED, _SHORT = 4096, 4  # no address is less; no way of an access has more statements
_TABLES = {layout.READ_TLB: "tlb", layout.WRITE_TLB: "wtlb", layout.JUMPS: "jumps"}


class Line(NamedTuple):
    """A line of code.

    Attributes
    ----------
    mark
        Address of the guest's instruction that it was made for; -1 if it is for all.
    depth
        How many ifs it stands in.
    text
        What it does.
    """

    mark: int
    depth: int
    text: str


def shorthand(
    module: Module,
    function: Function,
    names: Mapping[int, str],
    where: Callable[[int], str] = hex,
    nodes: Sequence[int] = (),
) -> list[Line]:
    """Write a function in shorthand.

    Parameters
    ----------
    module
        That the function is in.
    function
        As `wasm_read.read_module` gives it, marks and all.
    names
        Of locals, by their numbers.
    where
        Writes an address of the guest.
    nodes
        Addresses of the nodes that a switch chooses from.

    Returns
    -------
    list of Line
        In the order in which they run.

    Examples
    --------
    >>> from virtlab.machine.translation.wasm_read import Function, Module, Term
    >>> def local(number: int) -> Term:
    ...     return Term("local.get", values=(number,))
    >>> one = Term("i32.const", values=(1,))
    >>> less = Term("local.set", (Term("i32.sub", (local(0), one)),), (0,))
    >>> less_too = Term("local.set", (Term("i32.and", (local(1), less.args[0])),), (1,))
    >>> body = (less, less_too, Term("return", (Term("i32.const", values=(0,)),)))
    >>> lines = shorthand(Module(), Function((), ("i32",), ("i32", "i32"), body), {0: "ecx"})
    >>> [line.text for line in lines]
    ['ecx -= 1', 't1 &= (ecx - 1)', 'return 0']
    """
    writer = _Writer(module, function, names, where)
    writer.nodes = nodes
    return list(writer.lines(function.body, 0, []))


class _Writer:
    """Writes the terms of one function."""

    def __init__(
        self,
        module: Module,
        function: Function,
        names: Mapping[int, str],
        where: Callable[[int], str],
    ) -> None:
        self.module, self.names, self.where = module, names, where
        self.uses = Counter(
            term.values[0] for term in _all(function.body) if term.name == "local.get"
        )
        self.nodes: Sequence[int] = ()
        self.inlined: dict[int, Term] = {}
        self.copies = _copies(function.body, names)

    # --- expressions ------------------------------------------------------------------------------

    def local(self, number: int) -> str:
        return self.names.get(number, f"t{number}")

    def expression(self, term: Term, *, inner: bool = False) -> str:
        """Write what a term computes, in brackets if it stands within another."""
        name = term.name.partition(".")[2]
        if term.name == "local.get":
            number = term.values[0]
            known = self.inlined.get(number) or self.copies.get(number)
            words = self.expression(known, inner=inner) if known else self.local(number)
        elif name == "const":
            number = term.values[0]
            is_bits = term.name == "i32.const" and number < -_NAMED
            words = hex(number & 0xFFFFFFFF if is_bits else number)
            words = str(number) if abs(number) < _NAMED else words
        elif ".load" in term.name:
            words = self._place(term)
        elif name in _BETWEEN:
            both = f" {_BETWEEN[name]} ".join(self.expression(one, inner=True) for one in term.args)
            words = f"({both})" if inner else both
        elif term.name == "if":
            words = self._choice(term, inner=inner)
        else:
            words = self._applied(term, inner=inner)
        return words

    def _applied(self, term: Term, *, inner: bool) -> str:
        """Write what is no operator between two."""
        name = term.name.partition(".")[2] or term.name
        if name == "eqz":
            return f"!{self.expression(term.args[0], inner=True)}"
        if name == "tee":
            return f"({self.local(term.values[0])} = {self.expression(term.args[0])})"
        if name.startswith(("wrap", "extend_i32_u")):
            return self.expression(term.args[0], inner=inner)
        if term.name in ("call", "return_call"):
            name = self.module.functions[term.values[0]].name
        elif name.startswith("extend"):
            name = "signed"
        return f"{name}({', '.join(map(self.expression, term.args))})"

    def address(self, term: Term) -> str:
        """Write what is an address: by its name, if it has one."""
        if term.name == "i32.const" and abs(term.values[0]) >= _NAMED:
            return self.where(term.values[0] & 0xFFFFFFFF)
        return self.expression(term)

    def _choice(self, term: Term, *, inner: bool) -> str:
        yes, no = (self.expression(body[-1], inner=True) for body in term.bodies)
        given = self.expression(term.args[0], inner=True)
        words = f"{given} || {no}" if yes == "1" else f"{given} ? {yes} : {no}"
        return f"({words})" if inner else words

    def _place(self, term: Term) -> str:
        """Write which memory is meant: a fixed place of the machine, a table, or RAM."""
        base, offset = term.args[0], term.values[0]
        if base.name == "i32.const":
            at = base.values[0] + offset
            kept = f"kept[{(at - layout.KEPT) // 8}]"
            return f"vm.{_FIXED.get(at, kept if at >= layout.KEPT else hex(at))}"
        for start, name in _TABLES.items():
            if offset in (start, start + 4):
                what = "page" if offset == start else "add"
                return f"{name}.{what}[{self.expression(base)}]"
        plus = f" + {offset}" if offset else ""
        return f"mem{_bits(term)}[{self.address(base)}{plus}]"

    # --- statements -------------------------------------------------------------------------------

    def lines(self, body: Sequence[Term], depth: int, around: list[int]) -> Iterator[Line]:
        """Write statements; `around` has where each block around them leads."""
        at = 0
        while at < len(body):
            end = _end_of_leaving(body, at)
            access = _access_after(body, at, self.uses)
            if end > at:
                yield Line(body[at].mark, depth, self._leave(body[at:end]))
                at = end
            elif access is not None and access < len(body):
                yield self._access(body[at:access], body[access], depth)
                at = access + 1
            elif _enters(body[at]):
                last = next((k for k in range(at, len(body)) if not _enters(body[k])), len(body))
                cells = [self.local(one.values[0]) for one in body[at:last]]
                yield Line(body[at].mark, depth, f"enter: {', '.join(cells)}")
                at = last
            elif self._chooses(body[at]):
                to = self.nodes[body[at].args[0].values[0]]
                yield Line(body[at].mark, depth, f"goto {self.where(to)}")
                at += 2
            else:
                yield from self._statement(body, at, depth, around)
                at += 1

    def _chooses(self, term: Term) -> bool:
        """Return whether a statement says which node a switch is to take; a jump follows."""
        return bool(
            self.nodes and term.name == "local.set" and self.local(term.values[0]) == "next"
        )

    def _statement(
        self, body: Sequence[Term], at: int, depth: int, around: list[int]
    ) -> Iterator[Line]:
        term = body[at]
        if term.name == "block":
            after = _first_mark(body[at + 1 :])
            yield from self.lines(term.bodies[0], depth, [after, *around])
        elif term.name == "loop":
            start = _first_mark(term.bodies[0])
            yield Line(start, depth, f"loop {self.where(start)}:")
            yield from self.lines(term.bodies[0], depth, [start, *around])
        elif term.name == "if":
            yield from self._if(term, depth, [-1, *around])
        elif term.name in ("br", "br_if"):
            to = around[term.values[0]] if term.values[0] < len(around) else -1
            when = f"if {self.expression(term.args[0])}: " if term.args else ""
            yield Line(term.mark, depth, f"{when}goto {self.where(to) if to >= 0 else 'next'}")
        elif term.name != "unreachable" and not self._is_copy(term):
            yield Line(term.mark, depth, self._simple(term))

    def _is_copy(self, term: Term) -> bool:
        return term.name == "local.set" and term.values[0] in self.copies

    def _simple(self, term: Term) -> str:
        if term.name == "local.set":
            return _shortest(self.local(term.values[0]), self.expression(term.args[0]))
        if ".store" in term.name:
            return f"{self._place(term)} = {self.expression(term.args[1])}"
        if term.name == "br_table":
            return f"switch {self.expression(term.args[0])}"
        if term.name in ("return", "return_call", "return_call_indirect"):
            return f"return {' '.join(map(self.expression, term.args))}".strip()
        return self.expression(term)

    def _if(self, term: Term, depth: int, around: list[int]) -> Iterator[Line]:
        condition = self.expression(term.args[0])
        yes = list(self.lines(term.bodies[0], depth + 1, around))
        no = list(self.lines(term.bodies[1], depth + 1, around)) if len(term.bodies) > 1 else []
        if len(yes) == 1:
            yield Line(term.mark, depth, f"if {condition}: {yes[0].text}")
        else:
            yield Line(term.mark, depth, f"if {condition}:")
            yield from yes
        if yes and yes[-1].text.startswith(("goto", "leave")):
            yield from (line._replace(depth=line.depth - 1) for line in no)  # all else, then
        elif no:
            yield Line(term.mark, depth, "else:")
            yield from no

    def _leave(self, body: Sequence[Term]) -> str:
        """Write what stores all that has changed, and returns, as one word."""
        why = body[-1].args[0].args[0].args[0]  # which word of the links it returns
        number = why.values[0] if why.name == "i32.const" else -1
        places = [one.args[1] for one in body[:-1] if _fixed(one) == layout.EIP]
        to = f" at {self.address(places[-1])}" if places else ""
        if number > SLICE:
            return f"leave along link {number}{to.replace(' at ', ' to ')}"
        return f"leave {_REASONS.get(number) or self.expression(why)}{to}"

    def _access(self, before: Sequence[Term], term: Term, depth: int) -> Line:
        """Write an access to the guest's memory, which is a look into the TLB first, as one."""
        asked = _all((*before, *term.args))
        self.inlined = {
            one.values[0]: one.args[0] for one in asked if one.name in ("local.set", "local.tee")
        }
        call = next(one for one in term.walk() if one.name == "call")
        asked_for = call.args[0]
        while asked_for.name == "local.get" and asked_for.values[0] in self.inlined:
            asked_for = self.inlined[asked_for.values[0]]
        address = self.address(asked_for)
        hit = next(one for one in term.walk() if _reaches_ram(one))
        place = f"mem{_bits(hit)}[{address}]"
        if ".store" in hit.name:
            text = f"{place} = {self.expression(hit.args[1])}"
        else:
            result = next(
                one for one in term.walk() if one.name == "local.set" and hit in _all(one.args)
            )
            text = f"{self.local(result.values[0])} = {place}"
        self.inlined = {}
        return Line(term.mark, depth, text)


def _all(terms: Sequence[Term]) -> Iterator[Term]:
    return (one for term in terms for one in term.walk())


def _bits(term: Term) -> int:
    """Return how many bits a load or a store moves."""
    kind, _, name = term.name.partition(".")
    digits = name.removeprefix("load").removeprefix("store").partition("_")[0]
    return int(digits or kind[1:])


def _shortest(name: str, value: str) -> str:
    first, _, rest = value.partition(" ")
    sign, _, more = rest.partition(" ")
    if first == name and sign in ("+", "-", "&", "|", "^", "<<", ">>", ">>>"):
        return f"{name} {sign}= {more}"
    return f"{name} = {value}"


def _fixed(term: Term) -> int:
    """Return which fixed place a statement stores to; -1 if to none."""
    if ".store" not in term.name or term.args[0].name != "i32.const":
        return -1
    return term.args[0].values[0] + term.values[0]


def _copies(body: Sequence[Term], names: Mapping[int, str]) -> dict[int, Term]:
    """Return the locals without a name that are a number, or another local that never changes."""
    sets = [one for one in _all(body) if one.name in ("local.set", "local.tee")]
    times = Counter(one.values[0] for one in sets)
    return {
        one.values[0]: one.args[0]
        for one in sets
        if one.values[0] not in names
        and times[one.values[0]] == 1
        and (
            one.args[0].name.endswith("const")
            or (one.args[0].name == "local.get" and times[one.args[0].values[0]] == 1)
        )
    }


def _enters(term: Term) -> bool:
    """Return whether a statement loads a cell when a function is entered."""
    if term.name != "local.set" or ".load" not in term.args[0].name:
        return False
    return term.args[0].args[0].name == "i32.const"


def _end_of_leaving(body: Sequence[Term], at: int) -> int:
    """Return where statements end that store what has changed and return; `at` if they do not."""
    end = at
    while end < len(body) and _fixed(body[end]) >= 0:
        end += 1
    leaves = [one.name for one in body[end : end + 1]] == ["return"]
    return end + 1 if leaves and any(_fixed(one) == layout.EIP for one in body[at:end]) else at


def _reaches_ram(term: Term) -> bool:
    if ".load" not in term.name and ".store" not in term.name:
        return False
    return term.values[0] < layout.LINKS and term.args[0].name != "i32.const"


def _access_after(body: Sequence[Term], at: int, uses: Counter[int]) -> int | None:
    """Return where an access to memory is for which the statements from here on only prepare."""
    end = at
    while end < len(body) and body[end].name == "local.set":
        end += 1
    ways = [len(way) for way in body[end].bodies] if end < len(body) else []
    if len(ways) != 2 or max(ways) > _SHORT or body[end].name != "if":
        return None
    within = list(body[end].walk())
    is_one = all(one.mark == body[end].mark for one in within) and any(map(_reaches_ram, within))
    if not is_one or not any(one.name == "call" for one in within):
        return None
    prepared = {one.values[0] for one in body[at:end]}
    within += _all(body[at:end])
    inside = Counter(one.values[0] for one in within if one.name == "local.get")
    return end if all(inside[number] == uses[number] for number in prepared) else None


def _first_mark(terms: Sequence[Term]) -> int:
    return next((one.mark for one in _all(terms) if one.mark >= 0), -1)
