"""Acts drawn together: an arrow is a run of acts of one kind between the same two layers (S15).

Six `out` that fill registers are one arrow, and so are 128 `in` that fetch a sector. What repeats
for each further sector of a request is put into one arrow too.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from virtlab.machine.esx.words import REGISTERS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from virtlab.machine.esx.acts import Act

__all__ = ["Arrow", "drawn_together"]


class Arrow(NamedTuple):
    """Acts of one kind, one after the other, between two layers.

    Attributes
    ----------
    number
        From 1.
    source, target, kind, ring
        As the acts have them.
    what
        In words.
    times, bytes, instructions
        How many acts, bytes, and instructions of the guest.
    start_us, us
        From the request's first act on; how long.

    Examples
    --------
    >>> Arrow(1, "kernel", "vmm", "port", 1, "out 0x1f2 to 0x1f7", 6, 6, 40, 0.0, 3.2).verb
    'out'
    """

    number: int
    source: str
    target: str
    kind: str
    ring: int
    what: str
    times: int
    bytes: int
    instructions: int
    start_us: float
    us: float

    @property
    def verb(self) -> str:
        """The first word: 'in' or 'out' of a port access."""
        return self.what.split()[0]

    @property
    def about(self) -> str:
        """What the port is for."""
        return (
            REGISTERS.get(int(self.what.split()[1], 16), "another") if self.kind == "port" else ""
        )


def _group(act: Act) -> tuple[str, ...]:
    """Return what acts have in common that make one arrow."""
    if act.kind != "port":
        return act.source, act.target, act.kind
    verb, port = act.what.split()[:2]
    return act.source, act.target, act.kind, verb, REGISTERS.get(int(port, 16), "another")


def _arrow(acts: Sequence[Act], begin_us: float) -> Arrow:
    """Make one arrow of some acts."""
    first, last = acts[0], acts[-1]
    names = list(dict.fromkeys(act.what for act in acts))
    what = ", ".join(names)
    if first.kind == "port" and len(names) > 1:
        between = "and" if len(names) == 2 else "to"
        what = f"{names[0]} {between} {names[-1].split()[1]}"
    return Arrow(
        0,
        first.source,
        first.target,
        first.kind,
        first.ring,
        what,
        len(acts),
        sum(act.bytes for act in acts),
        sum(act.instructions for act in acts),
        first.start_us - begin_us,
        last.end_us - first.start_us,
    )


def _folded(arrows: list[Arrow]) -> list[Arrow]:
    """Put what repeats for each further sector into one arrow."""
    starts = [k for k, arrow in enumerate(arrows) if arrow.kind == "inject"]
    if len(starts) < 2:
        return arrows
    end = 1 + max(k for k, arrow in enumerate(arrows) if arrow.about == "interrupt controller")
    rest = arrows[starts[1] : end]
    again = Arrow(
        0,
        "kernel",
        rest[1].target,
        "again",
        rest[1].ring,
        f"{len(starts) - 1} sectors more",
        sum(arrow.times for arrow in rest),
        sum(arrow.bytes for arrow in rest if arrow.about == "data"),
        sum(arrow.instructions for arrow in rest),
        rest[0].start_us,
        rest[-1].start_us + rest[-1].us - rest[0].start_us,
    )
    return [*arrows[: starts[1]], again, *arrows[end:]]


def drawn_together(acts: Sequence[Act]) -> tuple[Arrow, ...]:
    """Draw acts together.

    Parameters
    ----------
    acts
        All of a request, in order.

    Returns
    -------
    tuple of Arrow
        Fewer, numbered from 1.

    Examples
    --------
    >>> from virtlab.machine.esx.acts import Act
    >>> ports = (0x1F2, 0x1F3, 0x1F4)
    >>> outs = [
    ...     Act(k, "VM1", "kernel", "vmm", "port", f"out {port:#x}", 1, 1, 3, k * 1.0, 0.5)
    ...     for k, port in enumerate(ports)
    ... ]
    >>> [(arrow.what, arrow.times, arrow.us) for arrow in drawn_together(outs)]
    [('out 0x1f2 to 0x1f4', 3, 2.5)]
    """
    runs = [list(run) for _, run in groupby(acts, _group)]
    arrows = _folded([_arrow(run, acts[0].start_us) for run in runs])
    return tuple(arrow._replace(number=k) for k, arrow in enumerate(arrows, 1))
