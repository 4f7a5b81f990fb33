"""Popek and Goldberg's theorem, by running what it speaks of (S17).

A monitor that lets a guest run directly must hear of everything that it has to take care of. What
that is, the theorem says in one line: if each **sensitive** instruction is **privileged**, a
monitor can be built. Here nothing is looked up: instructions are run in pairs of states, on the
paper's own small machine and on our i386, and what they are is what they did.

    machine       the paper's machine: storage, mode, counter, and a relocation-bounds register
    instructions  four small sets: one that can be virtualized, three with one instruction too many
    classify      privileged, control-, behaviour- and user-sensitive, found by running
    monitor       the monitor itself, by traps; the hybrid one, which interprets kernels
    equivalence   a program on the bare machine and under a monitor; the shortest that can tell
    i386          the same questions to our processor, and to one that is repaired
    cost          how many instructions of a real kernel trap, and how many more if it is repaired

The theorem is one-way: where it fails, a monitor *by traps alone* is not promised, and for these
sets `equivalence.counterexample` shows that ours goes wrong. Binary translation is the way round.

Source: G. Popek, R. Goldberg, "Formal requirements for virtualizable third generation
architectures", CACM 17 (7), 1974.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from virtlab.machine.theorem.classify import Kind, classify
from virtlab.machine.theorem.instructions import SETS
from virtlab.results import Result
from virtlab.validate import one_of

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["NAMES", "Theorem", "theorem"]

NAMES = ("i386", "fixed-i386", *SETS)


@dataclass(frozen=True)
class Theorem(Result):
    """What the theorem says of an instruction set.

    Attributes
    ----------
    name
        Of the set.
    kinds
        What each instruction is.

    Examples
    --------
    >>> theorem("third-generation").virtualizable, theorem("jrst").virtualizable
    (True, False)
    >>> theorem("jrst").hybrid, theorem("open-lra").hybrid
    (True, False)
    """

    name: str
    kinds: tuple[Kind, ...]

    @property
    def violations(self) -> tuple[str, ...]:
        """What breaks theorem 1: sensitive, and not privileged."""
        return tuple(k.name for k in self.kinds if k.sensitive and not k.privileged)

    @property
    def user_violations(self) -> tuple[str, ...]:
        """What breaks theorem 3: user-sensitive, and not privileged."""
        return tuple(k.name for k in self.kinds if k.user and not k.privileged)

    @property
    def virtualizable(self) -> bool:
        """Theorem 1: a monitor can be built. If it needs no clock, under itself too (theorem 2)."""
        return not self.violations

    @property
    def hybrid(self) -> bool:
        """Theorem 3: a hybrid monitor can be built."""
        return not self.user_violations

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each instruction."""
        return pd.DataFrame(
            [
                {
                    "instruction": kind.name,
                    "privileged": _sign(kind.privileged),
                    "control": _sign(kind.control),
                    "behaviour": _sign(kind.behaviour),
                    "user": _sign(kind.user),
                    "breaks": ", ".join(self._breaks(kind)),
                    "why": kind.why,
                }
                for kind in self.kinds
            ]
        )

    def _breaks(self, kind: Kind) -> Iterable[str]:
        if kind.name in self.violations:
            yield "theorem 1"
        if kind.name in self.user_violations:
            yield "theorem 3"

    def summary(self) -> dict[str, float | int | str]:
        """Return how many are what, and what the theorems say."""
        return {
            "set": self.name,
            "instructions": len(self.kinds),
            "privileged": sum(kind.privileged for kind in self.kinds),
            "sensitive": sum(kind.sensitive for kind in self.kinds),
            "user_sensitive": sum(kind.user for kind in self.kinds),
            "sensitive_not_privileged": len(self.violations),
            "user_sensitive_not_privileged": len(self.user_violations),
            "monitor": _sign(self.virtualizable),
            "hybrid_monitor": _sign(self.hybrid),
        }

    def explain(self) -> str:
        """Say which monitors the theorems promise, and what stands in the way of the others."""
        sensitive = sum(kind.sensitive for kind in self.kinds)
        if self.virtualizable:
            itself = ", and as it needs no clock it can run itself" if self.name in SETS else ""
            return (
                f"{self.name}: all {sensitive} sensitive instructions are privileged, so a monitor "
                f"by traps can be built{itself}."
            )
        broken = f"{self.name}: {len(self.violations)} of {sensitive} sensitive instructions"
        first = f"{broken} are not privileged ({', '.join(self.violations)}): theorem 1 fails."
        if self.hybrid:
            return f"{first} None of them is sensitive in user mode: a hybrid monitor can be built."
        in_user_mode = ", ".join(self.user_violations)
        return f"{first} Sensitive in user mode too: {in_user_mode}. So theorem 3 fails."


def _sign(truth: bool) -> str:  # noqa: FBT001 - one word of a table
    return "yes" if truth else "no"


def theorem(name: str = "i386") -> Theorem:
    """Apply the theorem to an instruction set, by running it.

    Parameters
    ----------
    name
        'i386', our processor; 'fixed-i386', which traps on what breaks the theorem; or one of
        `virtlab.machine.theorem.instructions.SETS`.

    Returns
    -------
    Theorem
        What each instruction is, and what follows.

    Raises
    ------
    InvalidInputError
        If there is no such set.

    Examples
    --------
    >>> print(theorem("jrst").explain())
    jrst: 1 of 4 sensitive instructions are not privileged (jrst): theorem 1 fails. None of them is
    sensitive in user mode: a hybrid monitor can be built.
    >>> theorem("fixed-i386").violations
    ()
    """
    if one_of("name", name, NAMES) in SETS:
        return Theorem(name, classify(SETS[name]))
    from virtlab.machine.rings import ring_table
    from virtlab.machine.theorem.i386 import kinds, repaired

    return Theorem(name, kinds(ring_table(repaired()) if name == "fixed-i386" else ring_table()))
