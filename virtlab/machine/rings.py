"""Rings: what each instruction does at each, found by running it (S17).

A processor's rings are not a table in a book: they are what happens when an instruction runs.
So each of `PROBES` is run at CPL 0 to 3 with each IOPL, and what it did is compared with what it
does at ring 0:

- **works**: the same;
- **faults**: it traps, so a monitor that runs the guest's kernel there can do what was meant;
- **differs**: no trap, and something else happened. The guest has been lied to, and nobody knows.

From the same runs comes the theorem of Popek and Goldberg. An instruction is **sensitive** if it
changes what the machine is (control), or if what it tells depends on it (behaviour: it is run in
two machines that differ only there). It is **privileged** if it faults at ring 3 whatever its
operands. A monitor by traps alone can be built if each sensitive instruction is privileged; on the
i386 some are not. The talk's ring 1 is "ring 0 without guarantee"; it is not: a privileged
instruction faults there as at ring 3, and what ring 1 shares with ring 0 is only paging's bit.

Sources: G. Popek, R. Goldberg, "Formal requirements for virtualizable third generation
architectures", CACM 17 (7), 1974; J. S. Robin, C. E. Irvine, "Analysis of the Intel Pentium's
ability to support a secure virtual machine monitor", USENIX Security 2000; E. Bugnion, J. Nieh,
D. Tsafrir, "Hardware and Software Support for Virtualization", 2017, table 2.2.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import pandas as pd

from virtlab.machine.probes import PROBES
from virtlab.machine.processor import Processor
from virtlab.machine.tried import Outcome, try_instruction
from virtlab.results import Result

__all__ = ["NON_PRIVILEGED_SENSITIVE", "Outcome", "RingTable", "ring_table", "try_instruction"]

# Table 2.2 of Bugnion, Nieh and Tsafrir, 19 mnemonics; Robin and Irvine's list is the same but for
# IRET. It is often called "the 17 instructions".
NON_PRIVILEGED_SENSITIVE = frozenset(
    {
        *("PUSHF", "POPF", "IRET"),
        *("LAR", "LSL", "VERR", "VERW"),
        *("POP", "PUSH", "MOV"),
        *("SGDT", "SIDT", "SLDT", "SMSW"),
        *("CALLF", "JMPF", "RETF", "STR", "INT"),
    }
)


@dataclass(frozen=True)
class RingTable(Result):
    """All probes at all rings.

    Attributes
    ----------
    outcomes
        By probe's name, ring and IOPL.
    kind
        Of the processor that ran them.

    Examples
    --------
    >>> table = ring_table()
    >>> table.cell("popf", 3, 0), table.cell("lgdt", 1, 0), table.cell("sgdt", 3, 0)
    ('differs', 'faults', 'works')
    >>> sorted(table.violations() ^ NON_PRIVILEGED_SENSITIVE)
    []
    """

    outcomes: dict[tuple[str, int, int], Outcome] = field(repr=False)
    kind: type[Processor] = Processor

    def cell(self, name: str, ring: int, iopl: int) -> str:
        """Return what became of a probe.

        Parameters
        ----------
        name
            Of the probe.
        ring, iopl
            Where.

        Returns
        -------
        str
            'works', 'faults' or 'differs', held against ring 0.

        Examples
        --------
        >>> ring_table().cell("cli", 3, 3)
        'works'
        """
        return self._cells[name, ring, iopl]

    @cached_property
    def _cells(self) -> dict[tuple[str, int, int], str]:
        """All cells, compared once: a slider asks for them again and again."""
        found = {}
        for (name, ring, iopl), here in self.outcomes.items():
            top = self.outcomes[name, 0, iopl]
            trapped = here.fault and here.fault != top.fault
            found[name, ring, iopl] = (
                "faults" if trapped else "works" if _same(here, top) else "differs"
            )
        return found

    def sensitive(self, name: str) -> tuple[bool, bool]:
        """Return whether a probe controls the machine, and whether what it tells depends on it.

        Parameters
        ----------
        name
            Of the probe.

        Returns
        -------
        tuple of bool
            Control-sensitive, behaviour-sensitive.

        Examples
        --------
        >>> table = ring_table()
        >>> table.sensitive("lgdt"), table.sensitive("smsw"), table.sensitive("add")
        ((True, False), (False, True), (False, False))
        """
        return self._sensitive[name]

    @cached_property
    def _sensitive(self) -> dict[str, tuple[bool, bool]]:
        return {probe.name: self._ask(probe.name) for probe in PROBES}

    def _ask(self, name: str) -> tuple[bool, bool]:
        """Run a probe in another machine, too, and see whether it can tell."""
        top = self.outcomes[name, 0, 0]
        probe = top.probe
        moved = try_instruction(probe, 0, moved=True, kind=self.kind)
        control = bool(top.changed)
        by_ring = any(
            not _same(self.outcomes[name, ring, 0], top)
            for ring in (1, 2, 3)
            if not self.outcomes[name, ring, 0].fault
        )
        # Refused for its operand, not for what it is: what it does depends on the ring.
        by_operand = any(
            self.outcomes[name, ring, 0].fault not in ("", "#GP(0)", top.fault)
            for ring in (1, 2, 3)
        )
        return control, top.told != moved.told or by_ring or by_operand

    def privileged(self, mnemonic: str) -> bool:
        """Return whether a mnemonic faults at ring 3 whatever its operands, and not at ring 0.

        Parameters
        ----------
        mnemonic
            Such as 'LGDT'.

        Returns
        -------
        bool
            Of all its probes.

        Examples
        --------
        >>> ring_table().privileged("LGDT"), ring_table().privileged("SGDT")
        (True, False)
        """
        probes = [probe.name for probe in PROBES if probe.mnemonic == mnemonic]
        return all(
            self.outcomes[name, 3, 0].fault and not self.outcomes[name, 0, 0].fault
            for name in probes
        )

    def violations(self) -> frozenset[str]:
        """Return the mnemonics that are sensitive and not privileged.

        Returns
        -------
        frozenset of str
            Empty for a processor that can be virtualized by traps.

        Examples
        --------
        >>> "POPF" in ring_table().violations()
        True
        """
        sensitive = {probe.mnemonic for probe in PROBES if any(self.sensitive(probe.name))}
        return frozenset(name for name in sensitive if not self.privileged(name))

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each probe, ring and IOPL."""
        return pd.DataFrame(
            [
                {
                    "instruction": done.probe.text,
                    "mnemonic": done.probe.mnemonic,
                    "ring": ring,
                    "iopl": iopl,
                    "outcome": self.cell(name, ring, iopl),
                    "fault": done.fault,
                    "why": done.why,
                }
                for (name, ring, iopl), done in self.outcomes.items()
            ]
        )

    def summary(self) -> dict[str, float | int | str]:
        """Return how many work, fault and differ at ring 3, and how many break the theorem."""
        cells = [self.cell(probe.name, 3, 0) for probe in PROBES]
        return {
            "instructions": len(PROBES),
            **{f"ring_3_{kind}": cells.count(kind) for kind in ("works", "faults", "differs")},
            "sensitive_not_privileged": len(self.violations()),
        }

    def explain(self) -> str:
        """Say whether the theorem holds, and what breaks it."""
        broken = sorted(self.violations())
        if not broken:
            return "Each sensitive instruction is privileged: a monitor by traps can be built."
        return (
            f"{len(broken)} mnemonics are sensitive and not privileged, so a monitor by traps "
            f"alone cannot be built for this processor: {', '.join(broken)}."
        )


def _same(here: Outcome, top: Outcome) -> bool:
    """Return whether an instruction did here what it does at ring 0, but for the ring itself."""
    if here.fault != top.fault or here.told != top.told:
        return False
    rest = {key: value for key, value in here.changed.items() if key != "ring"}
    return rest == {key: value for key, value in top.changed.items() if key != "ring"}


_TABLES: dict[type[Processor], RingTable] = {}  # each kind runs them once


def ring_table(kind: type[Processor] = Processor) -> RingTable:
    """Run all probes at all rings.

    Parameters
    ----------
    kind
        Of the processor; a subclass of ours may do something else.

    Returns
    -------
    RingTable
        What they did.

    Examples
    --------
    >>> ring_table().summary()["sensitive_not_privileged"]
    19
    """
    if kind not in _TABLES:
        outcomes = {
            (probe.name, ring, iopl): try_instruction(probe, ring, iopl, kind=kind)
            for probe in PROBES
            for ring in range(4)
            for iopl in range(4)
        }
        _TABLES[kind] = RingTable(outcomes, kind)
    return _TABLES[kind]
