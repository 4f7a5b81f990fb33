"""A guest's run as the translation cache sees it: what came in, was found, and had to go (S18).

The recorder stands between the translator and two of its parts. It is the cache, and writes down
what is looked up, put in and thrown out; and it is the host, to which it tells of one translation
at a time, so that the translator is asked at every exit. That costs time and changes nothing else.

A unit that goes to itself is not seen to do so; how often it did follows from the instructions.

From what was written down follows what chaining saves. An exit that always leads to the same
address (a jump, a branch, a call, or running on into the next unit) can be made to go there
directly, once the other translation is there; the next time nobody is asked. When one of the two
is thrown out, the link goes with it. Returns and jumps through a register are looked up each time.

Source: Adams and Agesen (ASPLOS 2006), section 3.2, on chaining and on indirect control flow.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, cast

from virtlab.machine.computer import Computer
from virtlab.machine.decode import LONGEST
from virtlab.machine.guests import GUESTS, guest, kernel
from virtlab.machine.image import load
from virtlab.machine.memory import PAGE
from virtlab.machine.translation.cache import (
    TranslationCache,
    Unit,
    UnitKey,
    flush_all,
    least_used,
    oldest,
)
from virtlab.machine.translation.cache_moment import CacheLog, Event, UnitSeen
from virtlab.machine.translation.passes import ESX
from virtlab.machine.translation.regions import BRANCHES, INDIRECT, class_of
from virtlab.validate import InvalidInputError, integer, one_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from virtlab.machine.translation.cache import Policy
    from virtlab.machine.translation.tiers import Host

__all__ = ["POLICIES", "PROGRAMS", "record_cache"]

POLICIES: dict[str, Policy] = {"flush_all": flush_all, "oldest": oldest, "least_used": least_used}
ITSELF = "itself"  # the program that changes itself
PROGRAMS = (ITSELF, "kernel", *(one.name for one in GUESTS))
_RAM_MIB = 4


class _Recorder(TranslationCache):
    """A cache that writes down what happens to it.

    Parameters
    ----------
    limit, policy
        As of any cache.
    computer
        Whose translations it holds.
    """

    def __init__(self, limit: int, policy: Policy, computer: Computer) -> None:
        super().__init__(limit, policy)
        self._computer = computer
        self.events: list[Event] = []
        self.seen: list[UnitSeen] = []
        self._steps = 0  # of the interpreter, when a unit was entered last
        self._numbers: dict[tuple[UnitKey, tuple[tuple[int, int], ...]], int] = {}
        self._last = -1  # the unit that was entered last, if nothing came between
        self._links: set[tuple[int, int]] = set()
        self._plain: list[bool] = []  # of each unit: whether each entry does all of it, once
        self._began = self._done = 0  # instructions in all, and translated, at the last entry

    def _note(self, kind: str, unit: int, source: int = -1, at: int | None = None) -> None:
        now = self._computer.processor.instructions if at is None else at
        self.events.append(Event(now, kind, unit, source))

    def _number(self, unit: Unit) -> int:
        return self._numbers[unit.key, unit.places]

    def find(self, key: UnitKey) -> Unit | None:
        """Look a translation up, as ever; if it is there it will be entered."""
        self.settle()
        unit = super().find(key)
        if unit is not None:
            self._enter(self._number(unit))
        return unit

    def add(self, unit: Unit) -> list[Unit]:
        """Put a translation in, and say what had to go for it."""
        gone = super().add(unit)
        for old in gone:
            self._forget(old, "evict")
        number = self._numbers.setdefault((unit.key, unit.places), len(self.seen))
        if number == len(self.seen):
            self.seen.append(self._look_at(unit))
        self._note("translate", number)
        self._enter(number)
        return gone

    def forget(self, units: Sequence[Unit], counted: str) -> Sequence[Unit]:
        """Throw units out: their page was written on, or they are to be made anew."""
        gone = super().forget(units, counted)
        for old in gone:
            self._forget(old, "invalidate")
        return gone

    def _forget(self, unit: Unit, kind: str) -> None:
        number = self._number(unit)
        self._note(kind, number)
        self._links = {link for link in self._links if number not in link}
        if self._last == number:
            self._last = -1

    def _enter(self, number: int) -> None:
        """Write down that a unit is entered, and who led to it in which way."""
        steps = self._counted("steps")  # of the interpreter: what comes after one was not led to
        source = self._last if steps == self._steps else -1
        self._last, self._steps = number, steps
        self._began, self._done = (
            self._computer.processor.instructions,
            self._counted("instructions"),
        )
        if source < 0:
            self._note("enter", number)
        else:
            self._go(source, number)

    def _go(self, source: int, number: int, at: int | None = None) -> None:
        """Write down a way from one unit to the next."""
        if not self.seen[source].direct:
            kind = "lookup"
        else:
            kind = "chained" if (source, number) in self._links else "link"
            self._links.add((source, number))
        self._note(kind, number, source, at)

    def settle(self) -> None:
        """Write down how often the last unit went to itself: nobody was asked in between."""
        if self._last >= 0 and self._plain[self._last]:
            size = len(self.seen[self._last].code)
            done = self._counted("instructions") - self._done
            for turn in range(1, -(-done // size)):
                self._go(self._last, self._last, self._began + turn * size)
        self._done = self._counted("instructions")

    def _counted(self, what: str) -> int:
        translator = self._computer.translator
        return 0 if translator is None else translator.counts[what]

    def _look_at(self, unit: Unit) -> UnitSeen:
        """Read the instructions of a unit."""
        processor = self._computer.processor
        first = unit.key.address & ~(PAGE - 1)
        page = self._computer.memory.read(unit.key.page * PAGE, PAGE)
        found = [
            processor.decoder.decode(first + at, page[at : at + LONGEST]) for at, _ in unit.places
        ]
        last = found[-1]
        kinds = {op.code for op in last.ops}
        again = [op for op in last.ops if op.code in BRANCHES and op.ins[0].offset == last.address]
        straight = all(class_of(one) == "IDENT" for one in found[:-1])
        self._plain.append(straight and (not again or len(found) == 1))
        return UnitSeen(
            unit.key.address,
            unit.key.page,
            tuple(str(one) for one in found),
            sum(size for _, size in unit.places),
            direct=not kinds & INDIRECT and class_of(last) != "callout",
        )


class _OneAtATime:
    """A host that knows of one translation at a time, so that it comes back after each.

    Parameters
    ----------
    host
        The host that does the work.
    """

    def __init__(self, host: Host) -> None:
        self._host = host

    def __getattr__(self, name: str) -> object:
        """Leave all else to the host."""
        return getattr(self._host, name)

    def jump_to(self, address: int, slot: int, *, chain: bool = True) -> None:
        """Let running code find a slot, and no other: only what was asked for is chained."""
        if chain:
            self._host.forget_jumps()
            self._host.jump_to(address, slot)


@lru_cache(maxsize=64)
def record_cache(
    program: str = ITSELF,
    limit: int = 64,
    policy: str | Policy = "flush_all",
    instructions: int = 12_000,
    tier: str = "python",
) -> CacheLog:
    """Run a guest for a while, and write down what its translation cache does.

    Parameters
    ----------
    program
        One of `PROGRAMS`: 'itself' changes its own code, 'kernel' is the small kernel with its two
        processes, the others compute.
    limit
        How many units the cache holds, 4 to 4096.
    policy
        What has to go when it is full: one of `POLICIES`, or a function of your own.
    instructions
        How long, 1 to 200,000.
    tier
        What runs it; what is written down is the same in all.

    Returns
    -------
    CacheLog
        The run. Units are blocks of at most twelve instructions, made when code is first met.

    Raises
    ------
    InvalidInputError
        If there is no such program, policy or tier, or a number is out of range.

    Examples
    --------
    >>> log = record_cache("itself")
    >>> log.summary()["invalidations"] > 0, log.summary()["evictions"]
    (True, 0)
    >>> def newest(units):
    ...     return units[-1:]
    >>> record_cache("itself", limit=8, policy=newest).policy
    'newest'
    """
    one_of("program", program, PROGRAMS)
    integer("limit", limit, minimum=4, maximum=4096)
    integer("instructions", instructions, minimum=1, maximum=200_000)
    if isinstance(policy, str):
        rule = POLICIES[one_of("policy", policy, tuple(POLICIES))]
    else:
        rule, policy = policy, getattr(policy, "__name__", "a policy of your own")
    computer = Computer(_RAM_MIB, history=0, tier=tier, passes=replace(ESX, chaining=False))
    translator = computer.translator
    if translator is None:
        raise InvalidInputError("tier", tier, "one that translates")
    translator.cache = cache = _Recorder(limit, rule, computer)
    translator.heat.hot, translator.host = 1, cast("Host", _OneAtATime(translator.host))
    translator.attach(computer)
    if program == ITSELF:
        computer.load_code(_itself(), _START)
    else:
        path = kernel() if program == "kernel" else guest(program).path()
        computer.load(load(path, _RAM_MIB << 20))
    run = computer.run(instructions)
    cache.settle()
    return CacheLog(
        program, policy, limit, tuple(cache.seen), tuple(cache.events), run.instructions
    )


_START = 0x100000


def _itself() -> bytes:
    """Return a program that changes one of its functions at every eighth turn.

    It calls one function on each of three other pages, 40 times; the second one adds a number that
    stands in its code, and at times the program puts the next number there.
    """
    main = bytes.fromhex(
        "b928000000 31c0"  # mov ecx, 40; xor eax, eax
        "e8f40f0000"  # call 0x101000
        "e8ef1f0000"  # call 0x102000
        "e8ea2f0000"  # call 0x103000
        "f6c107 7506"  # test cl, 7; jnz +6
        "fe0502201000"  # inc byte [0x102002]
        "49 75e3 f4"  # dec ecx; jnz to the calls; hlt
    )
    first = bytes.fromhex("89c2 c1e203 29c2 0fb6c2 c3")  # mov, shl, sub, movzx, ret
    second = bytes.fromhex("83c001 a804 7402 31d0 40 c3")  # add eax, 1; test al, 4; jz; xor; inc
    third = bytes.fromhex("0fafc0 3d00100000 7205 c1e804 ebf4 c3")  # imul; cmp; jb; shr; jmp
    pages = (main, first, second, third)
    return b"".join(page.ljust(PAGE, b"\x90") for page in pages)
