"""From an address of the guest to code that is ready to run: all passes, one after another (S18).

    bytes -> instructions -> [deprivileged] -> a region -> a graph -> [what is needed] -> code

What cannot be translated is noted with its bytes, so that it is not tried again while they are the
same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtlab.machine.decode import LONGEST, REMEMBERED
from virtlab.machine.encoding import CS
from virtlab.machine.faults import Fault
from virtlab.machine.memory import PAGE
from virtlab.machine.pcode import PORTS, RAM
from virtlab.machine.translation.cache import Unit, UnitKey
from virtlab.machine.translation.deprivilege import deprivileged
from virtlab.machine.translation.heat import limit_for
from virtlab.machine.translation.lifting import lift
from virtlab.machine.translation.liveness import needs
from virtlab.machine.translation.regions import find_block, find_region, touches_memory
from virtlab.machine.translation.targets import Targets, table_of
from virtlab.machine.translation.tiers import MAKES_FLAGS, Purpose

if TYPE_CHECKING:
    from collections.abc import Callable

    from virtlab.machine.decode import Instruction
    from virtlab.machine.pcode import Op
    from virtlab.machine.processor import Processor
    from virtlab.machine.translation.liveness import Recipe
    from virtlab.machine.translation.passes import Passes
    from virtlab.machine.translation.regions import Region
    from virtlab.machine.translation.tiers import Host

    Fetch = Callable[[int], Instruction | None]

__all__ = ["Maker", "addresses_of"]

_SEGMENTS = 6
_NOTED = 4096  # places where nothing can be translated, at most


class Maker:
    """Makes translations.

    Parameters
    ----------
    host
        Of the tier.
    processor
        Whose code it is.
    passes
        What is done beyond replacing instructions.

    Attributes
    ----------
    recipes
        For flags that code does not compute, by their numbers, from 1.
    asking
        Physical pages whose code often meets memory that it cannot reach at once.
    targets
        Where the interpreter was seen to go on.
    only
        Which functions the next translation of a place is to have, at most.

    Examples
    --------
    >>> from virtlab.machine.computer import Computer
    >>> computer = Computer(ram_mib=2, history=0, tier="wasm")
    >>> computer.load_code(bytes.fromhex("4975fd f4"))  # dec ecx; jnz; hlt
    >>> maker = computer.translator.maker
    >>> unit = maker.make(UnitKey(0x100000, 0x100, 63), lambda address: True)
    >>> unit.places, maker.make(UnitKey(0x100003, 0x100, 63), lambda address: True)
    (((0, 1), (1, 2)), None)
    """

    def __init__(self, host: Host, processor: Processor, passes: Passes) -> None:
        self.host, self.processor, self.passes = host, processor, passes
        self.recipes: dict[int, Recipe] = {}
        self.asking: set[int] = set()
        self.targets = Targets()
        self.only: dict[UnitKey, set[int]] = {}
        self._nothing: dict[UnitKey, bytes] = {}
        self._calls: dict[int, tuple[int, tuple[int, ...]]] = {}
        self._last, self._dropped = 0, list[int]()

    def make(
        self, key: UnitKey, ran: Callable[[int], bool], times: int = 0, *, in_cache: bool = True
    ) -> Unit | None:
        """Translate from an address on.

        Parameters
        ----------
        key
            Where, and for what.
        ran
            Says whether a function has run before; what never ran is not taken along.
        times
            How many units have the first instruction already.
        in_cache
            Whether what only touches the interrupt flag is done in the cache.

        Returns
        -------
        Unit or None
            Ready to run; None if the first instruction is for the VMM.

        Examples
        --------
        See the class.
        """
        for number in self._dropped:
            del self.recipes[number]
        self._dropped.clear()
        begin = self._bytes(key) + bytes([in_cache])
        if self._nothing.get(key) == begin:
            return None
        region = self._region(key, ran, times, self._fetcher(key, in_cache=in_cache))
        if not region.code:
            if len(self._nothing) >= _NOTED:
                self._nothing.clear()
            self._nothing[key] = begin
            return None
        self._note_calls(region)
        graph = self.passes.made(lift(region))
        late = self.host.name in MAKES_FLAGS
        needed = needs(graph, drop_dead=self.passes.dead_flags, at_exits=not late)
        paged, asks = bool(key.flat >> _SEGMENTS), key.page in self.asking
        purpose = Purpose(paged, asks, self.passes.chaining, key[1:])
        first = self._last + 1
        compiled = self.host.compile(graph, needed, (key.address, 0), first, purpose)
        self._last += len(compiled.recipes)
        self.recipes.update(enumerate(compiled.recipes, first))
        places = [(i.address % PAGE, len(i.code)) for i in region.code.values()]
        numbers = range(first, self._last + 1)
        return Unit(key, self.host.install(compiled), tuple(places), recipes=numbers)

    def forget(self, unit: Unit) -> None:
        """Give up what a translation holds.

        It may be running: then it leaves soon, and what it did not compute is made after that. So
        recipes go only when the next translation is made.

        Parameters
        ----------
        unit
            One that `make` has made.

        Examples
        --------
        >>> from virtlab.machine.computer import Computer
        >>> computer = Computer(ram_mib=2, history=0, tier="wasm")
        >>> computer.load_code(bytes.fromhex("01d8 01d8 ebfa f4"))  # add, add, jmp
        >>> maker = computer.translator.maker
        >>> unit = maker.make(UnitKey(0x100000, 0x100, 63), lambda address: True)
        >>> maker.forget(unit)
        >>> unit = maker.make(UnitKey(0x100000, 0x100, 63), lambda address: True)
        >>> len(maker.recipes)
        1
        """
        self.host.remove(unit.slot)
        self._dropped += unit.recipes

    def caller(self, address: int) -> int | None:
        """Return which call has led to a function that its unit did not guess.

        Parameters
        ----------
        address
            Where the function begins; execution stands there.

        Returns
        -------
        int or None
            Address of the call, whose next instruction's is on top of the stack; None if it is not
            known, or if this function was among its guesses.

        Examples
        --------
        >>> from virtlab.machine.computer import Computer
        >>> computer = Computer(ram_mib=2, history=0, tier="wasm")
        >>> computer.load_code(bytes.fromhex("ffd0 f4"))  # call eax; hlt
        >>> maker, registers = computer.translator.maker, computer.processor.registers
        >>> unit = maker.make(UnitKey(0x100000, 0x100, 63), lambda address: True)
        >>> computer.memory.write(0x80000, bytes.fromhex("02001000"))  # comes back to the hlt
        >>> registers["ESP"] = 0x80000
        >>> hex(maker.caller(0x100010))
        '0x100000'
        """
        top = int.from_bytes(self._read(self.processor.registers["ESP"], 4), "little")
        at, guesses = self._calls.get(top, (None, ()))
        return None if address in guesses else at

    def _note_calls(self, region: Region) -> None:
        """Remember where calls come back to whose target is guessed."""
        if len(self._calls) >= REMEMBERED:
            self._calls.clear()
        for at, guesses in region.guesses.items():
            if region.code[at].mnemonic == "CALL":
                self._calls[region.code[at].next] = at, guesses

    def _bytes(self, key: UnitKey) -> bytes:
        """Return what decides whether something can be translated: two instructions at most."""
        place = key.page * PAGE + key.address % PAGE
        return self.processor.memory.read(place, 2 * LONGEST)

    def _region(self, key: UnitKey, ran: Callable[[int], bool], times: int, fetch: Fetch) -> Region:
        if self.passes.regions:
            guess = self._guess if self.passes.guesses else None
            limit, only = limit_for(times, self.passes.most), self.only.pop(key, None)
            calls = ran if only is None else lambda address: address in only and ran(address)
            return find_region(key.address, fetch, limit, calls, guess)
        return find_block(key.address, fetch, self.passes.most)

    def _guess(self, instruction: Instruction) -> tuple[int, ...]:
        """Return where an instruction may lead that computes where it jumps."""
        return table_of(instruction, self._read) or self.targets.seen(instruction.address)

    def _read(self, linear: int, size: int) -> bytes:
        """Return bytes of one page, if they can be had without a trace in the page tables."""
        paging, at = self.processor.paging, linear % PAGE
        base = paging.tlb.get(linear // PAGE, (None,))[0] if paging.on else linear - at
        if base is None:
            return b""
        return bytes(self.processor.memory.data[base + at : base + min(at + size, PAGE)])

    def _fetcher(self, key: UnitKey, *, in_cache: bool) -> Fetch:
        """Return what gives the instructions of one page."""
        first = key.address & ~(PAGE - 1)
        code = self.processor.memory.read(key.page * PAGE, PAGE)

        def fetch(address: int) -> Instruction | None:
            at = address - first
            if not 0 <= at < PAGE:
                return None
            try:
                found = self.processor.decoder.decode(address, code[at : at + LONGEST])
            except Fault:
                return None
            if in_cache:
                found = deprivileged(found, key.rights, ports=self.passes.ports)
            return found if _goes_through(found, key.flat) else None

        return fetch


def addresses_of(unit: Unit) -> set[int]:
    """Return the addresses of the instructions that a translation was made from.

    Parameters
    ----------
    unit
        The translation.

    Returns
    -------
    set
        Linear addresses.

    Examples
    --------
    >>> sorted(addresses_of(Unit(UnitKey(0x1003, 5, 63), 1, ((3, 2), (5, 1)))))
    [4099, 4101]
    """
    return {unit.key.address & -PAGE | place for place, _ in unit.places}


def _goes_through(instruction: Instruction, flat: int) -> bool:
    """Return whether an instruction reaches memory through flat segments only.

    CS is flat if all of it may be read and run; nothing is ever written through it.
    """
    ops = [op for op in instruction.ops if touches_memory(op) and op.segment != PORTS]
    return all(flat >> op.segment & 1 and not (op.segment == CS and _writes(op)) for op in ops)


def _writes(op: Op) -> bool:
    return op.code == "STORE" or (op.out is not None and op.out.space == RAM)
