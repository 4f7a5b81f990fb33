"""Runs a guest by translating it: the loop around the cache, and when Python has a say (S18).

    look up EIP ---- there ----> run translated code, region after region, until
         ^  |                        a region is missing
         |  missing                  an instruction is for the VMM, or may fault
         |  |                        no instructions are left before a timer's event
         |  v
         |  seen often enough?  -- yes -> translate and put it in the cache
         |  no
         +--+-- let the interpreter do one step

Code is interpreted at first: most of it runs once, and to translate an instruction costs as much as
to interpret ten. What the interpreter does is always right, so whatever is hard is left to it:
exceptions, interrupts, instructions that touch the machine, pages with code that are written on.

Everything is exact: the same output, registers, memory and number of instructions as the
interpreter alone, and interrupts after the same instruction.
"""

from __future__ import annotations

import struct
import time
import weakref
from collections import Counter
from typing import TYPE_CHECKING

from virtlab.machine.decode import LONGEST
from virtlab.machine.encoding import CS
from virtlab.machine.faults import Fault
from virtlab.machine.memory import PAGE
from virtlab.machine.translation.cache import TranslationCache, Unit, UnitKey
from virtlab.machine.translation.deprivilege import Rights, rights_of
from virtlab.machine.translation.heat import HOT, Heat
from virtlab.machine.translation.layout import CHAINED, LEFT, PENDING, RECIPE
from virtlab.machine.translation.making import Maker, addresses_of
from virtlab.machine.translation.modes import Modes
from virtlab.machine.translation.passes import Passes
from virtlab.machine.translation.port_map import PortMap
from virtlab.machine.translation.tiers import EMPTY, FAULT, MISSING, SLICE, TIERS, host_for
from virtlab.machine.translation.tlb import tlb_for
from virtlab.validate import InvalidInputError, one_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from virtlab.machine.computer import Computer
    from virtlab.machine.segments import Segment

__all__ = ["Translator", "translator_for"]

_MOST = 400_000_000  # instructions between two looks at Ctrl-C
_LOOK = 200  # steps in which to come by code, if execution was stopped in the middle of a unit
_OFTEN = 16  # times that code may leave before it is made anew


class Translator:
    """Runs one computer.

    Parameters
    ----------
    ram_bytes
        Its memory.
    cache
        For its translations.
    hot
        After how many visits code is translated (`virtlab.machine.translation.heat`).
    tier
        What it is translated to (`virtlab.machine.translation.tiers.TIERS`).
    passes
        What it does beyond replacing instructions; all if not given.
    mmu
        False for programs that never turn paging on.

    Attributes
    ----------
    host
        Runs what was translated; has the buffer that the computer is to work on.
    cache, tlb, maker, ports, heat, modes
        Its parts; `modes` only with `Passes(direct=True)`.
    counts
        'entries' into translated code; exits into other code along a link, 'chained', or by the
        hash table, 'hashed'; 'steps' of the interpreter, 'instructions' that ran translated,
        'coalesced' accesses to ports, which it did by itself, and 'translating_ns'.

    Examples
    --------
    >>> from virtlab.machine.computer import Computer
    >>> computer = Computer(ram_mib=2, history=0, tier="wasm")
    >>> computer.load_code(bytes.fromhex("b9a0860100 49 75fd f4"))  # count 100,000 down, halt
    >>> run = computer.run()
    >>> run.ended, run.instructions, computer.translator.counts["steps"] < 20
    ('halted', 200002, True)
    """

    def __init__(
        self,
        ram_bytes: int,
        cache: TranslationCache | None = None,
        hot: int = HOT,
        tier: str = "wasm",
        passes: Passes | None = None,
        *,
        mmu: bool = True,
    ) -> None:
        self.passes = passes or Passes()
        # Weakly: a host may keep what it calls for as long as it lives itself.
        ask = _weakly(self._load), _weakly(self._store)
        self.host = host_for(tier, ram_bytes, *ask, mmu=mmu)
        self.cache = TranslationCache() if cache is None else cache
        self.heat, self.counts, self._misses = Heat(hot), Counter[str](), Counter[int]()
        self._mode, self._flat, self._left_out = (False, Rights.KERNEL), 0, False
        self._segments: tuple[Segment, ...] = ()
        self._straight = 0  # which of them are flat
        self._linked: set[int] = set()  # linear pages that the driver finds code on
        self.modes = Modes() if self.passes.direct else None
        self._at_entry, self._looking, self._stopped = True, 0, False

    def attach(self, computer: Computer) -> None:
        """Take charge of a computer whose registers and memory lie in the host's buffer.

        Parameters
        ----------
        computer
            The computer.

        Examples
        --------
        See the class: a computer does it when it is made.
        """
        self.computer, self.processor = computer, computer.processor
        self.maker = Maker(self.host, computer.processor, self.passes)
        self.tlb = tlb_for(self.host, self.processor, self.cache)
        self.ports = PortMap(self.host.view, computer.bus)
        computer.memory.guarded = self.cache.pages
        self.processor.paging.on_change = self._paging_changed
        computer.memory.on_guarded = self._written

    # --- what others tell -------------------------------------------------------------------------

    def _paging_changed(self, linear: int | None) -> None:
        self.tlb.flush(linear)
        if linear is None or linear // PAGE in self._linked:
            self._unlink()

    def _written(self, address: int, size: int) -> None:
        """Forget what was made from bytes that have changed."""
        if self.cache.has_code(address, size):
            for page in range(address // PAGE, (address + size - 1) // PAGE + 1):
                gone = self.cache.forget_page(page)
                self.heat.changed(unit.key for unit in gone)
                self._remove(gone)

    def _remove(self, units: Sequence[Unit]) -> None:
        for unit in units:
            self.maker.forget(unit)
        if units:
            self._unlink()
            self.tlb.guard(self.cache.pages)

    def _unlink(self) -> None:
        self.host.forget_jumps()
        self._linked.clear()

    def _load(self, address: int, size: int) -> int:
        return self.tlb.load(address, size)

    def _store(self, address: int, size: int, value: int) -> int:
        return self.tlb.store(address, size, value)

    # --- the loop ---------------------------------------------------------------------------------

    def advance(self, limit: int) -> None:
        """Run on, for at least one step.

        Parameters
        ----------
        limit
            Instructions at most.

        Examples
        --------
        See the class: `Computer.run` calls it.
        """
        known = self._at_entry or self.host.knows(self.processor.registers["EIP"])
        if known and not self._is_for_the_interpreter():
            budget = self._budget(limit)
            if budget > 0 and self._is_there():
                reason, done = self._enter(budget)
                self._stopped = reason == FAULT
                if done and not self._stopped:
                    return
        self._step()

    def _is_for_the_interpreter(self) -> bool:
        computer, flag = self.computer, self.processor.registers.flag
        if self.processor.halted or self.processor.shadow or flag("TF"):
            return True
        return bool(flag("IF") and computer.pic.pending())

    def _budget(self, limit: int) -> int:
        """Return how many instructions may be done before something else is due."""
        event = self.computer.bus.next_event()
        due = _MOST if event is None else event - self.computer.clock.now
        return min(limit, due, _MOST)

    def _enter(self, budget: int) -> tuple[int, int]:
        """Run translated code; return why it came back, and how many instructions it did."""
        view = self.host.view
        view[LEFT : LEFT + 4] = struct.pack("<i", budget)
        # With IF set nothing is pending: an interrupt would have come before.
        waits = not self.processor.registers.flag("IF") and self.computer.pic.pending()
        view[PENDING] = waits
        if self.passes.ports:
            self.ports.publish()
        reason = self.host.enter()
        if self.passes.ports:
            self.counts["coalesced"] += self.ports.collect()
        if reason in (FAULT, EMPTY, SLICE):
            self._make_flags()
        if reason == SLICE:
            self._looking = _LOOK
        elif reason == MISSING:  # code has led here: a unit may begin, wherever it was entered
            self._at_entry = True
        done = budget - int(struct.unpack_from("<i", view, LEFT)[0])
        self.processor.instructions += done
        chained, hashed = struct.unpack_from("<II", view, CHAINED)
        self.counts.update(entries=1, instructions=done, chained=chained, hashed=hashed)
        view[CHAINED : CHAINED + 8] = bytes(8)
        return reason, done

    def _missed(self, address: int) -> None:
        """Make code anew that often left because it could not reach memory."""
        self._misses[address] += 1
        if self._misses[address] == _OFTEN and not self.processor.paging.on:
            self.maker.asking.add(address // PAGE)
            self._remove(self.cache.forget_page(address // PAGE, "made anew"))

    def _make_flags(self) -> None:
        """Make the flags that were not computed, now that somebody may look."""
        (number,) = struct.unpack_from("<I", self.host.view, RECIPE)
        if number:
            self.maker.recipes[number].follow(self.host.view)

    def _step(self) -> None:
        """Let the interpreter do a step; see whether a new piece of code begins after it."""
        self.counts["steps"] += 1
        self._looking -= self._looking > 0
        before, was_entry = self.processor.registers["EIP"], self._at_entry
        callouts, stopped, self._stopped = self.processor.callouts, self._stopped, False
        self.computer.proceed()
        after = self.processor.registers["EIP"]
        goes_on = 0 < after - before <= LONGEST
        if not goes_on:
            self.maker.targets.saw(before, after)
        self._at_entry = (was_entry and self._left_out) or not goes_on
        if stopped and callouts != self.processor.callouts:
            self._at_entry = True  # code goes on behind what was for the VMM
        elif stopped:
            self._missed(before)

    # --- translating ------------------------------------------------------------------------------

    def _is_there(self) -> bool:
        """Return whether there is code for where execution stands; make it if there should be."""
        self._left_out = False
        key = self._key()
        if key is None:
            return False
        unit = self.cache.find(key)
        if unit is None and self.host.knows(key.address):
            return True
        if unit is None and not self._looking and self.heat.is_hot(key):
            begun = time.perf_counter_ns()
            unit = self._translate(key)
            self.counts["translating_ns"] += time.perf_counter_ns() - begun
        if unit is not None:
            self._link(unit)
        return unit is not None

    def _key(self) -> UnitKey | None:
        """Return what a translation for here is found by; None if there can be none."""
        processor = self.processor
        mode = processor.cpl == 3, rights_of(processor.cpl, processor.registers.flag("IOPL"))
        if mode != self._mode:
            self._mode = mode
            self.tlb.flush()
            self._unlink()
        segments = tuple(processor.segments)
        if segments != self._segments:
            self._segments = segments
            self._straight = sum(_is_flat(k, one) << k for k, one in enumerate(segments))
        flat = self._straight | processor.paging.on << len(segments)
        if flat != self._flat:
            self._flat = flat
            self._unlink()
        if not self._flat >> CS & 1:
            return None
        address = processor.registers["EIP"]
        try:
            place = processor.paging.physical(address, write=False, user=mode[0])
        except Fault:
            return None
        return UnitKey(address, place // PAGE, self._flat, mode[1])

    def _translate(self, key: UnitKey) -> Unit | None:
        """Translate from an address on, and put it into the cache."""

        def ran(address: int) -> bool:
            return self.heat.has_run(key._replace(address=address))

        self._see_who_called(key.address)
        in_cache = self.passes.in_cache and not (self.modes and self.modes.now.direct)
        unit = self.maker.make(key, ran, self.cache.times(key), in_cache=in_cache)
        self._left_out = unit is None
        if unit is not None:
            is_new = key.page not in self.cache.pages
            self._remove(self.cache.add(unit))
            if is_new:
                self.tlb.guard(self.cache.pages)
        return unit

    def _see_who_called(self, address: int) -> None:
        """If a call has led here that was not seen to, let it be translated anew."""
        call = self.maker.caller(address)
        if call is not None and self.maker.targets.saw(call, address):
            around = [unit for unit in self.cache.units if call in addresses_of(unit)]
            self._remove(self.cache.forget(around, "made anew"))
            # No other functions than it had, though more have run by now.
            self.maker.only |= {unit.key: addresses_of(unit) | {address} for unit in around}

    def _link(self, unit: Unit) -> None:
        """Let running code find a unit; if its page had not been looked up, what else is there."""
        page = unit.key.address // PAGE
        for one in () if page in self._linked else self.cache.beside(unit.key):
            self.host.jump_to(one.key.address, one.slot, chain=False)
        self.host.jump_to(unit.key.address, unit.slot)
        self._linked.add(page)


def _weakly(method: Callable[..., int]) -> Callable[..., int]:
    """Return what calls a method without keeping what it belongs to."""
    reference = weakref.WeakMethod(method)

    def call(*numbers: int) -> int:
        found = reference()
        if found is None:
            raise RuntimeError("translated code outlived its translator")
        return found(*numbers)

    return call


def _is_flat(number: int, segment: Segment) -> bool:
    """Return whether a segment lets all through: it is written too, unless it is CS."""
    whole = segment.base == 0 and segment.limit == 0xFFFFFFFF and segment.big
    return whole and segment.allows(write=number != CS) and segment.holds(0, 1)


def translator_for(
    tier: str, ram_bytes: int, history: int, passes: Passes | None = None, *, mmu: bool = True
) -> Translator | None:
    """Return what translates in a tier.

    Parameters
    ----------
    tier
        One of `TIERS`.
    ram_bytes
        The computer's memory.
    history
        How many steps it is to take back; translated code takes none back.
    passes
        What the translator does beyond replacing instructions.
    mmu
        False for programs that never turn paging on.

    Returns
    -------
    Translator or None
        None if everything is interpreted.

    Raises
    ------
    InvalidInputError
        If the tier is unknown, steps are to be taken back, or `wasmtime` is missing.

    Examples
    --------
    >>> translator_for("interpreter", 1 << 20, history=10) is None
    True
    >>> translator_for("wasm", 1 << 20, history=10)
    Traceback (most recent call last):
    virtlab.validate.InvalidInputError: history = 10: must be 0 where code is translated
    """
    if one_of("tier", tier, TIERS) == "interpreter":
        return None
    if history:
        raise InvalidInputError("history", history, "0 where code is translated")
    return Translator(ram_bytes, tier=tier, passes=passes, mmu=mmu)
