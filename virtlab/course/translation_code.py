"""How code is judged in chapter 04: passes, policies and bytes that run on the guest computer."""

from __future__ import annotations

import random
import struct
from functools import cache
from typing import TYPE_CHECKING, Any

from virtlab.course.rings_code import bytes_or_hint
from virtlab.machine.computer import Computer
from virtlab.machine.guests import guest, kernel
from virtlab.machine.image import load
from virtlab.machine.pcode import COMPUTED, CONST, UNIQUE, Op, Var
from virtlab.machine.registers import SIZE
from virtlab.machine.translation.cache import (
    Policy,
    TranslationCache,
    Unit,
    flush_all,
    least_used,
    oldest,
)
from virtlab.machine.translation.heat import HOT
from virtlab.machine.translation.passes import ESX, Passes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pandas as pd

    from virtlab.machine.translation.lifting import Graph

__all__ = [
    "LIMIT",
    "apply",
    "changing_loop",
    "known",
    "simplified",
    "translations_with",
    "try_policy",
    "try_simpler",
    "try_surprise",
]

LIMIT = 22  # translations that the cache of the exercise holds
_INSTRUCTIONS = 20_000  # of the kernel, for the exercise on policies
_LOADED = 0x100000  # where a computer puts code
_X, _Y = Var(UNIQUE, -1, 4), Var(UNIQUE, -2, 4)
_OUT = Var(UNIQUE, -3, 4)
_SAME = ("INT_XOR", "INT_AND", "INT_OR", "INT_SUB")  # of a value and itself: less than that


# --- a pass --------------------------------------------------------------------------------------


def apply(simpler: Callable[[Op], Op]) -> Passes:
    """Make passes of which one replaces operations, each by itself.

    Parameters
    ----------
    simpler
        Takes an operation and returns one that does the same.

    Returns
    -------
    Passes
        For `Computer`, and for a listing.

    Examples
    --------
    >>> apply(lambda op: op).own({})
    {}
    """

    def own(graph: Graph) -> Graph:
        for node in graph.values():
            node.ops = [simpler(op) for op in node.ops]
        return graph

    return Passes(own=own)


def simplified(op: Op) -> Op:
    """Simplify an operation on a value and itself: the solution of the exercise.

    Parameters
    ----------
    op
        In single assignment form.

    Returns
    -------
    Op
        A copy where that does the same.

    Examples
    --------
    >>> print(simplified(Op("INT_XOR", _OUT, (_X, _X))))
    t-3 = COPY 0x0
    >>> print(simplified(Op("INT_AND", _OUT, (_X, _X))))
    t-3 = COPY t-1
    """
    if op.code in _SAME and op.ins[0] == op.ins[1]:
        is_zero = op.code in ("INT_XOR", "INT_SUB")
        return Op("COPY", op.out, (Var(CONST, 0, op.result.size) if is_zero else op.ins[0],))
    return op


def try_simpler(simpler: Callable[[Op], Any]) -> str | None:
    """Put a student's pass into the translator, and run programs through it.

    Parameters
    ----------
    simpler
        Takes an operation and returns one that does the same.

    Returns
    -------
    str or None
        A hint; None if nothing changed but the operations that should.

    Examples
    --------
    >>> try_simpler(simplified)
    >>> try_simpler(lambda op: op)
    't-3 = INT_AND t-1, t-1 is still INT_AND: what is it, whatever the value?'
    """
    hint = _wrong_alone(simpler)
    if hint is None:
        for name in ("isprime", "shellsort"):
            ended = _ended(name, Passes()), _ended(name, apply(simpler))
            if ended[0] != ended[1]:
                return f"With your pass `{name}` ends in another state than without."
    return hint


def _wrong_alone(simpler: Callable[[Op], Any]) -> str | None:
    """Try operations one by one: each must compute the same, and some be simpler."""
    rng = random.Random(4)
    for code in sorted(set(COMPUTED) - {"SUBPIECE"}):
        for ins in ((_X, _X), (_X, _Y), (_X, Var(CONST, 0, 4))):
            op = Op(code, _OUT, ins)
            made = simpler(op)
            if not isinstance(made, Op):
                return f"For {op} it returned {type(made).__name__}; an `Op` is wanted."
            if made.out != op.out:
                return f"{op} became {made}: the result has to go to the same place."
            if made != op:
                hint = _differs(op, made, rng)
                if hint:
                    return hint
            elif code in _SAME and ins == (_X, _X):
                return f"{op} is still {code}: what is it, whatever the value?"
    return None


def _differs(op: Op, made: Op, rng: random.Random) -> str | None:
    if made.code not in COMPUTED or not set(made.ins) <= {*op.ins, *_constants(made)}:
        return f"{op} became {made}: it has to be made of the same values."
    for _ in range(20):
        values = {var: rng.choice([0, 1, 0x80000000, rng.getrandbits(32)]) for var in (_X, _Y)}
        if "DIV" in op.code or "REM" in op.code:
            values[_Y] = values[_X] = values[_Y] or 7
        try:
            results = [_value(one, values) for one in (op, made)]
        except ZeroDivisionError:
            continue
        if results[0] != results[1]:
            given = ", ".join(f"{values.get(var, var.offset):#x}" for var in op.ins)
            said = f"With {given} the one is {results[0]:#x}, the other {results[1]:#x}."
            return f"{op} became {made}. {said}"
    return None


def _constants(op: Op) -> set[Var]:
    return {var for var in op.ins if var.space == CONST}


def _value(op: Op, values: dict[Var, int]) -> int:
    ins = tuple(values.get(var, var.offset) for var in op.ins)
    return int(COMPUTED[op.code](ins, op.ins[0].size, op.result.size)) & 0xFFFFFFFF


def _ended(name: str, passes: Passes) -> tuple[object, ...]:
    """Run a small program with some passes; return all that can be seen at its end."""
    computer = Computer(16, history=0, tier="wasm", passes=passes)
    assert computer.translator is not None  # noqa: S101 - it was made so
    computer.translator.heat.hot = 1
    computer.load(load(guest(name).path(), 16 << 20))
    run = computer.run(400_000)
    return run.output, run.instructions, bytes(computer.processor.registers.data[:SIZE])


# --- a policy ------------------------------------------------------------------------------------


def translations_with(policy: Policy, limit: int = LIMIT) -> int:
    """Return how many translations the small kernel takes with a policy, in a small cache.

    Parameters
    ----------
    policy
        Chooses what has to go when the cache is full.
    limit
        How many translations it holds.

    Returns
    -------
    int
        Fewer are better: each but the first of a piece of code is work done again.

    Examples
    --------
    >>> translations_with(oldest, limit=4096) < translations_with(oldest)
    True
    """
    computer = Computer(4, history=0, tier="wasm", passes=ESX)
    translator = computer.translator
    assert translator is not None  # noqa: S101 - it was made so
    translator.heat.hot, translator.cache = 1, TranslationCache(limit, policy)
    translator.attach(computer)
    computer.load(load(kernel(), 4 << 20))
    computer.run(_INSTRUCTIONS)
    return translator.cache.counts["translations"]


@cache
def changing_loop(turns: int) -> pd.DataFrame:
    """Run a loop that adds to a number in its own code, in each turn.

    Parameters
    ----------
    turns
        Of the loop, of five instructions.

    Returns
    -------
    pandas.DataFrame
        A row for a translator that translates whatever it sees, and one for ours, which waits
        longer after each change: its translations, and the guest's instructions that ran
        translated and in all.

    Examples
    --------
    >>> changing_loop(turns=40)["translations"].tolist()
    [40, 4]
    """
    import pandas as pd

    code = b"\xb9" + struct.pack("<I", turns)  # mov ecx
    begin = len(code)
    code += b"\xff\x05" + struct.pack("<I", _LOADED + begin + 7)  # inc: the next one's number
    code += b"\xb8" + struct.pack("<I", 0) + bytes.fromhex("01c3 49")  # mov eax; add ebx; dec ecx
    code += b"\x75" + struct.pack("b", begin - len(code) - 2) + b"\xf4"  # jnz; hlt
    rows = {}
    for name, hot in (("at once", 1), ("when it is worth it", HOT)):
        computer = Computer(2, history=0, tier="wasm")
        translator = computer.translator
        if translator is None:
            raise RuntimeError("a tier that translates has a translator")
        translator.heat.hot = hot
        computer.load_code(code)
        rows[name] = {
            "instructions": computer.run().instructions,
            "translated": translator.counts["instructions"],
            "translations": translator.cache.counts["translations"],
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def known() -> dict[str, int]:
    """Return how many translations the policies take that are there already.

    Returns
    -------
    dict
        By name.

    Examples
    --------
    >>> counts = known()
    >>> counts["least_used"] < counts["oldest"] < counts["flush_all"]
    True
    """
    rules = {"flush_all": flush_all, "oldest": oldest, "least_used": least_used}
    return {name: translations_with(rule) for name, rule in rules.items()}


def try_policy(policy: Callable[[Sequence[Unit]], Any]) -> str | None:
    """Run the small kernel with a student's policy in a cache that is too small for it.

    Parameters
    ----------
    policy
        Takes what is in the cache, returns what has to go.

    Returns
    -------
    str or None
        A hint; None if it takes fewer translations than throwing the oldest quarter away.

    Examples
    --------
    >>> try_policy(least_used) is None, try_policy(lambda units: units[:0])
    (True, 'It returned nothing: something has to go.')
    """
    problem = ""

    def watched(units: Sequence[Unit]) -> Sequence[Unit]:
        nonlocal problem
        gone = policy(units)
        found = list(gone) if isinstance(gone, list | tuple) else []
        if not isinstance(gone, list | tuple):
            problem = f"It returned {type(gone).__name__}; a list of units is wanted."
        elif not found:
            problem = "It returned nothing: something has to go."
        elif any(one not in units for one in found):
            problem = "It returned what is not in the cache."
        elif len({one.key for one in found}) < len(found):
            problem = "It returned a unit twice."
        return list(units) if problem else found

    made, bar = translations_with(watched), known()["oldest"]
    if problem:
        return problem
    if made >= bar:
        return f"The kernel took {made:,} translations; with `oldest` it takes {bar:,}."
    return None


# --- code that changes itself --------------------------------------------------------------------


def try_surprise(write: Callable[[], Any], most: int = 40) -> str | None:
    """Run a student's bytes where writes on code are noticed, and where they are not.

    Parameters
    ----------
    write
        Returns machine code that ends with `hlt`.
    most
        Bytes it may have.

    Returns
    -------
    str or None
        A hint; None if a cache that notices nothing leaves another number in EAX.

    Examples
    --------
    >>> print(try_surprise(lambda: "b8 01000000 f4"))
    EAX is 0x1 either way: nothing was translated, changed, and run again.
    """
    code = bytes_or_hint(write(), most)
    if isinstance(code, str):
        return code
    right = _eax(code, "interpreter")
    if isinstance(right, str):
        return right
    noticing, blind = _eax(code, "wasm"), _eax(code, "wasm", blind=True)
    if noticing != right:
        return "The translator and the interpreter differ: you have found a mistake of ours."
    if blind == right:
        return f"EAX is {right:#x} either way: nothing was translated, changed, and run again."
    return None


def _eax(code: bytes, tier: str, *, blind: bool = False) -> int | str:
    """Run code from 0x1000; return EAX at its end, or why it has none."""
    computer = Computer(2, history=0, tier=tier, passes=ESX)
    computer.load_code(code)
    if computer.translator is not None:
        computer.translator.heat.hot = 1
        if blind:
            computer.memory.on_guarded = _do_nothing
            vars(computer.translator.tlb)["guard"] = _do_nothing  # writes go straight to RAM
    run = computer.run(20_000)
    if run.ended != "halted" and not blind:
        how = run.explain().partition("; ")[2]
        return f"It does not come to `hlt`: after {run.instructions:,} instructions {how}"
    return int(computer.processor.registers["EAX"]) if run.ended == "halted" else -1


def _do_nothing(*_what: object) -> None:
    """Notice nothing."""
