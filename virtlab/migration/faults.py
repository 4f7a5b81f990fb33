"""What can go wrong while a machine moves: the link, the source host, the target host.

Who dies when decides what is lost. Until the machine has been resumed on the target, the source
has all of it: if the target dies, the source goes on. From then until the last page has come,
the machine lies on both hosts, and the death of either is its own. Afterwards the source is not
needed any more.
"""

from __future__ import annotations

from dataclasses import dataclass

from virtlab.validate import InvalidInputError, integer, number, one_of

__all__ = ["Fault", "HostDiedError"]


class HostDiedError(Exception):
    """A host died; it ends the run of an algorithm and is caught by `migrate`.

    Parameters
    ----------
    who
        'source' or 'target'.
    """

    def __init__(self, who: str) -> None:
        super().__init__(f"the {who} host died")
        self.who = who


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong.

    Attributes
    ----------
    who
        'source' or 'target': the host dies. 'link': it carries less for a while, or damages pages.
    at_s
        When, s since the migration started.
    at_step
        Or: when this step of the talk's seven begins (hosts only).
    for_s
        How long the link is bad, s.
    speed
        What is left of its bandwidth meanwhile, 0 to 1.
    damaged
        Part of its pages that arrive damaged meanwhile, 0 to 0.9; their checksum tells, and they
        are sent again.

    Examples
    --------
    >>> Fault("source", at_step=5)
    Fault(who='source', at_s=None, at_step=5, for_s=0.0, speed=0.0, damaged=0.0)
    >>> Fault("link", at_s=1.0, for_s=2.0, speed=0.5).until_s
    3.0
    """

    who: str
    at_s: float | None = None
    at_step: int | None = None
    for_s: float = 0.0
    speed: float = 0.0
    damaged: float = 0.0

    def __post_init__(self) -> None:
        """Check the numbers."""
        one_of("who", self.who, ("source", "target", "link"))
        if (self.at_s is None) == (self.at_step is None):
            raise InvalidInputError("at_s", self.at_s, "given, or at_step, and not both")
        if self.at_s is not None:
            number("at_s", self.at_s, minimum=0)
        else:
            integer("at_step", self.at_step, minimum=1, maximum=7)
            if self.who == "link":
                raise InvalidInputError("at_step", self.at_step, "None: a link's fault has a time")
        number("for_s", self.for_s, minimum=0)
        number("speed", self.speed, minimum=0, maximum=1)
        number("damaged", self.damaged, minimum=0, maximum=0.9)

    @property
    def until_s(self) -> float:
        """When the link is good again, s."""
        return (self.at_s or 0.0) + self.for_s
