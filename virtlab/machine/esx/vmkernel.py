"""The VMkernel: owns what is real, and decides who has it next (S13, S15).

Each VM has an **extent**, a range of the real disk that is its whole disk. A request of its vmm is

1. looked up: which sectors of the real disk are meant, and are they the VM's own?
2. queued, beside the other VMs' requests;
3. started, when the disk is free and it is this VM's turn: by shares (`StartTimeFair`, chapter 05);
4. ended, when the disk interrupts: the vmm gets the bytes, and the VM may go on.

There is one processor. A VM has it until its guest halts; then the next one that has something to
do. While no VM has, time goes on to the disk's next interrupt.

That is all it does here. The talk's VMkernel has "300 K lines of code", says the talk; this one has
less than two hundred. Left out: shares of the processor (chapter 06), memory beyond who has which
range (07 to 09), the network (10), files in place of extents (11).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from virtlab.machine.esx.acts import VIRTUAL, Costs, Event, Log
from virtlab.machine.esx.physical import SECTOR, BlockRequest, PhysicalDisk
from virtlab.machine.esx.ranges import Range, Ranges
from virtlab.machine.esx.vmm import END, WAIT, World
from virtlab.resources.disk_policies import Policy, Request, StartTimeFair, Units
from virtlab.validate import InvalidInputError, number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Account", "VMkernel"]


@dataclass
class Account:
    """What the VMkernel knows of a VM.

    Attributes
    ----------
    world
        Its vmm.
    extent
        Its part of the disk, sectors.
    memory
        Its part of the memory, MiB.
    shares
        Of the disk.
    requests, moved_bytes, waited_us
        What was served so far, and how long its requests were in the queue.
    ready, over
        Whether it could use the processor now; whether it never will again.

    Examples
    --------
    >>> from virtlab.machine.esx.vmm import Recorded
    >>> Account(Recorded("VM1", []), Range(2048, 2048), Range(0, 2)).place(BlockRequest(8, 1)).lba
    2056
    """

    world: World
    extent: Range
    memory: Range
    shares: float = 1000.0
    requests: int = 0
    moved_bytes: int = 0
    waited_us: float = 0.0
    queue: deque[tuple[BlockRequest, float, str]] = field(default_factory=deque)
    ready: bool = True
    over: bool = False
    running: Iterator[Event] | None = None

    def place(self, request: BlockRequest) -> BlockRequest:
        """Return where a request is on the real disk.

        Parameters
        ----------
        request
            On the VM's own disk.

        Returns
        -------
        BlockRequest
            The same, further on.

        Raises
        ------
        InvalidInputError
            If any of it is not the VM's.

        Examples
        --------
        See the class.
        """
        end = request.lba + request.sectors
        if request.lba < 0 or request.sectors < 1 or end > self.extent.size:
            allowed = f"in the {self.extent.size} sectors of {self.world.name}"
            raise InvalidInputError("sectors", (request.lba, end - 1), allowed)
        return request.moved(self.extent.begin)


class VMkernel:
    r"""The kernel of the host.

    Parameters
    ----------
    disk
        The real disk.
    memory_mib
        How much memory there is for VMs.
    costs
        What acts take.
    policy
        Whose request is next.
    units
        What a request costs.

    Attributes
    ----------
    log
        What has happened, and the time.
    memory, extents
        Who has what.
    accounts
        What it knows of each VM, by name.

    Examples
    --------
    >>> from virtlab.machine.esx.vmm import Task, Vmm
    >>> kernel = VMkernel(PhysicalDisk.of(bytes(range(256)) * 2 * 4096))
    >>> vmm = Vmm("VM1", Task("own"), sectors=1024)
    >>> kernel.admit(vmm, memory_mib=2, sectors=1024)
    >>> kernel.run()
    >>> vmm.text, kernel.accounts["VM1"].moved_bytes
    ('checksum 0x80b62581\n', 512)
    """

    def __init__(
        self,
        disk: PhysicalDisk,
        memory_mib: int = 64,
        *,
        costs: Costs = VIRTUAL,
        policy: Policy | None = None,
        units: Units | None = None,
    ) -> None:
        self.disk, self.log = disk, Log(costs)
        self.memory, self.extents = Ranges(memory_mib, "MiB"), Ranges(disk.sectors, "sectors")
        self.accounts: dict[str, Account] = {}
        self._policy, self._units = policy or StartTimeFair(), units or Units()
        self._served: tuple[Account, BlockRequest] | None = None
        self._turn = 0
        self._keys: dict[str, int] = {}  # a number for each VM that there ever was: the policy's

    # --- what the Service Console asks for --------------------------------------------------------

    def admit(self, world: World, *, memory_mib: int, sectors: int, shares: float = 1000.0) -> None:
        """Take a VM in.

        Parameters
        ----------
        world
            Its vmm.
        memory_mib, sectors
            What it gets.
        shares
            Of the disk, > 0.

        Raises
        ------
        InvalidInputError
            If there is one of that name, or not enough is left; then nothing has changed.

        Examples
        --------
        See the class.
        """
        if number("shares", shares, minimum=0) == 0:
            raise InvalidInputError("shares", shares, "a number > 0")
        extent = self.extents.give(world.name, sectors)
        try:
            memory = self.memory.give(world.name, memory_mib)
        except InvalidInputError:
            self.extents.take(world.name)
            raise
        account = Account(world, extent, memory, shares)
        account.running = world.events()
        self.accounts[world.name] = account
        self._keys.setdefault(world.name, len(self._keys))

    def dismiss(self, name: str) -> None:
        """Let a VM go: its requests are forgotten, what it had is free.

        If the disk is just serving it, the end of that is waited for: what is written late must not
        meet the next owner.

        Parameters
        ----------
        name
            Which.

        Examples
        --------
        >>> kernel = VMkernel(PhysicalDisk.of(bytes(512)))
        >>> kernel.dismiss("VM1")
        Traceback (most recent call last):
        virtlab.validate.InvalidInputError: VM = 'VM1': must be one that is there: none is
        """
        account, service = self.account(name), self.disk.service
        account.queue.clear()
        if self._served is not None and self._served[0] is account and service is not None:
            self.log.now_us = max(self.log.now_us, service.done_us)
            self._interrupt()
        del self.accounts[name]
        self.extents.take(name)
        self.memory.take(name)

    def account(self, name: str) -> Account:
        """Return what it knows of a VM.

        Parameters
        ----------
        name
            Which.

        Raises
        ------
        InvalidInputError
            If there is none of that name.

        Examples
        --------
        See `dismiss`.
        """
        if name not in self.accounts:
            known = ", ".join(self.accounts) or "none is"
            raise InvalidInputError("VM", name, f"one that is there: {known}")
        return self.accounts[name]

    # --- the processor ----------------------------------------------------------------------------

    def run(self, until: Callable[[], bool] = lambda: False) -> None:
        """Let all VMs run, until none can, or something is so.

        Parameters
        ----------
        until
            Asked between two turns.

        Examples
        --------
        See the class.
        """
        while not until():
            self._interrupt()
            ready = [one for one in self.accounts.values() if one.ready]
            if ready:
                self._turn += 1
                self._let(ready[self._turn % len(ready)])
            elif self.disk.service is not None:
                self.log.now_us = max(self.log.now_us, self.disk.service.done_us)
            else:
                return

    def _let(self, account: Account) -> None:
        """Let a VM have the processor, until it waits or the disk interrupts."""
        for event in account.running or ():
            if event.kind == END:
                break
            if event.kind == WAIT:
                account.ready = False
                return
            self.log.add(account.world.name, event)
            if event.request is not None:
                self._submit(account, event.request)
            if self._interrupt():
                return
        account.ready, account.over = False, True

    # --- the disk ---------------------------------------------------------------------------------

    def _submit(self, account: Account, request: BlockRequest) -> None:
        """Look a request up, and queue it."""
        placed = account.place(request)
        others = sum(len(one.queue) for one in self.accounts.values()) + (self._served is not None)
        said = f"sector {request.lba} is {placed.lba} of the disk; {others} requests before it"
        account.queue.append((placed, self.log.now_us, said))
        self._start()

    def _start(self) -> None:
        """Start the next request, if the disk is free and there is one."""
        waiting = {self._keys[name]: one for name, one in self.accounts.items() if one.queue}
        if self._served is not None or not waiting:
            if not waiting and self._served is None:
                self._policy.rest()
            return
        names = list(self._keys)
        oldest = {key: self._asked(key, one.queue[0]) for key, one in waiting.items()}
        shares = [self.accounts[n].shares if n in self.accounts else 1.0 for n in names]
        account = waiting[self._policy.choose(oldest, shares)]
        request, since, said = account.queue.popleft()
        waited = self.log.now_us - since
        account.waited_us += waited
        queued = Event("vmkernel", "vmkernel", "queue", said)
        self.log.beside(account.world.name, queued, since, waited)
        self._served = account, request
        self.log.add(account.world.name, Event("vmkernel", "hardware", "start", str(request)))
        self.disk.start(request, self.log.now_us)

    def _asked(self, key: int, queued: tuple[BlockRequest, float, str]) -> Request:
        size_kb = queued[0].sectors * SECTOR / 1024
        return Request(key, size_kb, self._units.of(size_kb), queued[1])

    def _interrupt(self) -> bool:
        """End what the disk has done, if it has, and start the next; say whether it had."""
        service = self.disk.service
        if self._served is None or service is None or service.done_us > self.log.now_us:
            return False
        (account, request), self._served = self._served, None
        name, moved = account.world.name, request.sectors * SECTOR
        data = self.disk.finish()
        busy = Event("hardware", "hardware", "service", service.words, bytes=moved)
        self.log.beside(name, busy, service.start_us, service.us)
        self.log.add(name, Event("hardware", "vmkernel", "interrupt", "the disk is done"))
        if self.accounts.get(name) is account:
            account.requests += 1
            account.moved_bytes += moved
            said = f"{moved} bytes written" if request.write else f"{moved} bytes"
            self.log.add(name, Event("vmkernel", "vmm", "complete", said, bytes=moved))
            account.world.complete(data)
            account.ready = not account.over
        self._start()
        return True
