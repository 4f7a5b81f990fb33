"""The translation cache: what was translated, where from, and when it has to be forgotten (S18).

A translation is good for one address, as long as the page that it was made from is the same
physical page with the same bytes. So it is found by address, page, and which segments are flat, and
it is forgotten when the guest writes on that page: a program that changes itself, or a loader that
puts another program there.

When the cache is full something has to go. `FlushAll` throws everything away and begins anew, as
ESX, QEMU and others do: it is simple, and what is needed is soon there again. `Oldest` and
`LeastUsed` throw away single translations; a policy of your own is a function.

Source: Adams and Agesen (ASPLOS 2006), section 3; Hazelwood and Smith, "Code Cache Management
Schemes for Dynamic Optimizers" (2002).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from virtlab.machine.memory import PAGE
from virtlab.machine.translation.deprivilege import Rights
from virtlab.machine.translation.policies import Policy, flush_all, least_used, oldest
from virtlab.validate import InvalidInputError, integer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from collections.abc import Set as AbstractSet

__all__ = ["Policy", "TranslationCache", "Unit", "UnitKey", "flush_all", "least_used", "oldest"]


class UnitKey(NamedTuple):
    """What a translation is found by.

    Attributes
    ----------
    address
        Linear address of its first instruction.
    page
        Number of the physical page that it was made from.
    flat
        Which segments were flat: a bit each; and above these whether paging was on.
    rights
        What it may do to the interrupt flag.
    """

    address: int
    page: int
    flat: int
    rights: Rights = Rights.KERNEL


@dataclass
class Unit:
    """One translation.

    Attributes
    ----------
    key
        What it is found by.
    slot
        Where its tier keeps the code.
    places
        What it was made from: (offset in the page, bytes) of each instruction.
    recipes
        Numbers of what it does not compute (`virtlab.machine.translation.liveness.Recipe`).
    born, used
        When it was made and last looked up, counted in look-ups.
    """

    key: UnitKey
    slot: int
    places: tuple[tuple[int, int], ...] = ()
    recipes: range = range(0)
    born: int = 0
    used: int = 0


class TranslationCache:
    """Translations by where they were made from.

    Parameters
    ----------
    limit
        How many it holds.
    policy
        Chooses what has to go when it is full.

    Attributes
    ----------
    counts
        'translations', 'hits', 'misses', 'evictions', 'invalidations'.
    generation
        Goes up whenever something is thrown away: what is running may be gone.

    Examples
    --------
    >>> cache = TranslationCache(limit=2, policy=oldest)
    >>> for at in (0x1000, 0x2000, 0x1010):
    ...     _ = cache.add(Unit(UnitKey(at, at >> 12, 63), slot=at, places=((at % 4096, 2),)))
    >>> cache.find(UnitKey(0x1000, 1, 63)) is None, len(cache)
    (True, 2)
    >>> [unit.key.address for unit in cache.forget_page(2)], set(cache.pages)
    ([8192], {1})
    >>> cache.counts["evictions"], cache.counts["invalidations"], cache.counts["misses"]
    (1, 1, 1)
    """

    def __init__(self, limit: int = 4096, policy: Policy = flush_all) -> None:
        self.limit, self.policy = integer("limit", limit, minimum=1), policy
        self.counts: Counter[str] = Counter()
        self.generation = 0
        self._units: dict[UnitKey, Unit] = {}
        self._on_page: defaultdict[int, dict[UnitKey, Unit]] = defaultdict(dict)
        self._dropped = 0  # how many look-ups there were before something was thrown away
        self._bytes: defaultdict[int, int] = defaultdict(int)  # a bit for each byte of code
        self._times: defaultdict[UnitKey, Counter[int]] = defaultdict(Counter)

    def __len__(self) -> int:
        """Return how many translations it holds."""
        return len(self._units)

    @property
    def units(self) -> list[Unit]:
        """What it holds, the first made first."""
        return list(self._units.values())

    @property
    def pages(self) -> AbstractSet[int]:
        """Pages that something was made from, now and later: it shows what changes."""
        return self._on_page.keys()

    def find(self, key: UnitKey) -> Unit | None:
        """Look a translation up.

        Parameters
        ----------
        key
            Which.

        Returns
        -------
        Unit or None
            None if it is not there.

        Examples
        --------
        >>> TranslationCache().find(UnitKey(0, 0, 63)) is None
        True
        """
        unit = self._units.get(key)
        self.counts["misses" if unit is None else "hits"] += 1
        if unit is not None:
            unit.used = self.counts.total()
        return unit

    def add(self, unit: Unit) -> list[Unit]:
        """Put a translation in.

        Parameters
        ----------
        unit
            The translation.

        Returns
        -------
        list
            What had to go for it.

        Raises
        ------
        InvalidInputError
            If the policy chooses nothing, something twice, or what the cache does not hold.

        Examples
        --------
        >>> cache = TranslationCache(limit=1)
        >>> cache.add(Unit(UnitKey(0, 0, 63), 1))
        []
        >>> [unit.slot for unit in cache.add(Unit(UnitKey(9, 0, 63), 2))]
        [1]
        """
        gone: list[Unit] = []
        if len(self._units) >= self.limit:
            gone = self._chosen()
            self.counts["evictions"] += len(gone)
            self._drop(gone)
        unit.born = unit.used = self.counts.total()
        self.counts["translations"] += 1
        self._units[unit.key] = unit
        self._on_page[unit.key.page][unit.key] = unit
        for offset, size in unit.places:
            self._bytes[unit.key.page] |= _bits(offset, offset + size - 1)
        self._times[_home(unit.key)].update(offset for offset, _ in unit.places)
        return gone

    def beside(self, key: UnitKey) -> list[Unit]:
        """Return the other translations of a page that are as good as one of them is.

        Parameters
        ----------
        key
            What the one is found by.

        Returns
        -------
        list
            Those that were looked up since something was thrown away: the others are to be looked
            up once more, so that a policy sees what is used.

        Examples
        --------
        >>> cache = TranslationCache()
        >>> for at in (0x1000, 0x1008, 0x5000):
        ...     _ = cache.add(Unit(UnitKey(at, 1, 63), 1))
        >>> [unit.key.address for unit in cache.beside(UnitKey(0x1008, 1, 63))]
        [4096]
        """
        page, like = key.address // PAGE, key[1:]
        return [
            unit
            for other, unit in self._on_page.get(key.page, {}).items()
            if unit.used >= self._dropped
            and other.address // PAGE == page
            and other[1:] == like
            and other != key
        ]

    def times(self, key: UnitKey) -> int:
        """Return how many translations have an instruction, wherever they begin.

        Parameters
        ----------
        key
            What one that begins with it would be found by.

        Returns
        -------
        int
            Only those count that may go on in that one without anybody looking it up.

        Examples
        --------
        >>> cache = TranslationCache()
        >>> _ = cache.add(Unit(UnitKey(0x1000, 1, 63), 1, ((0, 5), (5, 2))))
        >>> [cache.times(UnitKey(at, 1, 63)) for at in (0x1000, 0x1005, 0x1006)]
        [1, 1, 0]
        >>> cache.times(UnitKey(0x1005, 1, 63, Rights.INTERRUPTS))
        0
        """
        return self._times[home][key.address % PAGE] if (home := _home(key)) in self._times else 0

    def has_code(self, address: int, size: int) -> bool:
        """Return whether something was made from some bytes.

        Parameters
        ----------
        address, size
            Physical address of the first, and how many.

        Returns
        -------
        bool
            A page may hold code and data.

        Examples
        --------
        >>> cache = TranslationCache()
        >>> _ = cache.add(Unit(UnitKey(0x1000, 1, 63), 1, ((0, 5), (8, 2))))
        >>> cache.has_code(0x1004, 1), cache.has_code(0x1005, 3), cache.has_code(0xFFF, 2)
        (True, False, True)
        """
        last = address + size - 1
        return any(
            self._bytes.get(page, 0) & _bits(max(address - page * PAGE, 0), last - page * PAGE)
            for page in range(address // PAGE, last // PAGE + 1)
        )

    def forget_page(self, page: int, counted: str = "invalidations") -> Sequence[Unit]:
        """Throw away what was made from a page.

        Parameters
        ----------
        page
            Its physical number.
        counted
            As what it is counted.

        Returns
        -------
        Sequence
            What is gone.

        Examples
        --------
        >>> TranslationCache().forget_page(5)
        []
        """
        return self.forget(list(self._on_page.get(page, {}).values()), counted)

    def forget(self, units: Sequence[Unit], counted: str) -> Sequence[Unit]:
        """Throw units away.

        Parameters
        ----------
        units
            Some that it holds.
        counted
            As what it is counted.

        Returns
        -------
        Sequence
            The same.

        Examples
        --------
        >>> TranslationCache().forget([], "made anew")
        []
        """
        self.counts[counted] += len(units)
        self._drop(units)
        return units

    def _chosen(self) -> list[Unit]:
        """Return what the policy chooses; it may be a student's."""
        chosen = list(self.policy(self.units))
        held = {unit.key for unit in chosen if self._units.get(unit.key) is unit}
        if not chosen or len(held) < len(chosen):
            said = f"{len(chosen)} units of which {len(held)} are held, each counted once"
            raise InvalidInputError(
                "policy", said, "one that returns some of those held, each once"
            )
        return chosen

    def _drop(self, units: Sequence[Unit]) -> None:
        for unit in units:
            del self._units[unit.key]
            on_page = self._on_page[unit.key.page]
            del on_page[unit.key]
            home = _home(unit.key)
            self._times[home] -= Counter(offset for offset, _ in unit.places)
            if not self._times[home]:
                del self._times[home]
            if not on_page:
                del self._on_page[unit.key.page]
                self._bytes.pop(unit.key.page, None)
        if units:
            self.generation += 1
            self._dropped = self.counts.total()


def _home(key: UnitKey) -> UnitKey:
    """Return what all translations have in common that are made from one page, for one purpose."""
    return key._replace(address=key.address // PAGE)


def _bits(first: int, last: int) -> int:
    """Return a number with some bits set; those beyond a page do not matter."""
    last = min(last, PAGE - 1)
    return (1 << last + 1) - (1 << first)
