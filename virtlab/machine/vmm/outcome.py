"""What came of three runs of one kernel: their numbers, their lines, and where they part (S17).

How they are run, and what the three are, says `virtlab.machine.vmm.ways`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import pandas as pd

from virtlab.machine.vmm.patching import INT3
from virtlab.results import Result
from virtlab.validate import one_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from virtlab.machine.vmm.events import Wrong
    from virtlab.machine.vmm.patching import Patch

__all__ = ["TRAP_CYCLES", "WAYS", "Way", "Ways"]

TRAP_CYCLES = 2030  # to trap and emulate rdtsc on a Pentium 4 of 3.8 GHz
WAYS = ("native", "deprivileged", "patched")


@dataclass(frozen=True)
class Way:
    """One of the three runs.

    Attributes
    ----------
    name
        One of `WAYS`.
    output
        What the kernel said.
    ended, exit_status
        As of a `GuestRun`; 'limit' if it was stopped.
    instructions
        How many the guest did; those done for it by the VMM count too.
    entries
        Why the VMM was entered, to how often; empty for the native run.
    delivered
        What the guest's handlers were called for, to how often.
    wrongs
        Each time that an instruction lied to it.
    patches
        Instructions that were replaced.
    said_at, entered_at, interrupted_at
        The guest's time of each byte of the output, each entry of the VMM, and each interrupt of a
        device.
    memory
        The guest's at the end, without the patches.
    """

    name: str
    output: bytes
    ended: str
    exit_status: int | None
    instructions: int
    entries: Mapping[str, int]
    delivered: Mapping[str, int]
    wrongs: tuple[Wrong, ...] = field(repr=False)
    patches: tuple[Patch, ...] = field(repr=False)
    said_at: tuple[int, ...] = field(repr=False)
    entered_at: tuple[int, ...] = field(repr=False)
    interrupted_at: tuple[int, ...] = field(repr=False)
    memory: bytes = field(repr=False)

    @property
    def lines(self) -> list[str]:
        """The output, line by line."""
        return self.output.decode("utf-8", "replace").splitlines()

    @property
    def total_entries(self) -> int:
        """How often the VMM was entered."""
        return sum(self.entries.values())

    @property
    def liars(self) -> int:
        """How many instructions of the program lied to it, however often."""
        return len({wrong.address for wrong in self.wrongs})

    @property
    def trap_cycles(self) -> int:
        """What that would cost, if each entry took `TRAP_CYCLES`."""
        return self.total_entries * TRAP_CYCLES


@dataclass(frozen=True)
class Ways(Result):
    """The three runs, side by side.

    Attributes
    ----------
    program
        What was run.
    native, deprivileged, patched
        The runs.

    Examples
    --------
    >>> from virtlab.machine.guests import mirror
    >>> from virtlab.machine.vmm.ways import run_ways
    >>> ways = run_ways(mirror())
    >>> ways.patched.output == ways.native.output, ways.deprivileged.output == ways.native.output
    (True, False)
    >>> print(ways.divergence.explain())
    MOV DX,CS at main+0xf0 (0x100380), instruction 293 of the guest, ran at ring 1 and did not trap.
    EDX is 0x9 and should be 0x8.
    The low two bits of CS and SS are the ring that runs, and it is 1.
    >>> ways.first_line("deprivileged")
    (1, 'mov from cs: 00000008', 'mov from cs: 00000009')
    """

    program: str
    native: Way
    deprivileged: Way
    patched: Way

    @property
    def all(self) -> tuple[Way, Way, Way]:
        """The runs, in order."""
        return self.native, self.deprivileged, self.patched

    @property
    def divergence(self) -> Wrong | None:
        """The first instruction that did something else than at ring 0; None if none did."""
        return self.deprivileged.wrongs[0] if self.deprivileged.wrongs else None

    def way(self, name: str) -> Way:
        """Return a run.

        Parameters
        ----------
        name
            One of `WAYS`.

        Returns
        -------
        Way
            It.
        """
        return self.all[WAYS.index(one_of("name", name, WAYS))]

    def first_byte(self, name: str) -> int | None:
        """Return the number of the first byte of the output that differs from the native run's.

        Parameters
        ----------
        name
            Of the run.

        Returns
        -------
        int or None
            None if they are equal.
        """
        pairs = zip_longest(self.way(name).output, self.native.output)
        return next((at for at, (here, there) in enumerate(pairs) if here != there), None)

    def first_line(self, name: str) -> tuple[int, str, str] | None:
        """Return the first line of the output that differs from the native run's.

        Parameters
        ----------
        name
            Of the run.

        Returns
        -------
        tuple or None
            Its number from 0, the native line, and this one; None if all are equal.
        """
        pairs = zip_longest(self.native.lines, self.way(name).lines, fillvalue="")
        return next(((at, *pair) for at, pair in enumerate(pairs) if pair[0] != pair[1]), None)

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each way."""
        return pd.DataFrame(
            [
                {
                    "way": way.name,
                    "ended": way.ended,
                    "instructions": way.instructions,
                    "vmm_entries": way.total_entries,
                    "entries_per_1000_instructions": round(
                        1000 * way.total_entries / max(way.instructions, 1), 2
                    ),
                    "estimated_trap_cycles": way.trap_cycles,
                    "interrupts": len(way.interrupted_at),
                    "instructions_that_lied": way.liars,
                    "lies": len(way.wrongs),
                    "patched_instructions": len(way.patches),
                    "lines_as_native": self._same_lines(way),
                    "lines": len(way.lines),
                }
                for way in self.all
            ]
        )

    def _same_lines(self, way: Way) -> int:
        return sum(a == b for a, b in zip(way.lines, self.native.lines, strict=False))

    def traps_frame(self) -> pd.DataFrame:
        """Return why the VMM was entered: a row for each reason, a column for each way.

        Returns
        -------
        pandas.DataFrame
            The most frequent first.
        """
        reasons = {name for way in self.all for name in way.entries}
        rows = [
            {"reason": name, **{way.name: way.entries.get(name, 0) for way in self.all[1:]}}
            for name in reasons
        ]
        frame = pd.DataFrame(rows, columns=["reason", *WAYS[1:]])
        return frame.sort_values([*WAYS[1:], "reason"], ascending=[False, False, True]).reset_index(
            drop=True
        )

    def patches_frame(self) -> pd.DataFrame:
        """Return which instructions were replaced, and by what: a row for each.

        Returns
        -------
        pandas.DataFrame
            By address. `bytes` is how long the instruction is: a trap takes one, a jump to code
            of the VMM's own would take five.
        """
        rows = [
            {
                "address": hex(patch.address),
                "symbol": patch.symbol,
                "instruction": patch.instruction,
                "bytes": patch.size,
                "first_byte": f"{patch.byte:02x}",
                "replaced_by": f"{INT3:02x}",
            }
            for patch in sorted(self.patched.patches, key=lambda one: one.address)
        ]
        columns = ["address", "symbol", "instruction", "bytes", "first_byte", "replaced_by"]
        return pd.DataFrame(rows, columns=columns)

    def lines_frame(self) -> pd.DataFrame:
        """Return what each way said, line beside line.

        Returns
        -------
        pandas.DataFrame
            Columns of the three ways, and `same`.
        """
        rows = zip_longest(*(way.lines for way in self.all), fillvalue="")
        frame = pd.DataFrame(list(rows), columns=list(WAYS))
        return frame.assign(same=(frame["native"] == frame["deprivileged"]))

    def summary(self) -> dict[str, float | int | str]:
        """Return its numbers."""
        wrong, differs = self.divergence, self.first_line("deprivileged")
        return {
            "program": self.program,
            "instructions": self.native.instructions,
            **{f"{way.name}_entries": way.total_entries for way in self.all[1:]},
            "instructions_that_lied": self.deprivileged.liars,
            "lies": len(self.deprivileged.wrongs),
            "first_lie": "" if wrong is None else f"{wrong.instruction} at {wrong.symbol}",
            "first_lie_at_instruction": -1 if wrong is None else wrong.step,
            "first_other_line": -1 if differs is None else differs[0] + 1,
            "patched_instructions": len(self.patched.patches),
            "patched_says_the_same": int(self.patched.output == self.native.output),
        }

    def explain(self) -> str:
        """Say where the deprivileged run goes wrong, and whether patches help."""
        wrong, differs = self.divergence, self.first_line("deprivileged")
        if wrong is None:
            return "By trap and emulate the kernel runs as at ring 0: nothing in it lies at ring 1."
        kinds = self.deprivileged.liars
        lies = f"{kinds} instruction{'s' if kinds > 1 else ''}"
        said = (
            "what it says is the same all the same"
            if differs is None
            else f"what it says is another thing from line {differs[0] + 1} on"
        )
        count = len(self.patched.patches)
        same = self.first_byte("patched") is None
        helped = "says what it says at ring 0" if same else "still says something else"
        return (
            f"At ring 1 {lies} did not trap and did something else, first {wrong.instruction} at "
            f"{wrong.symbol}; {said}.\nWith {count} instruction{'s' if count > 1 else ''} patched "
            f"it {helped}, for {self.patched.total_entries:,} entries of the VMM in "
            f"{self.patched.instructions:,} instructions."
        )

    def to_json(self) -> dict[str, Any]:
        """Return the summary, the rows, each way's output and reasons, and the first lie."""
        wrong = self.divergence
        return {
            **super().to_json(),
            "output": {way.name: way.lines for way in self.all},
            "entries": {way.name: dict(way.entries) for way in self.all[1:]},
            "divergence": None if wrong is None else wrong.explain(),
        }
