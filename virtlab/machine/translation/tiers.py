"""What a tier has to offer: make a region's code, keep it, and run it (S18).

All tiers get the same graph and work on the same buffer (`virtlab.machine.translation.layout`);
they differ in what they make of it. The translator does not know which it has. To add one is to
write a `Host` and to name it in `TIERS`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

from virtlab.validate import one_of

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from virtlab.machine.translation.lifting import Graph, Key
    from virtlab.machine.translation.liveness import Needs, Recipe

    Load = Callable[[int, int], int]
    Store = Callable[[int, int, int], int]

__all__ = [
    "DONE",
    "EMPTY",
    "FAULT",
    "MAKES_FLAGS",
    "MISSING",
    "SLICE",
    "TIERS",
    "Compiled",
    "Host",
    "KeepsPages",
    "Purpose",
    "host_for",
]

TIERS = ("interpreter", "python", "wasm", "llvm")
MAKES_FLAGS = TIERS[1:]  # whose code makes flags that were put off where it leaves for good

# Why translated code comes back: go on at EIP; let the interpreter do one; too few instructions are
# left; no code is known for EIP; the host wanted to see where it stands, anywhere in a unit.
DONE, FAULT, EMPTY, MISSING, SLICE = range(5)


class Purpose(NamedTuple):
    """What code will be run for.

    Attributes
    ----------
    paged
        Whether paging is on: code made while it is off is never run while it is on.
    asks
        Whether memory that cannot be reached at once is often met, so that code should call the
        host and go on, and not leave.
    chains
        Whether its direct exits are linked (`virtlab.machine.translation.links`).
    home
        The physical page that it is made from, and what else it is found by.

    Examples
    --------
    >>> Purpose().paged, Purpose().chains
    (True, False)
    """

    paged: bool = True
    asks: bool = False
    chains: bool = False
    home: tuple[Hashable, ...] = (0,)


class Compiled(Protocol):
    """A region's code, not yet installed.

    Attributes
    ----------
    recipes
        For flags that it does not compute, in the order of their numbers.
    """

    @property
    def recipes(self) -> Sequence[Recipe]:
        """Return the recipes."""


class Host(Protocol):
    """Where the code of a tier lives and runs.

    Attributes
    ----------
    name
        Of the tier.
    view
        The buffer that it and the interpreter share.
    """

    name: str
    view: memoryview

    def compile(
        self,
        graph: Graph,
        needs: dict[Key, Needs],
        start: Key,
        first_recipe: int,
        purpose: Purpose | None = None,
    ) -> Compiled:
        """Make a region's code; its recipes are numbered from `first_recipe`."""

    def install(self, compiled: Any) -> int:
        """Make code of its own `compile` ready to run; return its slot."""

    def remove(self, slot: int) -> None:
        """Give a slot back."""

    def jump_to(self, address: int, slot: int, *, chain: bool = True) -> None:
        """Let running code find a slot by an address of the guest, and link exits to it."""

    def forget_jumps(self) -> None:
        """Let it find nothing."""

    def knows(self, address: int) -> bool:
        """Return whether it can go on at an address in the middle of a unit."""

    def enter(self) -> int:
        """Run from EIP on; return why it came back."""


@runtime_checkable
class KeepsPages(Protocol):
    """A host that has a TLB of its own, beside the buffer's tables and filled from them."""

    def forget_pages(self, linear: int | None) -> None:
        """Forget a page, or all."""

    def forget_writes(self) -> None:
        """Forget which pages may be written."""


def host_for(tier: str, ram_bytes: int, load: Load, store: Store, *, mmu: bool = True) -> Host:
    """Make the host of a tier.

    Parameters
    ----------
    tier
        One of `TIERS`, not 'interpreter'.
    ram_bytes
        The guest's memory.
    load, store
        What translated code asks when its TLB does not know a page: (address, bytes) gives the
        number, or -1 if it cannot be read; (address, bytes, number) gives 1 if it was not done.
    mmu
        False if paging is never turned on: then code reaches RAM without a TLB
        (`virtlab.machine.translation.layout`).

    Returns
    -------
    Host
        Without any code.

    Raises
    ------
    InvalidInputError
        If the tier is unknown, or what it needs is missing.

    Examples
    --------
    >>> host_for("wasm", 1 << 20, lambda at, size: -1, lambda at, size, value: 1).name
    'wasm'
    """
    one_of("tier", tier, TIERS[1:])
    if tier == "llvm":
        from virtlab.machine.translation.llvm_host import LlvmHost

        return LlvmHost(ram_bytes, load, store, mmu=mmu)
    if tier == "python":
        from virtlab.machine.translation.python_host import PythonHost

        return PythonHost(ram_bytes, load, store)
    from virtlab.machine.translation.wasm_host import WasmHost

    return WasmHost(ram_bytes, load, store, mmu=mmu)
