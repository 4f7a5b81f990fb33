"""Reads WebAssembly back: from a module's bytes to terms (S18).

The translator writes bytes. Whoever wants to know what it made of an instruction needs to read
them. Code of a stack machine becomes **terms** again by running it on a stack of terms instead of
numbers: `local.get 0, i32.const 1, i32.add` is `i32.add(local.get 0, i32.const 1)`. What leaves
nothing on the stack is a statement.

Only what the translator may write is read: whole numbers, memory, calls, control; no floats, no
vectors.

Source: WebAssembly Core Specification 2.0, chapter 5.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["Function", "Module", "Term", "read_module"]

_TESTS = ("eqz", "eq", "ne", "lt_s", "lt_u", "gt_s", "gt_u", "le_s", "le_u", "ge_s", "ge_u")
_NUMBERS = (
    *("clz", "ctz", "popcnt", "add", "sub", "mul", "div_s", "div_u", "rem_s", "rem_u"),
    *("and", "or", "xor", "shl", "shr_s", "shr_u", "rotl", "rotr"),
)
_PLAIN: dict[int, str] = {
    **{0x45 + at: f"i32.{name}" for at, name in enumerate(_TESTS)},
    **{0x50 + at: f"i64.{name}" for at, name in enumerate(_TESTS)},
    **{0x67 + at: f"i32.{name}" for at, name in enumerate(_NUMBERS)},
    **{0x79 + at: f"i64.{name}" for at, name in enumerate(_NUMBERS)},
    0xA7: "i32.wrap_i64",
    0xAC: "i64.extend_i32_s",
    0xAD: "i64.extend_i32_u",
    0xC0: "i32.extend8_s",
    0xC1: "i32.extend16_s",
    0xC2: "i64.extend8_s",
    0xC3: "i64.extend16_s",
    0xC4: "i64.extend32_s",
}
_ONE = ("eqz", "clz", "ctz", "popcnt", "wrap_i64", "extend")
_SIGNED = ("8_s", "8_u", "16_s", "16_u")
_MEMORY = {
    0x28: "i32.load",
    0x29: "i64.load",
    **{0x2C + at: f"i32.load{name}" for at, name in enumerate(_SIGNED)},
    **{0x30 + at: f"i64.load{name}" for at, name in enumerate((*_SIGNED, "32_s", "32_u"))},
    0x36: "i32.store",
    0x37: "i64.store",
    **{0x3A + at: f"i32.store{bits}" for at, bits in enumerate((8, 16))},
    **{0x3C + at: f"i64.store{bits}" for at, bits in enumerate((8, 16, 32))},
}
_BLOCKS = {2: "block", 3: "loop", 4: "if"}
_LOCALS = {0x20: "local.get", 0x21: "local.set", 0x22: "local.tee"}
_GLOBALS = {0x23: "global.get", 0x24: "global.set"}
_TYPES = {0x7F: "i32", 0x7E: "i64"}
_ELSE, _END = 5, 0x0B


@dataclass(frozen=True, slots=True)
class Term:
    """An instruction with what it takes.

    Attributes
    ----------
    name
        As in WebAssembly's text format.
    args
        What it takes from the stack.
    values
        What stands in the code itself: a number, a local, how many blocks to leave.
    bodies
        Of a block, a loop or an if: its statements; of an if also those of its other way.
    mark
        Address of the guest's instruction that it was made for; -1 if nothing says so.

    Examples
    --------
    >>> str(Term("i32.add", (Term("local.get", values=(0,)), Term("i32.const", values=(1,)))))
    '(i32.add (local.get 0) (i32.const 1))'
    """

    name: str
    args: tuple[Term, ...] = ()
    values: tuple[int, ...] = ()
    bodies: tuple[tuple[Term, ...], ...] = ()
    mark: int = field(default=-1, compare=False)

    def __str__(self) -> str:
        """Write it in the text format, on one line."""
        bodies = [" ".join(map(str, body)) for body in self.bodies]
        if self.name == "if":
            bodies = [f"({name} {w})" for name, w in zip(("then", "else"), bodies, strict=False)]
        given = " ".join([self.name, *self.immediates(), *map(str, self.args), *bodies])
        return f"({given})"

    def walk(self) -> Iterator[Term]:
        """Yield it and all within it."""
        todo = [self]
        while todo:
            term = todo.pop()
            yield term
            for body in reversed(term.bodies):
                todo += body[::-1]
            todo += term.args[::-1]

    def immediates(self) -> Iterator[str]:
        """Yield what stands in the code itself, as the text format has it."""
        if ".load" in self.name or ".store" in self.name:
            offset, align = self.values
            yield from ([f"offset={offset}"] if offset else [])
            yield f"align={1 << align}"
        elif "indirect" in self.name:
            yield f"(type {self.values[0]})"
        elif self.bodies:
            yield from (f"(result {_TYPES[kind]})" for kind in self.values)
        else:
            yield from map(str, self.values)


@dataclass(frozen=True)
class Function:
    """A function of a module.

    Attributes
    ----------
    takes, gives
        Types of its parameters and results.
    locals
        Types of its other locals.
    body
        Its statements; none if it is imported.
    name
        What it is imported or exported as.

    Examples
    --------
    >>> Function(("i32",), ("i32",)).takes
    ('i32',)
    """

    takes: tuple[str, ...]
    gives: tuple[str, ...]
    locals: tuple[str, ...] = ()
    body: tuple[Term, ...] = ()
    name: str = ""


@dataclass
class Module:
    """A module, read.

    Attributes
    ----------
    types
        (parameters, results) of each type.
    imports
        In order: (name, what it is in the text format).
    functions
        Imported ones first.

    Examples
    --------
    >>> Module().functions
    []
    """

    types: list[tuple[tuple[str, ...], tuple[str, ...]]] = field(default_factory=list)
    imports: list[tuple[str, str]] = field(default_factory=list)
    functions: list[Function] = field(default_factory=list)


class _Bytes:
    """Bytes, read one after another."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def byte(self) -> int:
        self.at += 1
        return self.data[self.at - 1]

    def number(self, *, signed: bool = False) -> int:
        found, shift = 0, 0
        while True:
            byte = self.byte()
            found |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return found - (1 << shift) if signed and byte & 0x40 else found

    def take(self, size: int) -> bytes:
        self.at += size
        return self.data[self.at - size : self.at]

    def name(self) -> str:
        return self.take(self.number()).decode()

    def types(self) -> tuple[str, ...]:
        return tuple(_TYPES[self.byte()] for _ in range(self.number()))


def read_module(data: bytes) -> Module:
    """Read a module.

    Parameters
    ----------
    data
        All of it.

    Returns
    -------
    Module
        Its functions as terms.

    Raises
    ------
    InvalidInputError
        If it has something that the translator does not write.

    Examples
    --------
    >>> from virtlab.machine.translation.wasm_code import I32, constant, module
    >>> seven = module([((), (I32,))], [], [((), constant(7) + bytes([0x0B]))], of_type=0, first=0)
    >>> print(*read_module(seven).functions[0].body)
    (i32.const 7)
    """
    source, module = _Bytes(data), Module()
    source.take(8)
    kinds: list[int] = []
    exported: dict[int, str] = {}
    while source.at < len(data):
        number, size = source.byte(), source.number()
        section = _Bytes(source.take(size))
        if number == 1:
            module.types = [_signature(section) for _ in range(section.number())]
        elif number == 2:
            for _ in range(section.number()):
                _import(section, module)
        elif number == 3:
            kinds = [section.number() for _ in range(section.number())]
        elif number == 7:
            for _ in range(section.number()):
                name, what, index = section.name(), section.byte(), section.number()
                exported.update({index: name} if what == 0 else {})
        elif number == 10:
            _codes(section, module, kinds, exported)
    return module


def _signature(source: _Bytes) -> tuple[tuple[str, ...], tuple[str, ...]]:
    source.byte()
    return source.types(), source.types()


def _signature_text(takes: Sequence[str], gives: Sequence[str]) -> str:
    words = f" (param {' '.join(takes)})" if takes else ""
    return words + (f" (result {' '.join(gives)})" if gives else "")


def _import(source: _Bytes, module: Module) -> None:
    source.name()
    name, what = source.name(), source.byte()
    if what == 0:
        takes, gives = module.types[source.number()]
        module.functions.append(Function(takes, gives, name=name))
        module.imports.append((name, f"(func ${name}{_signature_text(takes, gives)})"))
        return
    kind = {1: "table", 2: "memory", 3: "global"}[what]
    if kind == "global":
        of_type, changes = _TYPES[source.byte()], source.byte()
        module.imports.append((name, f"(global {f'(mut {of_type})' if changes else of_type})"))
        return
    of_type = " funcref" if kind == "table" and source.byte() else ""
    limits = source.byte()  # whether there is a maximum; whether stores may share it
    bounds = [source.number() for _ in range(1 + (limits & 1))]
    of_type += " shared" if limits & 2 else ""
    module.imports.append((name, f"({kind} {' '.join(map(str, bounds))}{of_type})"))


def _codes(source: _Bytes, module: Module, kinds: list[int], names: dict[int, str]) -> None:
    """Read the code section: the functions are known by then, but not what they do."""
    first = len(module.functions)
    for at, kind in enumerate(kinds):
        takes, gives = module.types[kind]
        module.functions.append(Function(takes, gives, name=names.get(first + at, "")))
    for at in range(source.number()):
        body = _Bytes(source.take(source.number()))
        runs = [(body.number(), _TYPES[body.byte()]) for _ in range(body.number())]
        local_types = tuple(kind for count, kind in runs for _ in range(count))
        known = module.functions[first + at]
        statements = _Reader(body, module).body()[0]
        made = Function(known.takes, known.gives, local_types, statements, known.name)
        module.functions[first + at] = made


class _Reader:
    """Runs code on a stack of terms."""

    def __init__(self, source: _Bytes, module: Module) -> None:
        self.source, self.module, self.mark = source, module, -1

    def body(self) -> tuple[tuple[Term, ...], int]:
        """Read statements up to the end, or to an else; what is left on the stack comes last."""
        stack: list[Term] = []
        done: list[Term] = []
        while True:
            code = self.source.byte()
            if code in (_ELSE, _END):
                return (*done, *stack), code
            term, gives = self._term(code, stack)
            if term.name == "drop" and term.args[0].name == "i32.const":
                self.mark = term.args[0].values[0] & 0xFFFFFFFF
            elif gives:
                stack.append(term)
            else:
                done.append(term)

    def _pop(self, stack: list[Term], count: int) -> tuple[Term, ...]:
        if not count:
            return ()
        taken = tuple(stack[-count:])
        del stack[-count:]
        return taken

    def _made(self, name: str, args: tuple[Term, ...] = (), *values: int) -> Term:
        """Make a term; what is done with a value belongs to the instruction that made it."""
        mark = args[0].mark if name == "local.set" and args else self.mark
        return Term(name, args, values, mark=mark)

    def _term(self, code: int, stack: list[Term]) -> tuple[Term, bool]:
        """Read one instruction; return it, and whether it leaves something on the stack."""
        source = self.source
        if code in _PLAIN:
            count = 1 if _PLAIN[code].partition(".")[2].startswith(_ONE) else 2
            return self._made(_PLAIN[code], self._pop(stack, count)), True
        if code in (0x41, 0x42):
            name = "i32.const" if code == 0x41 else "i64.const"
            return self._made(name, (), source.number(signed=True)), True
        if code in _LOCALS or code in _GLOBALS:
            name = {**_LOCALS, **_GLOBALS}[code]
            args = () if name.endswith("get") else self._pop(stack, 1)
            return self._made(name, args, source.number()), not name.endswith("set")
        if code in _MEMORY:
            name, align, offset = _MEMORY[code], source.number(), source.number()
            is_store = "store" in name
            return self._made(name, self._pop(stack, 1 + is_store), offset, align), not is_store
        if code in _BLOCKS:
            return self._block(_BLOCKS[code], stack)
        return self._control(code, stack)

    def _block(self, name: str, stack: list[Term]) -> tuple[Term, bool]:
        kind, mark = self.source.byte(), self.mark
        args = self._pop(stack, 1) if name == "if" else ()
        first, end = self.body()
        bodies = (first,) if end == _END else (first, self.body()[0])
        has_result = kind in _TYPES
        return Term(name, args, (kind,) if has_result else (), bodies, mark), has_result

    def _control(self, code: int, stack: list[Term]) -> tuple[Term, bool]:
        source = self.source
        if code in (0, 1, 0x0F):
            name = {0: "unreachable", 1: "nop"}.get(code, "return")
            made, gives = (
                self._made(name, self._pop(stack, len(stack[-1:]) * (code == 0x0F))),
                False,
            )
        elif code in (0x0C, 0x0D):
            name, count = ("br", 0) if code == 0x0C else ("br_if", 1)
            made, gives = self._made(name, self._pop(stack, count), source.number()), False
        elif code == 0x0E:
            to = [source.number() for _ in range(source.number() + 1)]
            made, gives = self._made("br_table", self._pop(stack, 1), *to), False
        elif code in (0x1A, 0x1B):
            name, count = ("drop", 1) if code == 0x1A else ("select", 3)
            made, gives = self._made(name, self._pop(stack, count)), name == "select"
        elif 0x10 <= code <= 0x13:
            made, gives = self._call(code, stack)
        else:
            raise InvalidInputError("opcode", hex(code), "one that the translator writes")
        return made, gives

    def _call(self, code: int, stack: list[Term]) -> tuple[Term, bool]:
        returns, name = code >= 0x12, "return_call" if code >= 0x12 else "call"
        index = self.source.number()
        if code & 1:
            table = self.source.number()
            takes, result = self.module.types[index]
            args = self._pop(stack, len(takes) + 1)
            made = self._made(f"{name}_indirect", args, index, table)
        else:
            called = self.module.functions[index]
            takes, result = called.takes, called.gives
            made = self._made(name, self._pop(stack, len(takes)), index)
        return made, bool(result) and not returns
