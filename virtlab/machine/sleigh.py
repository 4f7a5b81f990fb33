"""SLEIGH: who knows what the bytes of an instruction mean (S5, S18).

`pypcode` brings Ghidra's SLEIGH and its description of x86. What it says of an instruction are
objects of its own, and to read one of an object's parts takes a tenth of a microsecond; an addition
has a hundred of them. So each is read once, and what is the same for all instructions, the names of
operations and of spaces, is kept.

Source: Ghidra's P-Code Reference Manual; its user-defined operations are those of `ia.sinc`.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from virtlab.machine.pcode import CONST, RAM, REGISTER, UNIQUE, Op, Var
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Words", "disassembled", "errors", "operations"]

_REMEMBERED = 65_536  # numbers that are kept at most
_LANGUAGE = "x86:LE:32:default"
_SPACES = {"const": CONST, "register": REGISTER, "unique": UNIQUE, "ram": RAM}


class Words(NamedTuple):
    """An instruction as an assembler would write it, and its length in bytes."""

    mnemonic: str
    operands: str
    length: int


def _pypcode() -> Any:
    try:
        import pypcode
    except ModuleNotFoundError as error:
        allowed = "installed: the extra virtlab[machine] brings it"
        raise InvalidInputError("pypcode", "missing", allowed) from error
    return pypcode


@cache
def _context() -> Any:
    """Return what knows x86: one for all decoders, for to make it takes a twentieth of a second.

    It keeps nothing of what it has decoded. Its language is looked for where it is: to go through
    the descriptions of all processors takes as long again.
    """
    pypcode = _pypcode()
    try:
        found = f"{pypcode.SPECFILES_DIR}/x86/data/languages/x86.ldefs"
        languages = pypcode.Arch("x86", found).languages
    except FileNotFoundError:
        languages = ()
    mine = [language for language in languages if language.id == _LANGUAGE]
    return pypcode.Context(mine[0] if mine else _LANGUAGE)


def errors() -> tuple[type[Exception], ...]:
    """Return what is raised of bytes that are no instruction.

    Returns
    -------
    tuple
        Classes of exceptions.

    Raises
    ------
    InvalidInputError
        If `pypcode` is not installed.

    Examples
    --------
    >>> [error.__name__ for error in errors()]
    ['LowlevelError', 'UnimplError', 'BadDataError']
    """
    pypcode = _pypcode()
    return pypcode.LowlevelError, pypcode.UnimplError, pypcode.BadDataError


def disassembled(code: bytes, address: int) -> Words:
    """Return an instruction in words.

    Parameters
    ----------
    code
        Its bytes; what follows it does no harm.
    address
        Where it stands.

    Returns
    -------
    Words
        Mnemonic, operands, length.

    Examples
    --------
    >>> disassembled(bytes.fromhex("01d8"), 0)
    Words(mnemonic='ADD', operands='EAX,EBX', length=2)
    """
    found = _context().disassemble(code, address, max_instructions=1).instructions[0]
    return Words(found.mnem, found.body.strip(), found.length)


class _Spaces(dict[Any, int]):
    """Which of our spaces one of SLEIGH's is; its name is asked for once.

    That it is kept here keeps pypcode from making another object for it.
    """

    def __missing__(self, space: Any) -> int:
        number = self[space] = _SPACES[space.name]
        return number


class _Vars(dict[tuple[int, int, int], Var]):
    """Places and numbers: each is made once, which also makes comparing them quick."""

    def __missing__(self, key: tuple[int, int, int]) -> Var:
        if len(self) >= _REMEMBERED:
            self.clear()
        var = self[key] = Var(*key)
        return var


_spaces, _vars = _Spaces(), _Vars()


@cache
def _names() -> dict[int, str]:
    """Return the names of operations, by the identity of what pypcode has for each."""
    return {id(kind): kind.name for kind in _pypcode().OpCode}


def operations(code: bytes, address: int, segment: int) -> list[Op]:
    """Return what an instruction does.

    Parameters
    ----------
    code, address
        As `disassembled` takes them.
    segment
        Of its operand in memory.

    Returns
    -------
    list of Op
        Without marks: SLEIGH says some instructions as two, with a mark between.

    Examples
    --------
    >>> [str(op) for op in operations(bytes.fromhex("89d8"), 0, 3)]  # mov eax, ebx
    ['EAX = COPY EBX']
    """
    names, found = _names(), []
    for raw in _context().translate(code, address, max_instructions=1).ops:
        name = names[id(raw.opcode)]
        if name == "IMARK":
            continue
        inputs, out = raw.inputs, raw.output
        if name in _LONGER:
            name, inputs = _LONGER[name](inputs)
        ins = tuple([_vars[_spaces[one.space], one.offset, one.size] for one in inputs])
        made = None if out is None else _vars[_spaces[out.space], out.offset, out.size]
        found.append(Op(name, made, ins, segment))
    return found


def _user_defined(inputs: list[Any]) -> tuple[str, list[Any]]:
    name = inputs[0].getUserDefinedOpName()
    if name == "segment":  # how SLEIGH says that an address has 16 bits
        return "INT_ZEXT", inputs[2:]
    return name, inputs[1:]


# Of these the first input says more: which operation it is, or which space, and of those there is
# one.
_LONGER: dict[str, Callable[[list[Any]], tuple[str, list[Any]]]] = {
    "CALLOTHER": _user_defined,
    "LOAD": lambda inputs: ("LOAD", inputs[1:]),
    "STORE": lambda inputs: ("STORE", inputs[1:]),
}
