"""The trace of one request: every act on its way, and where the time went (S15).

The acts are what the objects noted when they did them (`virtlab.machine.esx.acts`); drawn together
they are arrows (`virtlab.machine.esx.arrows`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from virtlab.machine.esx.acts import BASIS, LAYERS, Act, Costs
from virtlab.machine.esx.arrows import Arrow, drawn_together
from virtlab.machine.esx.words import sentence
from virtlab.results import Result
from virtlab.validate import integer

if TYPE_CHECKING:
    import pandas as pd

    from virtlab.machine.esx.request import RequestSetup

__all__ = ["PARTS", "Moment", "RequestTrace"]

PARTS = ("disk", "queue", "traps and crossings", "guest's instructions")


@dataclass(frozen=True)
class RequestTrace(Result):
    """What `virtlab.machine.esx.request.trace_request` returns.

    Attributes
    ----------
    setup
        What was asked.
    vm
        Whose request it is.
    acts
        All of its acts, in order.
    others
        Requests of other VMs that the disk served meanwhile.
    costs
        What acts take.
    text
        What the guest said, if it ran to its end.
    checksum
        Of the sectors, as they are on the real disk; of a recorded run 0.

    Examples
    --------
    >>> from virtlab.machine.esx.request import trace_request
    >>> trace = trace_request()
    >>> len(trace.acts), len(trace.arrows), trace.bytes
    (151, 16, 512)
    """

    setup: RequestSetup
    vm: str
    acts: tuple[Act, ...]
    others: tuple[Act, ...]
    costs: Costs
    text: str = ""
    checksum: int = 0

    @property
    def us(self) -> float:
        """How long the program waited."""
        return self.acts[-1].end_us - self.acts[0].start_us

    @property
    def bytes(self) -> int:
        """How many it got."""
        return self.setup.sectors * 512

    @property
    def traps(self) -> int:
        """How often the vmm was entered by the guest."""
        return sum(act.target == "vmm" and act.source in ("program", "kernel") for act in self.acts)

    @property
    def waited_us(self) -> float:
        """How long it was in the queue behind others."""
        return self.parts_us(len(self.acts))["queue"]

    @cached_property
    def arrows(self) -> tuple[Arrow, ...]:
        """Its acts, drawn together."""
        return drawn_together(self.acts)

    def parts_us(self, acts: int) -> dict[str, float]:
        """Return where the time went.

        Parameters
        ----------
        acts
            Of how many acts, from the first on.

        Returns
        -------
        dict
            Microseconds by part, the keys of `PARTS`.

        Examples
        --------
        >>> from virtlab.machine.esx.request import trace_request
        >>> trace = trace_request()
        >>> bool(abs(sum(trace.parts_us(len(trace.acts)).values()) - trace.us) < 1e-6)
        True
        """
        disk = queue = layers = guest = 0.0
        at = self.acts[0].start_us
        for act in self.acts[: integer("acts", acts, minimum=0, maximum=len(self.acts))]:
            if act.kind == "service":  # the processor may have worked for a part of it
                disk += max(act.end_us - at, 0.0)
            elif act.kind == "queue":
                queue += max(act.end_us - at, 0.0)
            else:
                queue += max(act.start_us - at, 0.0)
                own = self.costs.us("", act.instructions)
                guest, layers = guest + own, layers + act.us - own
            at = max(at, act.end_us)
        return dict(zip(PARTS, (disk, queue, layers, guest), strict=True))

    def say(self, number: int) -> str:
        """Say what an arrow is.

        Parameters
        ----------
        number
            From 1.

        Returns
        -------
        str
            A sentence or two.

        Examples
        --------
        >>> from virtlab.machine.esx.request import trace_request
        >>> trace_request().say(16)
        'The kernel returns to ring 3 (iret). The program has its 512 bytes after 16.9 ms.'
        """
        integer("number", number, minimum=1, maximum=len(self.arrows))
        return sentence(self.arrows[number - 1], self)

    def to_frame(self) -> pd.DataFrame:
        """Return its arrows."""
        import pandas as pd

        rows = [
            {
                "number": arrow.number,
                "from": LAYERS[arrow.source],
                "to": LAYERS[arrow.target],
                "ring": "" if arrow.ring < 0 else str(arrow.ring),
                "what": arrow.what,
                "times": arrow.times,
                "bytes": arrow.bytes,
                "instructions": arrow.instructions,
                "start_us": arrow.start_us,
                "us": arrow.us,
                "figure": BASIS.get(arrow.kind, "as above"),
            }
            for arrow in self.arrows
        ]
        return pd.DataFrame(rows)

    def acts_frame(self) -> pd.DataFrame:
        """Return every act.

        Returns
        -------
        pandas.DataFrame
            A row for each.

        Examples
        --------
        >>> from virtlab.machine.esx.request import trace_request
        >>> trace_request().acts_frame()["what"].tolist()[2:4]
        ['out 0x1f2', 'out 0x1f3']
        """
        import pandas as pd

        return pd.DataFrame(self.acts, columns=Act._fields)

    def summary(self) -> dict[str, float | int | str]:
        """Return the few numbers that matter."""
        parts = self.parts_us(len(self.acts))
        return {
            "layers": self.setup.layers,
            "bytes": self.bytes,
            "acts": len(self.acts),
            "traps": self.traps,
            "guest_instructions": sum(act.instructions for act in self.acts),
            "total_us": self.us,
            "disk_us": parts["disk"],
            "queue_us": parts["queue"],
            "crossings_us": parts["traps and crossings"],
            "guest_us": parts["guest's instructions"],
            "others_served": len(self.others),
        }

    def explain(self) -> str:
        """Say how long it took, and why."""
        parts = self.parts_us(len(self.acts))
        layers = parts["traps and crossings"]
        name = "port accesses and the rest" if self.setup.layers == "native" else PARTS[2]
        ms = {key: f"{value / 1000:.1f} ms" for key, value in parts.items()}
        count = len(self.others)
        others = f"{count} request{'' if count == 1 else 's'} of other VMs"
        queued = f"{ms['queue']} behind {others}" if count else "no other was before it"
        return (
            f"{self.vm}'s program waited {self.us / 1000:.1f} ms for {self.bytes:,} bytes: "
            f"{ms['disk']} for the disk, {queued}. "
            f"{self.traps} traps; {name} took {layers:.1f} µs, "
            f"{100 * layers / self.us:.2g} % of the time."
        )

    def at(self, number: int) -> Moment:
        """Return how far it is after some arrows.

        Parameters
        ----------
        number
            How many, from 0.

        Returns
        -------
        Moment
            What can be shown.

        Examples
        --------
        >>> from virtlab.machine.esx.request import trace_request
        >>> trace_request().at(3).arrow.what
        'out 0x1f2 to 0x1f7'
        """
        return Moment(self, integer("number", number, minimum=0, maximum=len(self.arrows)))


@dataclass(frozen=True)
class Moment(Result):
    """A request on its way.

    Attributes
    ----------
    trace
        The whole.
    number
        How many arrows are done.

    Examples
    --------
    >>> from virtlab.machine.esx.request import trace_request
    >>> trace_request().at(0).explain()
    "VM1's program is about to ask for 1 sector of its disk."
    """

    trace: RequestTrace
    number: int

    @property
    def arrow(self) -> Arrow | None:
        """The one that is done just now."""
        return self.trace.arrows[self.number - 1] if self.number else None

    @property
    def acts(self) -> int:
        """How many acts are done."""
        return sum(arrow.times for arrow in self.trace.arrows[: self.number])

    def to_frame(self) -> pd.DataFrame:
        """Return where the time went so far, and in all."""
        import pandas as pd

        sofar, whole = (self.trace.parts_us(n) for n in (self.acts, len(self.trace.acts)))
        rows = [
            {
                "part": name,
                "so_far_us": sofar[name],
                "in_all_us": whole[name],
                "in_all_percent": 100 * whole[name] / self.trace.us,
            }
            for name in PARTS
        ]
        return pd.DataFrame(rows)

    def summary(self) -> dict[str, float | int | str]:
        """Return where it is."""
        arrow = self.arrow
        layer = LAYERS[arrow.target] if arrow else LAYERS["program"]
        return {"step": self.number, "steps": len(self.trace.arrows), "layer": layer}

    def explain(self) -> str:
        """Say what was done just now."""
        if self.arrow is None:
            size = self.trace.setup.sectors
            sectors = f"{size} sector{'s' if size > 1 else ''}"
            return f"{self.trace.vm}'s program is about to ask for {sectors} of its disk."
        return f"{self.number}. {self.trace.say(self.number)}"
