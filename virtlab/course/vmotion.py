"""Exercises of live migration (chapter 13): predict a pause, find the talk's bug, do better."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from virtlab.course.questions import Choice, Code, Mistake, Numeric
from virtlab.course.sheet import Sheet
from virtlab.migration.algorithms import Clark, Deck, StopAndCopy
from virtlab.migration.faults import Fault
from virtlab.migration.link import Link
from virtlab.migration.move import Move
from virtlab.migration.vm import Vm
from virtlab.migration.vmotion import MigrationRun, migrate, run_of
from virtlab.migration.workloads import RoundRobin, Trace, Uniform
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from virtlab.migration.algorithms import Algorithm, Pushing
    from virtlab.migration.room import Pages

__all__ = [
    "better",
    "bitmap",
    "lost_writes",
    "rounds",
    "sheet",
    "source_dies",
    "steady_pause",
    "stop_and_copy",
    "stop_rule",
    "whole",
]

_FILLED_MIB = 14
_SMALL = Vm(ram_mib=16, filled_mib=_FILLED_MIB)
_SLOW = Link(bandwidth_mib_s=16)
_WIDE = Vm(ram_mib=128, filled_mib=0)  # its bitmap takes a quarter of a millisecond to copy
_FAST_WRITER = RoundRobin(working_set_pages=32_768, dirty_pages_s=25_000)
_KEY_VALUE = Vm(ram_mib=64, filled_mib=56)  # of the trace of a key-value store


def _bitmap(mib: int = 512) -> Numeric:
    """Ask how large the bitmap is."""

    def draw(rng: np.random.Generator) -> Numeric:
        return _bitmap(int(2 ** rng.integers(6, 16)))

    pages = mib * 256
    return Numeric(
        name="bitmap",
        text=f"The **memory bitmap** has one bit for each page of 4,096 bytes. How many KiB is it "
        f"for a VM of **{mib:,} MiB**?",
        unit="KiB",
        relative=0.0,
        solve=lambda: Vm(ram_mib=mib).bitmap_bytes / 1024,
        why=f"{pages:,} pages, 8 to a byte.",
        mistakes=[
            Mistake(lambda: pages / 1024, "That would be a byte a page."),
            Mistake(lambda: mib * 1024 / 8, "One bit a page, not one a KiB."),
        ],
        hint="How many pages are there? How many of their bits are in a byte?",
        variant=draw,
    )


def _stop_and_copy(filled: int = 448, rate: int = 112) -> Numeric:
    """Ask how long a machine stands still if it is stopped first."""

    def draw(rng: np.random.Generator) -> Numeric:
        return _stop_and_copy(int(64 * rng.integers(1, 64)), int(16 * rng.integers(2, 64)))

    def solve() -> float:
        vm, link = Vm(ram_mib=filled, filled_mib=filled), Link(bandwidth_mib_s=rate)
        return migrate(vm, RoundRobin(1, 1), link, StopAndCopy()).downtime_ms / 1000

    return Numeric(
        name="stop_and_copy",
        text=f"A VM with **{filled:,} MiB** of filled pages is paused, copied over a link of "
        f"**{rate} MiB/s**, and goes on. For how many seconds does it stand still?",
        unit="s",
        relative=0.03,
        solve=solve,
        why="All of it is copied while it stands still; headers add a little.",
        mistakes=[Mistake(lambda: filled / rate * 8, "The link is in MiB/s, not in Mbit/s.")],
        hint="All its memory goes over the link meanwhile. Mind bits and bytes.",
        variant=draw,
    )


def _rounds(ram: int = 1024, rate: int = 100, dirty: int = 25, count: int = 3) -> Numeric:
    """Ask what is left after some rounds, by the geometric series."""

    def draw(rng: np.random.Generator) -> Numeric:
        rate = int(20 * rng.integers(2, 20))
        return _rounds(
            int(256 * rng.integers(1, 33)),
            rate,
            max(int(rate * rng.uniform(0.1, 0.7)), 1),
            int(rng.integers(2, 5)),
        )

    return Numeric(
        name="rounds",
        text=f"A VM of **{ram:,} MiB** dirties **{dirty} MiB/s**, always other pages; the link "
        f"carries **{rate} MiB/s**. Round 1 sends all of it, each further round what got dirty "
        f"meanwhile. How many MiB are dirty at the end of round {count}?",
        unit="MiB",
        solve=lambda: ram * (dirty / rate) ** count,
        why=f"Each round leaves {dirty}/{rate} of what it sent.",
        mistakes=[
            Mistake(
                lambda: ram * (dirty / rate) ** (count - 1),
                f"That is what round {count} sends. What gets dirty while it does?",
            ),
            Mistake(lambda: dirty * ram / rate, "That is after round 1; every round is shorter."),
        ],
        hint="A round takes as long as what it sends: how much gets dirty in that time?",
        variant=draw,
    )


def _ask_lost_writes() -> str:
    """Run the talk's steps as told, and see which writes are lost."""
    moved = _watched(Deck(as_told=True))
    lost = (moved.at_source != moved.at_target) & ~moved.to_fetch
    return "b" if lost.any() else "c"


def _ask_source_dies() -> str:
    """Let the source die while the machine fetches its pages."""
    run = migrate(
        _SMALL, Uniform(2048, 2000), _SLOW, Deck(), faults=[Fault(who="source", at_step=5)]
    )
    return {"moved": "a", "stayed": "b", "lost": "c"}[run.outcome]


def _ask_steady_pause() -> str:
    """Return the algorithm whose pause does not grow with the dirty rate."""

    def growth(algorithm: Algorithm) -> float:
        pauses = [
            migrate(_SMALL, Uniform(3000, rate), _SLOW, algorithm).downtime_ms
            for rate in (500, 3500)
        ]
        return pauses[1] / pauses[0]

    found = {
        "a": growth(Clark(min_mbit_s=64, max_mbit_s=128)),
        "b": growth(Deck()),
        "c": growth(StopAndCopy()),
    }
    found.pop("c")  # steady too, and the longest: not what is asked for
    return min(found, key=lambda key: found[key])


class _Watched(Move):
    """A machine room that keeps what both memories held when the machine was resumed."""

    def fetch(self, pages: Pages, pushing: Pushing, for_s: float = np.inf) -> Pages:
        self.keep(pages)
        return super().fetch(pages, pushing, for_s)

    def keep(self, to_fetch: Pages) -> None:
        """Keep versions of all pages; which of them will be fetched."""
        self.at_source, self.at_target = self.ideal.version.copy(), self.target.version.copy()
        self.to_fetch = np.zeros(self.vm.pages, dtype=np.bool_)
        self.to_fetch[to_fetch] = True


def _watched(algorithm: Algorithm) -> _Watched:
    """Run an algorithm on a machine that writes fast, and return the room with what it kept."""
    move = _Watched(_WIDE, _FAST_WRITER, _SLOW, seed=1)
    run_of(move, algorithm)
    if not hasattr(move, "to_fetch"):
        move.keep(np.empty(0, dtype=np.int64))
    return move


def _try_whole(check: Callable[[Any, Any, Any], Any]) -> str | None:
    """Hold a student's assertion against migrations that lose pages and some that don't."""
    cases: list[tuple[Algorithm, bool, str]] = [
        (Deck(as_told=True), True, "as told"),
        (Deck(), False, "paused before the bitmap is copied"),
        (StopAndCopy(), False, "stopped first"),
    ]
    for algorithm, is_lost, words in cases:
        moved = _watched(algorithm)
        try:
            check(moved.at_source, moved.at_target, moved.to_fetch)
        except AssertionError:
            if not is_lost:
                return (
                    f"It raises for the steps {words}, where nothing is lost. Which pages may "
                    f"differ, because they will be fetched?"
                )
        else:
            if is_lost:
                return "It says nothing about the steps as told, which lose pages."
    return None


@dataclass(frozen=True)
class _Rounds:
    """Pre-copy in rounds with a stop rule of one's own."""

    stop: Callable[[int, int, int], bool]
    name: str = "rounds"

    def run(self, move: Move) -> None:
        """Move the machine."""
        move.create_target()
        todo, before = move.all_pages, move.vm.pages
        for done in range(1, 60):
            move.send(todo)
            todo = move.sync()
            if self.stop(int(todo.size), int(before), done):
                break
            before = todo.size
        move.pause()
        move.send(move.join(todo, move.sync()))
        move.send_state()
        move.resume()
        move.announce()
        move.delete_source()


def _try_stop_rule(stop: Callable[[int, int, int], bool]) -> str | None:
    """Run pre-copy with a student's stop rule on three machines."""
    if not isinstance(stop(1, 2, 1), bool | np.bool_):
        return f"It returned {stop(1, 2, 1)!r}: return True to stop, or False."
    for kind, workload in (("quiet", Uniform(2000, 600)), ("busier", Uniform(3500, 2000))):
        still_ms = migrate(_SMALL, workload, _SLOW, _Rounds(stop)).downtime_ms
        if still_ms > 80:
            return (
                f"A {kind} machine stands still for {still_ms:.0f} ms. Its rounds still shrink "
                f"when you stop: go on a little."
            )
    busy = migrate(_SMALL, Uniform(3500, 9000), _SLOW, _Rounds(stop))
    if busy.sent_mib > 4 * _FILLED_MIB:
        return (
            f"A machine that dirties more than the link carries was sent "
            f"{busy.sent_mib / _FILLED_MIB:.0f} times. Compare `dirty` with `before`."
        )
    return None


def _pre_copy() -> MigrationRun:
    """Return what is to be beaten."""
    return migrate(_KEY_VALUE, Trace.named("redis_set"), _SLOW, Clark(), seed=1)


def _try_better(make: Callable[[], Algorithm]) -> str | None:
    """Run a student's algorithm on a key-value store, and compare."""
    if not (hasattr(make(), "run") and hasattr(make(), "name")):
        return "This wants a class with `name` and `run(self, move)`."
    try:
        run = migrate(_KEY_VALUE, Trace.named("redis_set"), _SLOW, make(), seed=1, give_up_s=60)
        fast = migrate(_WIDE, _FAST_WRITER, _SLOW, make(), give_up_s=60)
    except InvalidInputError as error:
        return f"The machine room says: {error}"
    return _lacks(run, fast)


def _lacks(run: MigrationRun, fast: MigrationRun) -> str | None:
    """Say what two runs of a student's algorithm lack; None if nothing."""
    if "stayed" in (run.outcome, fast.outcome):
        return "After 60 s the machine had not moved: pre-copy never ends here."
    if wrong := max(run.wrong_pages, fast.wrong_pages):
        return (
            f"{wrong} pages are wrong on the target. Is each page sent, or fetched, after its last "
            f"write? And when do you look at the bitmap?"
        )
    if run.announcements != 1:
        return "Nobody told the switches where the machine is now: `move.announce()`, once."
    still, to_beat = run.downtime_ms + run.stalled_ms, _pre_copy().downtime_ms
    if still >= to_beat:
        return (
            f"It stands still and waits for {still:.0f} ms; pre-copy {to_beat:.0f} ms. "
            f"What could go after the machine?"
        )
    return None


bitmap = _bitmap()
stop_and_copy = _stop_and_copy()
rounds = _rounds()
lost_writes = Choice(
    name="lost_writes",
    text="The talk's step 3 copies the bitmap *while the source still runs*. Which pages does the "
    "target have wrong in the end?",
    options={
        "a": "Those written while memory was copied (step 2)",
        "b": "Those written while the bitmap was copied, and not before",
        "c": "None: whatever is dirty is fetched on demand",
    },
    solve=_ask_lost_writes,
    hints={
        "a": "Those are in the bitmap, so the target fetches them.",
        "c": "A page is fetched if the bitmap names it. When was the bitmap read?",
    },
    why="They are in no bitmap, so the target keeps its old copies for good.",
)
source_dies = Choice(
    name="source_dies",
    text="The VM runs on the target already and fetches its dirty pages (step 5). Now the **source "
    "host dies**. What happens to the VM?",
    options={
        "a": "It goes on at the target",
        "b": "It goes on at the source after a restart",
        "c": "It is lost",
    },
    solve=_ask_source_dies,
    hints={
        "a": "Some of its pages exist only on the host that died.",
        "b": "The source's copy is older than what the VM has done since.",
    },
    why="Until the last page has come, the VM needs both hosts: that is the price of the pause.",
)
steady_pause = Choice(
    name="steady_pause",
    text="The VM writes seven times as fast. Whose pause stays **short and the same**?",
    options={
        "a": "Pre-copy in rounds (Clark)",
        "b": "The talk's seven steps",
        "c": "Stop and copy",
    },
    solve=_ask_steady_pause,
    hints={
        "a": "The more it writes, the more is left for the last round, in which it is paused.",
        "c": "The same it is; but short?",
    },
    why="The talk's pause is device state and bitmap over bandwidth, whatever the VM writes.",
)
whole = Code(
    name="whole",
    text="Write `whole(source, target, to_fetch)`, which raises an `AssertionError` if a page is "
    "lost. `source` and `target` are arrays with the version of each page at the moment the VM is "
    "resumed, `to_fetch` says of each page whether the target will fetch it.",
    test=_try_whole,
    why="It fails for the talk's steps as told, and for no others: a bug found by a test.",
)
stop_rule = Code(
    name="stop_rule",
    text="Pre-copy goes in rounds. Write `stop(dirty, before, rounds)`: `dirty` pages are dirty "
    "now, the last round sent `before` pages, and `rounds` are done. Return `True` when the VM "
    "should be paused. A VM whose rounds shrink, be it slowly, should stand still for 80 ms at "
    "most, of which 62 go to the state of its processor and devices; one that writes faster than "
    "the link carries should not be sent for ever.",
    test=_try_stop_rule,
    seconds=20.0,
    why="Clark stops for one of two reasons: less than 256 KB, 64 pages, is left, or pages get "
    "dirty as fast as the link may carry them.",
)
better = Code(
    name="better",
    text="Beat pre-copy on a key-value store that is written all the time (the trace "
    "`redis_set`). Write a class with a `name` and `run(self, move)` that stands still and waits "
    "less than pre-copy's pause, and moves every page right.",
    test=_try_better,
    wants="a class",
    seconds=60.0,
    why="Where pages get dirty faster than they can be sent, memory must follow the machine.",
)
sheet = Sheet(
    "vmotion",
    [
        bitmap,
        stop_and_copy,
        rounds,
        steady_pause,
        lost_writes,
        source_dies,
        whole,
        stop_rule,
        better,
    ],
)
