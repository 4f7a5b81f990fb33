"""Instructions that read memory, change what they read and write it back (S17).

SLEIGH says of `or [ebx], 1` that memory is read, written, and read again for each flag. A processor
reads it once, and asks for the right to write already then: so that a page which is missing faults
as a write, and not as a read, and so that of a device no second value is fetched. A kernel that
gives memory out when it is first written to, or copies a page on a write, relies on the first.

Source: Intel SDM, volume 3, section 4.7 ("caused by a write"); what error code a real processor
gives for each such instruction is measured in `tests/machine/test_rewrites.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtlab.machine.pcode import CONST, RAM, UNIQUE, Op, Var

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["changed_place", "read_once"]

_VALUE = 0x100100  # a temporary place that no patch uses


def changed_place(ops: tuple[Op, ...]) -> Var | None:
    """Return the address of what an instruction reads first and writes then.

    Parameters
    ----------
    ops
        What the instruction does.

    Returns
    -------
    Var or None
        A number, or what holds the address at both times; None if there is no such operand.

    Examples
    --------
    >>> from virtlab.machine.pcode import REGISTER
    >>> ebx, value = Var(REGISTER, 12, 4), Var(UNIQUE, 16, 4)
    >>> ops = Op("LOAD", value, (ebx,)), Op("STORE", None, (ebx, value))
    >>> changed_place(ops) == ebx, changed_place(ops[:1])
    (True, None)
    """
    if not any(op.code == "STORE" or (op.out and op.out.space == RAM) for op in ops):
        return None
    read: set[Var] = set()
    for op in ops:
        read.update(_read(op))
        where = _written(op)
        if where in read:
            return where
        if op.out is not None:
            read = {place for place in read if not _overlap(place, op.out)}
    return None


def read_once(ops: tuple[Op, ...], place: Var) -> Iterator[Op]:
    """Read an operand once, as one that will be written.

    Parameters
    ----------
    ops
        What the instruction does.
    place
        What `changed_place` says.

    Returns
    -------
    iterator of Op
        The new operations.

    Examples
    --------
    >>> from virtlab.machine.pcode import REGISTER
    >>> ebx, value, eax = Var(REGISTER, 12, 4), Var(UNIQUE, 16, 4), Var(REGISTER, 0, 4)
    >>> ops = Op("LOAD", value, (ebx,)), Op("STORE", None, (ebx, eax)), Op("LOAD", value, (ebx,))
    >>> for op in read_once(ops, ebx):
    ...     print(op)
    t100100 = LOAD EBX
    t10 = COPY t100100
    STORE EBX, EAX
    t100100 = COPY EAX
    t10 = COPY t100100
    """
    if any(op.code == "CBRANCH" for op in ops):  # it reads once, and places of targets stay
        yield from (op._replace(to_change=True) if place in _read(op) else op for op in ops)
        return
    last = max(at for at, op in enumerate(ops) if place in _read(op))
    known = False
    for at, op in enumerate(ops):
        if known and op.out is not None and _overlap(place, op.out):
            yield from ops[at:]
            return
        if place in _read(op):
            value = Var(UNIQUE, _VALUE, _size(op, place))
            if not known:
                yield Op("LOAD", value, (place,), op.segment, to_change=True)
            known = True
            op = _with_value(op, place, value)  # noqa: PLW2901 - it is what is left of it
        if _written(op) != place:
            yield op
            continue
        stored = op.ins[1] if op.out is None else value
        if op.out is None:
            yield op
        else:
            yield op._replace(out=value)
            yield Op("STORE", None, (place, value), op.segment)
        if at < last and stored != value:
            yield Op("COPY", value, (stored,))


def _read(op: Op) -> set[Var]:
    """Return the addresses that an operation reads at."""
    if op.code == "LOAD":
        return {op.ins[0]}
    if op.code in ("BRANCH", "CBRANCH", "CALL"):
        return set()
    return {Var(CONST, var.offset, 4) for var in op.ins if var.space == RAM}


def _written(op: Op) -> Var | None:
    """Return the address that it writes at."""
    if op.code == "STORE":
        return op.ins[0]
    return Var(CONST, op.out.offset, 4) if op.out and op.out.space == RAM else None


def _size(op: Op, place: Var) -> int:
    """Return how many bytes it reads there."""
    if op.code == "LOAD":
        return op.result.size
    return next(v.size for v in op.ins if v.space == RAM and v.offset == place.offset)


def _with_value(op: Op, place: Var, value: Var) -> Op:
    """Take a value instead of what is in memory."""
    if op.code == "LOAD":
        return Op("COPY", op.out, (value,))
    return op._replace(
        ins=tuple(value if v.space == RAM and v.offset == place.offset else v for v in op.ins)
    )


def _overlap(one: Var, other: Var) -> bool:
    """Return whether to write the second changes the first; a register's parts are in it."""
    if one.space != other.space or one.space == CONST:
        return False
    return one.offset < other.offset + other.size and other.offset < one.offset + one.size
