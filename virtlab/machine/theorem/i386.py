"""The theorem on a real processor: what our i386 is, and one that would be repaired (S17).

What each instruction is comes from `virtlab.machine.rings`: every probe is run at every ring, and
in machines that differ only in what a program should not be able to tell. A mnemonic is what any
of its probes is; it is privileged if all of them are.

`repaired` makes a processor that traps outside ring 0 on each instruction that breaks the theorem.
It is run, not assumed: the table of rings is made again, by that processor.

The i386 is called nearly hybrid: of the instructions that break theorem 1, few are sensitive in
user mode (Bugnion, Nieh, Tsafrir 2017 name SGDT, SIDT, SLDT and SMSW). `user_findings` asks each
at ring 3 which part of the machine it tells about, and finds a few more: `BEYOND_THE_BOOK`.

Source: those of `virtlab.machine.rings`.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

from virtlab.machine.encoding import encoding
from virtlab.machine.faults import Fault
from virtlab.machine.probes import PROBES, Probe, named
from virtlab.machine.processor import Processor
from virtlab.machine.rings import RingTable, ring_table
from virtlab.machine.sensitive import routine_of
from virtlab.machine.theorem.classify import Kind
from virtlab.machine.tried import MOVES, try_instruction

if TYPE_CHECKING:
    from virtlab.machine.decode import Instruction

__all__ = ["BEYOND_THE_BOOK", "BOOK", "kinds", "repaired", "routines_of", "user_findings"]

# The non-privileged instructions that are sensitive in user mode, by Bugnion, Nieh and Tsafrir.
BOOK = frozenset({"SGDT", "SIDT", "SLDT", "SMSW"})
BEYOND_THE_BOOK: dict[str, str] = {
    "STR": "tells the selector of the task state, which is the monitor's; it stands in the lists "
    "of sensitive instructions, and by the definition it is user-sensitive as SLDT is",
    "PUSHF": "tells IF as the host has it; a kernel keeps interrupts on while user code runs, and "
    "so does a monitor, so in practice both read 1",
    "LSL": "tells the limit of the user's own segment, which a monitor cuts short to hide above "
    "it; a monitor that protects itself by paging cuts nothing",
}
# With the ring's own selector: asked about segments that user code has itself.
_OWN = tuple(
    replace(named(f"{name} kernel"), name=f"{name} own", registers={register: -2})
    for name, register in (("lar", "EBX"), ("lsl", "EBX"), ("verr", "EAX"), ("verw", "EAX"))
)


class _Repaired(Processor):
    """A processor that traps outside ring 0 where ours does not."""

    traps: frozenset[str] = frozenset()

    def callout(self, name: str, instruction: Instruction) -> int | None:
        if self.cpl and name in self.traps:
            why = f"{instruction.mnemonic} at ring {self.cpl}; this processor keeps it for ring 0"
            raise Fault(13, 0, why)
        return super().callout(name, instruction)


def routines_of(mnemonics: frozenset[str]) -> frozenset[str]:
    """Return the routines that do some instructions.

    Parameters
    ----------
    mnemonics
        As the probes have them, such as 'PUSH' of a segment register.

    Returns
    -------
    frozenset of str
        As `virtlab.machine.sensitive` names them.

    Examples
    --------
    >>> sorted(routines_of(frozenset({"PUSH", "MOV", "STR"})))
    ['MOVFROMSEG', 'MOVTOSEG', 'PUSHSEG', 'STR']
    """
    found = {
        routine_of(encoding(probe.bytes_at(3))) for probe in PROBES if probe.mnemonic in mnemonics
    }
    return frozenset(routine for routine in found if routine is not None)


@cache
def repaired(mnemonics: frozenset[str] | None = None) -> type[Processor]:
    """Make a kind of processor that traps outside ring 0 on some instructions.

    Parameters
    ----------
    mnemonics
        Which; all that break the theorem, if none are given. Leave one out and see.

    Returns
    -------
    type
        For `ring_table`, `stage` or `try_instruction`.

    Examples
    --------
    >>> try_instruction(named("sgdt"), ring=3, kind=repaired(frozenset({"SGDT"}))).fault
    '#GP(0)'
    """
    if mnemonics is None:
        mnemonics = ring_table().violations()
    return type("Repaired", (_Repaired,), {"traps": routines_of(mnemonics)})


def user_findings(table: RingTable) -> dict[str, tuple[str, ...]]:
    """Say of each mnemonic which part of the machine it tells about, or changes, at ring 3.

    Parameters
    ----------
    table
        Of the processor that is asked.

    Returns
    -------
    dict
        Parts, as `virtlab.machine.tried.MOVES` names them, by mnemonic; only what traps nothing.

    Examples
    --------
    >>> found = user_findings(ring_table())
    >>> found["SGDT"], found["SMSW"], "POPF" in found
    (('GDTR',), ('CR0',), False)
    """
    found: dict[str, set[str]] = {}
    for probe in (*PROBES, *_OWN):
        parts = _told_at_ring_3(probe, table.kind)
        if parts:
            found.setdefault(probe.mnemonic, set()).update(parts)
    return {name: tuple(sorted(parts)) for name, parts in found.items()}


def _told_at_ring_3(probe: Probe, kind: type[Processor]) -> set[str]:
    here = try_instruction(probe, 3, kind=kind)
    if here.fault or here.delivered:  # a trap is what a monitor asks for
        return set()
    parts = {f"changes {part}" for part in here.changed}
    for part in MOVES:
        there = try_instruction(probe, 3, moved=part, kind=kind)
        if there.fault != here.fault or there.seen != here.seen:
            parts.add(part)
    return parts


def kinds(table: RingTable) -> tuple[Kind, ...]:
    """Say of each mnemonic what it is.

    Parameters
    ----------
    table
        Of the processor that is asked, all of it run.

    Returns
    -------
    tuple of Kind
        In the order of the probes.

    Examples
    --------
    >>> by_name = {kind.name: kind for kind in kinds(ring_table())}
    >>> popf = by_name["POPF"]
    >>> popf.sensitive, popf.privileged, popf.user
    (True, False, False)
    """
    at_ring_3 = user_findings(table)
    found = []
    for mnemonic in dict.fromkeys(probe.mnemonic for probe in PROBES):
        names = [probe.name for probe in PROBES if probe.mnemonic == mnemonic]
        both = [table.sensitive(name) for name in names]
        control, behaviour = (any(part) for part in zip(*both, strict=True))
        told = at_ring_3.get(mnemonic, ())
        why = _why(table, names, told) if control or behaviour else ""
        privileged = table.privileged(mnemonic)
        found.append(Kind(mnemonic, privileged, control, behaviour, bool(told), why))
    return tuple(found)


def _why(table: RingTable, names: list[str], told: tuple[str, ...]) -> str:
    """Say what shows that a mnemonic is sensitive."""
    words = []
    changed = {part for name in names for part in table.outcomes[name, 0, 0].changed}
    if changed:
        words.append(f"changes {', '.join(sorted(part.upper() for part in changed))}")
    differing = [name for name in names if table.cell(name, 3, 0) == "differs"]
    if differing:
        words.append(f"does something else at ring 3 ({', '.join(differing)})")
    refused = {name: table.outcomes[name, 3, 0].fault for name in names}
    refused = {name: fault for name, fault in refused.items() if fault not in ("", "#GP(0)")}
    if refused:
        named_so = ", ".join(f"{name}: {fault}" for name, fault in refused.items())
        words.append(f"refused at ring 3 for its operand, not for what it is ({named_so})")
    if told:
        words.append(f"shows at ring 3: {', '.join(told)}")
    return "; ".join(words) or "what it tells depends on the machine or the ring"
