"""Small instruction sets: one that can be virtualized, and what one instruction does to it (S17).

- **third-generation**: loads a PSW, tells a real address and halts only in supervisor mode, as the
  IBM 360/67, which CP-67 virtualized.
- **jrst**: has `jrst` too, which returns to user mode and does not trap there, as JRST 1 of the
  DEC PDP-10. It is the paper's example of a machine that has a hybrid monitor and no other.
- **open-mode**: `mode` tells who asks in which mode it runs, without a trap.
- **open-lra**: `lra` does not trap in user mode, so that a program sees where it really lies, as by
  SGDT of the i386.

A set is a tuple of `Instruction`; make one of your own and ask `virtlab.machine.theorem.classify`
about it.

Source: Popek and Goldberg 1974, sections 3 and 6; the sets are ours.
"""

from __future__ import annotations

from virtlab.machine.theorem.machine import (
    USER,
    WORDS,
    Computer,
    Instruction,
    Psw,
    Trap,
    word_of,
)
from virtlab.validate import InvalidInputError, one_of

__all__ = ["SETS", "assembled", "disassembled"]


def _set(machine: Computer, a: int, b: int) -> None:
    machine.store(a, b)


def _move(machine: Computer, a: int, b: int) -> None:
    machine.store(a, machine.load(b))


def _add(machine: Computer, a: int, b: int) -> None:
    machine.store(a, machine.load(a) + machine.load(b))


def _jump(machine: Computer, a: int, _b: int) -> Psw:
    return machine.psw._replace(counter=a)


def _jump_if_zero(machine: Computer, a: int, b: int) -> Psw | None:
    return machine.psw._replace(counter=b) if machine.load(a) == 0 else None


def _call(_machine: Computer, _a: int, _b: int) -> None:
    raise Trap("call")


def _load_psw(machine: Computer, a: int, _b: int) -> Psw:
    mode, *rest = (machine.load(a + part) for part in range(4))
    return Psw(mode & 1, *rest)


def _load_real_address(machine: Computer, a: int, b: int) -> None:
    machine.store(a, machine.psw.base + b)


def _halt(machine: Computer, _a: int, _b: int) -> None:
    machine.halted = True


def _return_to_user(machine: Computer, a: int, _b: int) -> Psw:
    return machine.psw._replace(mode=USER, counter=a)


def _tell_mode(machine: Computer, a: int, _b: int) -> None:
    machine.store(a, machine.psw.mode)


_INNOCUOUS = (
    Instruction("set", _set, says="E[a] = b"),
    Instruction("move", _move, says="E[a] = E[b]"),
    Instruction("add", _add, says="E[a] = E[a] + E[b]"),
    Instruction("jump", _jump, says="go to a"),
    Instruction("jz", _jump_if_zero, says="go to b if E[a] is 0"),
    Instruction("call", _call, says="trap: ask the control program"),
)
_LPSW = Instruction("lpsw", _load_psw, privileged=True, says="PSW = E[a..a+3]")
_LRA = Instruction("lra", _load_real_address, privileged=True, says="E[a] = real address of b")
_HALT = Instruction("halt", _halt, privileged=True, says="stop")
_BASE = (*_INNOCUOUS, _LPSW, _LRA, _HALT)
_OPEN_LRA = Instruction("lra", _load_real_address, says=_LRA.says)

SETS: dict[str, tuple[Instruction, ...]] = {
    "third-generation": _BASE,
    "jrst": (*_BASE, Instruction("jrst", _return_to_user, says="to user mode, go to a")),
    "open-mode": (*_BASE, Instruction("mode", _tell_mode, says="E[a] = mode")),
    "open-lra": (*_INNOCUOUS, _LPSW, _OPEN_LRA, _HALT),
}


def assembled(text: str, name: str = "third-generation") -> list[int]:
    """Write a program as words.

    Parameters
    ----------
    text
        Instructions with up to two operands, separated by ';'. A number alone is a word.
    name
        Of the set.

    Returns
    -------
    list of int
        A word each.

    Raises
    ------
    InvalidInputError
        If the set has no such instruction, or an operand is none.

    Examples
    --------
    >>> assembled("set 20 5; 1; halt")
    [5381, 1, 36864]
    """
    names = [instruction.name for instruction in SETS[one_of("name", name, tuple(SETS))]]
    words = []
    for line in text.split(";"):
        word, *operands = line.split() or [""]
        if not all(part.isdecimal() and int(part) < 64 for part in operands) or len(operands) > 2:
            raise InvalidInputError("text", line.strip(), "a name and two numbers of 0 to 63")
        if word.isdecimal():
            words.append(int(word) % WORDS)
            continue
        code = names.index(one_of("text", word, tuple(names))) + 1
        words.append(word_of(code, *map(int, operands)))
    return words


def disassembled(words: list[int], name: str = "third-generation") -> str:
    """Write words as a program; what is no instruction stays a number.

    Parameters
    ----------
    words
        As they stand in storage.
    name
        Of the set.

    Returns
    -------
    str
        As `assembled` takes it.

    Examples
    --------
    >>> disassembled(assembled("set 20 5; 1; halt"))
    'set 20 5; 1; halt 0 0'
    """
    instructions = SETS[one_of("name", name, tuple(SETS))]
    lines = []
    for word in words:
        code, operands = divmod(word, 4096)
        known = 0 < code <= len(instructions)
        text = f"{instructions[code - 1].name} {operands >> 6} {operands & 63}" if known else word
        lines.append(str(text))
    return "; ".join(lines)
