"""The film of a guest that gives memory back: pictures, and sentences on each (S28).

A picture has two sides. Inside, the guest sees what each of its frames holds (HELD). Outside, the
host sees what stands behind it (`virtlab.memory.host.backing.STATES`), and nothing else: a free
page, a page of a file and the hottest page of a program look alike to it.
`virtlab.memory.ballooning` takes the pictures.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from virtlab.memory.host.backing import BACKED, BALLOONED, STATES, SWAPPED, UNTOUCHED
from virtlab.results import Result
from virtlab.validate import integer

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from virtlab.memory.ballooning import Reclaim
    from virtlab.memory.guest.counters import Counters

    Kinds = NDArray[np.uint8]

__all__ = ["HELD", "Comparison", "ReclaimFilm", "ReclaimFrame", "Second"]

HELD = ("free", "kernel", "hot", "cold", "cache", "balloon")
"""What a frame holds, as the guest sees it."""

_BEHIND = dict(
    zip(
        STATES,
        (
            "nothing yet: it gets a machine frame when it is touched",
            "a machine frame",
            "a machine frame that it shares",
            "the host's swap: who touches it waits for a disk",
            "nothing: the host has given the frame away",
        ),
        strict=True,
    )
)


@dataclass(frozen=True)
class Second:
    """What happened in a second.

    Attributes
    ----------
    given
        Pages that went into the balloon, by what they held before.
    returned
        Pages that came out of it.
    swapped
        Pages that the host took at random, by what they held, which it can't see.
    by_host, by_program
        What was counted while the host took memory, and while the program ran.
    room_made
        Pages that the host swapped while the program ran, because it needed their frames.
    """

    given: dict[str, int]
    returned: int
    swapped: dict[str, int]
    by_host: Counters
    by_program: Counters
    room_made: int

    @property
    def host_did(self) -> str:
        """What the host did, in words; '' if nothing."""
        words = []
        if self.given:
            words.append(f"The balloon grows by {_pages(self.given)}.")
            words += _wrote(self.by_host)
        if self.returned:
            words.append(f"The balloon gives {self.returned} pages back: they are free again.")
        if self.swapped:
            words.append(f"At random the host swaps {_pages(self.swapped)}.")
        return " ".join(words)

    @property
    def program_did(self) -> str:
        """What the program met, in words."""
        counted = self.by_program
        disk, host = counted.file_reads + counted.swap_ins, counted.host_faults
        if not disk + host:
            return f"The program touches {counted.touches} pages and finds them all."
        words = [f"Of {counted.touches} touches"]
        if disk:
            words.append(f"{_count(disk, 'wait')} for the guest's disk")
        if host:
            words.append(f"{'and ' * bool(disk)}{_count(host, 'wait')} for the host's swap")
        sentence = " ".join(words) + "."
        return " ".join([sentence, *_wrote(counted)])


def _count(count: int, verb: str) -> str:
    """Put a verb behind a number: '1 waits', '2 wait'."""
    return f"{count} {verb}s" if count == 1 else f"{count} {verb}"


def _pages(by_kind: dict[str, int]) -> str:
    """Write counts in words: '8 pages: 5 free and 3 cold'."""
    total = sum(by_kind.values())
    noun = "page" if total == 1 else "pages"
    if len(by_kind) == 1:
        return f"{total} {next(iter(by_kind))} {noun}"
    parts = [f"{count} {kind}" for kind, count in by_kind.items()]
    return f"{total} {noun}: {', '.join(parts[:-1])} and {parts[-1]}"


def _wrote(counted: Counters) -> list[str]:
    """Say what the guest had to write, and what it had to fetch for it."""
    if not counted.swap_outs:
        return []
    sentence = f"The guest writes {counted.swap_outs} to its swap"
    if counted.double_paging:
        return [f"{sentence}; {counted.double_paging} must be fetched for it: double paging."]
    return [f"{sentence}."]


@dataclass(frozen=True, eq=False)
class ReclaimFilm:
    """All pictures.

    Attributes
    ----------
    spec
        What was run.
    held
        What each frame holds, index into HELD; a row for the start and one for each second.
    behind
        What stands behind it, index into `backing.STATES`, in the same rows.
    seconds
        What happened in each.
    totals
        Counted since the start, in the same rows.
    """

    spec: Reclaim
    held: Kinds
    behind: Kinds
    seconds: tuple[Second, ...]
    totals: tuple[Counters, ...]

    def frame(self, second: int) -> ReclaimFrame:
        """Return one picture.

        Parameters
        ----------
        second
            From 0, the start.

        Returns
        -------
        ReclaimFrame
            What happened last, and all frames.

        Examples
        --------
        >>> from virtlab.memory.ballooning import reclaim
        >>> reclaim().frame(0).summary()["taken_pages"]
        0
        """
        return ReclaimFrame(self, integer("second", second, minimum=0, maximum=len(self.seconds)))

    def detail(self, second: int, page: int) -> str:
        """Say what a frame holds, and what stands behind it.

        Parameters
        ----------
        second
            From 0.
        page
            Of the guest.

        Returns
        -------
        str
            A sentence.

        Examples
        --------
        >>> from virtlab.memory.ballooning import reclaim
        >>> reclaim().detail(0, 0)
        'Inside: kernel. Behind it: a machine frame.'
        """
        inside = HELD[self.held[second, page]]
        return f"Inside: {inside}. Behind it: {_BEHIND[STATES[self.behind[second, page]]]}."


@dataclass(frozen=True, eq=False)
class ReclaimFrame(Result):
    """One picture of a film.

    Attributes
    ----------
    film
        The film.
    second
        Which picture.
    """

    film: ReclaimFilm
    second: int

    @property
    def held(self) -> Kinds:
        """What each frame holds, for the guest."""
        return np.asarray(self.film.held[self.second])

    @property
    def behind(self) -> Kinds:
        """What stands behind each frame, for the host."""
        return np.asarray(self.film.behind[self.second])

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each thing that a frame can hold: what stands behind such frames."""
        import pandas as pd

        rows = []
        for kind, name in enumerate(HELD):
            behind = np.bincount(self.behind[self.held == kind], minlength=len(STATES))
            counts = {state: int(behind[i]) for i, state in enumerate(STATES) if state != "shared"}
            rows.append({"holds": name, "pages": int(behind.sum())} | counts)
        return pd.DataFrame(rows)

    def summary(self) -> dict[str, float | int | str]:
        """Return what the host has back, and what it cost since the start."""
        total = self.film.totals[self.second]
        counts = np.bincount(self.behind, minlength=len(STATES))
        return {
            "means": self.film.spec.means,
            "second": self.second,
            "taken_pages": self.behind.size - int(counts[BACKED]),
            "ballooned_pages": int(counts[BALLOONED]),
            "swapped_pages": int(counts[SWAPPED]),
            "untouched_pages": int(counts[UNTOUCHED]),
            "guest_faults": total.file_reads + total.swap_ins,
            "host_faults": total.host_faults,
            "double_paging": total.double_paging,
            "disk_reads": total.file_reads + total.swap_ins + total.host_faults,
            "disk_writes": total.file_writes + total.swap_outs,
            "waited_ms": round(1000 * total.waited_s, 3),
        }

    def explain(self) -> str:
        """Say what happened in the last second, and what the host has back by now."""
        spec, told = self.film.spec, self.summary()
        if not self.second:
            return (
                f"The guest has {spec.pages} pages, of which {spec.free_pages} are free; all have "
                f"a machine frame behind them. The host will want {spec.wanted_pages} back."
            )
        what = self.film.seconds[self.second - 1]
        host = what.host_did
        if not host:
            host = "The host has what it wants." if self.second <= spec.back_s else ""
        end = f"So far the host has {told['taken_pages']} of {spec.wanted_pages} pages"
        if self.second > spec.back_s:
            end = "The host wants nothing any more"
        waited = f"and the program has waited {told['waited_ms']:.0f} ms."
        return " ".join(filter(None, [host, what.program_did, f"{end}, {waited}"]))


@dataclass(frozen=True, eq=False)
class Comparison(Result):
    """The same guest, the same program, the same wish, by different means.

    Attributes
    ----------
    frames
        A picture of each, at the same second.
    """

    frames: tuple[ReclaimFrame, ...]

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each: what the host has back, and what it cost."""
        import pandas as pd

        shown = {
            "means": "means",
            "ballooned": "ballooned_pages",
            "swapped": "swapped_pages",
            "guest_faults": "guest_faults",
            "host_faults": "host_faults",
            "double_paging": "double_paging",
            "waited_ms": "waited_ms",
        }
        rows = [frame.summary() for frame in self.frames]
        return pd.DataFrame([{name: row[key] for name, key in shown.items()} for row in rows])

    def summary(self) -> dict[str, float | int | str]:
        """Return how long the program has waited by each means, and pages paged doubly."""
        told = {str(row["means"]): row for row in (frame.summary() for frame in self.frames)}
        waited = {f"{means}_waited_ms": row["waited_ms"] for means, row in told.items()}
        double = {f"{means}_double_paging": row["double_paging"] for means, row in told.items()}
        return {"second": self.frames[0].second, **waited, **double}

    def explain(self) -> str:
        """Say who has waited how long."""
        rows = [frame.summary() for frame in self.frames]
        waits = ", ".join(f"{row['means']} {row['waited_ms']:.0f} ms" for row in rows)
        double = ", ".join(f"{row['double_paging']} with {row['means']}" for row in rows)
        return (
            f"After {self.frames[0].second} s the program has waited: {waits}. "
            f"Pages fetched only to be written out: {double}."
        )
