"""One cell of the table of rings: what was before, what is after, and who does otherwise (S17).

`virtlab.machine.rings` runs all instructions at all rings. Here one of them is chosen, and held
beside what it does at ring 0, which is what a guest's kernel counts on; the table is held beside
others: Unicorn, which many build on; a real processor, which has UMIP; a repaired i386.

Sources: those of `virtlab.machine.rings`; `data/README.md` for the measured ones.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING

from virtlab.datasets import ring3_native, rings_unicorn
from virtlab.machine.probes import PROBES, named
from virtlab.machine.rings import RingTable, ring_table
from virtlab.machine.segments import Table
from virtlab.results import Result
from virtlab.validate import integer, one_of

if TYPE_CHECKING:
    import pandas as pd

    from virtlab.machine.tried import Outcome

__all__ = ["BESIDE", "RingChoice", "SmallTable", "choose", "differences", "small_table"]

BESIDE = ("ours alone", "Unicorn", "a real processor", "a repaired i386")
_ALWAYS = ("IF", "IOPL", "ring")
_WORDS = {"eip": "EIP", "cr0": "CR0", "cr3": "CR3", "gdtr": "GDTR", "idtr": "IDTR", "tr": "TR"}
_SAYS = {"works": "as at ring 0", "faults": "traps", "differs": "something else, no trap"}


@dataclass(frozen=True)
class RingChoice(Result):
    """An instruction at a ring, in the table of its IOPL.

    Attributes
    ----------
    table
        All of it.
    name, ring, iopl
        Which is chosen.
    beside
        Whose table it is held against: one of `BESIDE`.

    Examples
    --------
    >>> print(choose("popf", 1).explain())
    popf, IF = 0 at ring 1 with IOPL 0 does not trap, and does not do what it does at ring 0: IF \
is 1, at ring 0 it is 0.
    >>> choose("lgdt", 1).summary()["outcome"]
    'traps'
    """

    table: RingTable = field(repr=False)
    name: str
    ring: int
    iopl: int
    beside: str = BESIDE[0]

    @property
    def outcome(self) -> Outcome:
        """What it did."""
        return self.table.outcomes[self.name, self.ring, self.iopl]

    @property
    def top(self) -> Outcome:
        """What it does at ring 0."""
        return self.table.outcomes[self.name, 0, self.iopl]

    @property
    def kind(self) -> str:
        """'works', 'faults' or 'differs', held against ring 0."""
        return self.table.cell(self.name, self.ring, self.iopl)

    def to_frame(self) -> pd.DataFrame:
        """Return what it changed, and the flags that count: before, after, after it at ring 0."""
        import pandas as pd

        here, top = self.outcome, self.top
        keys = [
            key
            for key in here.before
            if key in _ALWAYS or here.after[key] != here.before[key] or _lost(here, top, key)
        ]
        rows = [
            (
                _WORDS.get(key, key),
                _say(here.before[key]),
                _say(here.after[key]),
                _say(top.after[key]),
            )
            for key in keys
        ]
        return pd.DataFrame(rows, columns=["what", "before", "after", "after, at ring 0"])

    def summary(self) -> dict[str, float | int | str]:
        """Return what is chosen, what it did, and in how many cells the other table differs."""
        return {
            "instruction": self.outcome.probe.text,
            "ring": self.ring,
            "iopl": self.iopl,
            "outcome": _SAYS[self.kind],
            "fault": self.outcome.fault,
            "beside": self.beside,
            "cells_that_differ": len(differences(self.beside, self.iopl)),
        }

    def explain(self) -> str:
        """Say what it does there, and what another does."""
        here = self.outcome
        head = f"{here.probe.text} at ring {self.ring} with IOPL {self.iopl}"
        return f"{head} {self._said(here)}{self._other()}"

    def _said(self, here: Outcome) -> str:
        if self.kind == "faults":
            why = f": {here.why}" if here.why else ""
            return f"traps ({here.fault}{why}): a monitor hears of it, and can do what was meant."
        if self.kind == "differs":
            return f"does not trap, and does not do what it does at ring 0: {self._lie(here)}."
        if self.ring and self.table.sensitive(self.name)[1]:
            return (
                "does not trap: it works as at ring 0, and what it tells depends on the machine "
                "below the guest."
            )
        if here.fault:
            return f"faults ({here.fault}), as it does at ring 0."
        return "does what it does at ring 0." if self.ring else "does what it is for."

    def _lie(self, here: Outcome) -> str:
        top = self.top
        lost = [
            key
            for key in here.before
            if key not in ("ring", "memory") and here.after[key] != top.after[key]
            if here.after[key] != here.before[key] or top.after[key] != top.before[key]
        ]
        flags = [key for key in lost if key in ("IF", "IOPL")]
        told = [
            f"{key} is {_say(here.after[key])}, at ring 0 it is {_say(top.after[key])}"
            for key in (flags or lost)
        ]
        return "; ".join(told[:3]) or "it stays at its ring"

    def _other(self) -> str:
        if self.beside == BESIDE[0]:
            return ""
        found = differences(self.beside, self.iopl).get((self.name, self.ring))
        if found is None:
            return f" So it is with {self.beside}{self._asked()}."
        return f" With {self.beside} it is otherwise: {found}."

    def _asked(self) -> str:
        return " at ring 3" if self.beside == BESIDE[2] else ""


def _lost(here: Outcome, top: Outcome, key: str) -> bool:
    """Return whether it would have changed at ring 0, and did not here."""
    changes = top.after[key] != top.before[key]
    return not here.fault and changes and here.after[key] == here.before[key]


def _say(value: object) -> str:
    """Write a value as a person reads it."""
    if isinstance(value, Table):
        return f"{value.base:#x}, limit {value.limit:#x}"
    if isinstance(value, bool) or not isinstance(value, int):
        return _say_many(value)
    return str(value) if value < 10 else f"{value:#x}"


def _say_many(value: object) -> str:
    if isinstance(value, tuple):
        return " ".join(map(_say, value)) or "nothing"
    return str(value)


def choose(name: str, ring: int = 3, iopl: int = 0, beside: str = BESIDE[0]) -> RingChoice:
    """Choose a cell of the table of rings.

    Parameters
    ----------
    name
        Of a probe, such as 'popf'.
    ring, iopl
        Where, 0 to 3.
    beside
        One of `BESIDE`.

    Returns
    -------
    RingChoice
        The cell.

    Raises
    ------
    InvalidInputError
        If there is no such instruction, ring, IOPL or table.

    Examples
    --------
    >>> choose("in", 3, beside="Unicorn").explain().split(". ")[-1]
    'With Unicorn it is otherwise: no trap, where ours traps.'
    """
    named(name)
    integer("ring", ring, minimum=0, maximum=3)
    integer("iopl", iopl, minimum=0, maximum=3)
    return RingChoice(ring_table(), name, ring, iopl, one_of("beside", beside, BESIDE))


@cache
def differences(beside: str, iopl: int) -> dict[tuple[str, int], str]:
    """Return the cells of a table that are otherwise elsewhere, and how.

    Parameters
    ----------
    beside
        One of `BESIDE`.
    iopl
        Of which table.

    Returns
    -------
    dict
        Words by instruction and ring. A real processor was asked at ring 3 with IOPL 0 only.

    Examples
    --------
    >>> sorted({name for name, _ in differences("a real processor", 0)})
    ['sgdt', 'sidt', 'sldt', 'smsw', 'str']
    >>> sorted({name for name, _ in differences("Unicorn", 0)})
    ['in', 'ins', 'int 0x80', 'int 0x81', 'out', 'outs']
    """
    ours = ring_table()
    found: dict[tuple[str, int], str] = {}
    for name, ring, theirs in _theirs(one_of("beside", beside, BESIDE), iopl):
        fault = ours.outcomes[name, ring, iopl].fault.partition("(")[0]
        if fault == theirs.partition("(")[0]:
            continue
        if theirs.startswith("hook"):
            found[name, ring] = "a hook is called, and no gate is looked at"
        elif not theirs:
            found[name, ring] = "no trap, where ours traps"
        elif not fault:
            found[name, ring] = f"it traps ({theirs}), where ours does not"
        else:
            found[name, ring] = f"{theirs}, where ours has {fault}"
    return found


def _theirs(beside: str, iopl: int) -> list[tuple[str, int, str]]:
    """Return name, ring and fault of each cell that another table has."""
    if beside == "Unicorn":
        rows = rings_unicorn()
        rows = rows[rows["iopl"] == iopl]
        return [
            (str(name), int(ring), str(fault))
            for name, ring, fault in zip(rows["name"], rows["ring"], rows["fault"], strict=True)
        ]
    if beside == "a real processor":
        native = ring3_native()
        pairs = zip(native["name"], native["fault"], strict=True)
        return [(str(name), 3, str(fault)) for name, fault in pairs if iopl == 0]
    if beside == "a repaired i386":
        from virtlab.machine.theorem.i386 import repaired

        cells = ring_table(repaired()).outcomes.items()
        return [(name, ring, done.fault) for (name, ring, at), done in cells if at == iopl]
    return []


@dataclass(frozen=True)
class SmallTable(Result):
    """The table of one IOPL, a row for each instruction.

    Attributes
    ----------
    table
        All of it.
    iopl
        Which.

    Examples
    --------
    >>> small_table(0).to_frame().iloc[4].tolist()
    ['pushf', 'as at ring 0', 'as at ring 0', 'as at ring 0', 'as at ring 0', 'yes']
    """

    table: RingTable = field(repr=False)
    iopl: int

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each instruction: what it does at each ring, whether it breaks."""
        import pandas as pd

        broken = self.table.violations()
        rows = [
            (
                probe.text,
                *(_SAYS[self.table.cell(probe.name, ring, self.iopl)] for ring in range(4)),
                "yes" if probe.mnemonic in broken else "no",
            )
            for probe in PROBES
        ]
        rings = [f"ring {ring}" for ring in range(4)]
        return pd.DataFrame(rows, columns=["instruction", *rings, "breaks the theorem"])

    def summary(self) -> dict[str, float | int | str]:
        """Return how many work, trap and differ at each ring, and how many break the theorem."""
        counts: dict[str, float | int | str] = {"iopl": self.iopl, "instructions": len(PROBES)}
        for ring in range(4):
            cells = [self.table.cell(probe.name, ring, self.iopl) for probe in PROBES]
            for kind in ("works", "faults", "differs"):
                counts[f"ring_{ring}_{kind}"] = cells.count(kind)
        return {**counts, "sensitive_not_privileged": len(self.table.violations())}

    def explain(self) -> str:
        """Say how many trap, and what breaks the theorem."""
        told = self.summary()
        return (
            f"With IOPL {self.iopl}, {told['ring_3_faults']} of {len(PROBES)} instructions trap at "
            f"ring 3, and {told['ring_1_faults']} at ring 1; {told['ring_3_differs']} do something "
            f"else at ring 3, and do not trap. {self.table.explain()}"
        )


def small_table(iopl: int = 0) -> SmallTable:
    """Return the table of one IOPL.

    Parameters
    ----------
    iopl
        0 to 3.

    Returns
    -------
    SmallTable
        Of all instructions at all rings.

    Examples
    --------
    >>> small_table(0).summary()["ring_3_faults"]
    26
    """
    return SmallTable(ring_table(), integer("iopl", iopl, minimum=0, maximum=3))
