"""A monitor for one virtual machine: it runs the guest's kernel at ring 1, and steps in (S13, S17).

Most of the guest's instructions run as they are. What it may not do at ring 1 **traps**, and the
monitor does it on the guest's behalf (**emulates**): it goes into the guest's world, does the
instruction there, and comes back. If it faults there too, it is the guest's own affair, and the
guest is to see it: the monitor **injects** the fault, as it does a device's interrupt, through the
guest's own interrupt table. The three parts of a monitor in Popek and Goldberg's paper are here:

    dispatcher    `Monitor.trapped`: where every trap goes
    allocator     `virtlab.machine.vmm.worlds` and `shadow`: who has which state
    interpreter   the processor's own routines, run in the guest's world

That works as far as each sensitive instruction traps. On an i386 some do not: they run at ring 1,
do something else than at ring 0, and nobody is told. `Monitor.wrongs` has them, found by doing each
twice (`judge`); a real monitor has no such list. With `patch` they are replaced (`patching`).

Between the guest and its devices stands `Monitor.io`, through which each `in` and `out` goes. What
answers may be replaced: `Monitor.ports`. `Monitor.log` tells what happened, layer by layer.

To play with: let `ports` answer something else; give a guest `patch=False` and see what it says;
`truncate=False`, and read the VMM's memory from ring 1; `judged=False`, which is what a real
monitor knows.

Source: G. Popek, R. Goldberg, "Formal requirements for virtualizable third generation
architectures", CACM 17 (7), 1974, section "The virtual machine monitor".

Left out: what `worlds` and `shadow` leave out; more than one processor.
"""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING, Any

from virtlab.machine.computer import Computer
from virtlab.machine.devices.pit import INSTRUCTIONS_PER_TICK
from virtlab.machine.faults import Fault, fault_name
from virtlab.machine.processor import Processor
from virtlab.machine.vmm.events import Event, Wrong, counted_as
from virtlab.machine.vmm.host import Deprivileged
from virtlab.machine.vmm.judge import do_and_judge
from virtlab.machine.vmm.patching import Patch, Patcher
from virtlab.validate import integer

if TYPE_CHECKING:
    from collections.abc import Callable

    from virtlab.machine.decode import Instruction
    from virtlab.machine.history import Step
    from virtlab.machine.ports import PortBus
    from virtlab.machine.start import Program

__all__ = ["Monitor"]

_LOG_EVENTS = 200_000


class _Ports:
    """What the processor takes for the bus: it leads to the monitor."""

    def __init__(self, monitor: Monitor) -> None:
        self.monitor = monitor

    def read(self, port: int, size: int) -> int:
        return self.monitor.io(port, size)

    def write(self, port: int, size: int, value: int) -> None:
        self.monitor.io(port, size, value)


class Monitor(Computer):
    """A computer whose guest kernel runs at ring 1, under a monitor.

    Parameters
    ----------
    ram_mib, disk, history, instructions_per_tick
        As in `Computer`.
    patch
        Whether instructions that could lie are replaced.
    truncate
        Whether the guest's segments end below the VMM's memory.
    judged
        Whether each instruction that touches the machine and does not trap is done twice, to see
        whether it lies.
    log_events
        How many events are kept at most; the oldest go first.

    Attributes
    ----------
    ports
        What answers `in` and `out`: its own devices, unless another is put here.
    log
        Events, in order.
    wrongs
        Instructions that lied to the guest, in order.
    entries
        Why the VMM was entered, to how often: an instruction, a fault, an interrupt.
    entered
        How often that was.
    injected
        What the guest's handlers were called for, to how often.
    patcher
        What was patched; None without `patch`.

    Examples
    --------
    >>> monitor = Monitor()
    >>> monitor.load_code(bytes.fromhex("fb 9c 58 8cc9 f4"))  # sti; pushf; pop eax; mov ecx,cs; hlt
    >>> monitor.run(100).ended
    'halted'
    >>> dict(monitor.entries)
    {'STI': 1, 'HLT': 1}
    >>> for wrong in monitor.wrongs:
    ...     print(wrong.instruction, *wrong.differences)
    MOV CX,CS ECX is 0x9 and should be 0x8
    """

    def __init__(
        self,
        ram_mib: int = 2,
        *,
        disk: bytes | None = None,
        history: int = 0,
        instructions_per_tick: int = INSTRUCTIONS_PER_TICK,
        patch: bool = False,
        truncate: bool = True,
        judged: bool = True,
        log_events: int = _LOG_EVENTS,
    ) -> None:
        super().__init__(
            ram_mib, disk=disk, history=history, instructions_per_tick=instructions_per_tick
        )
        self.ports: PortBus = self.bus
        self.processor: Deprivileged = Deprivileged(
            self.memory,
            decoder=self.processor.decoder,
            bus=_Ports(self),
            truncate=truncate,
            on_fault=self.trapped,
            on_direct=self._direct if judged else None,
            on_trace=self._traced,
        )
        self.patcher = Patcher(self.processor) if patch else None
        self.log: list[Event] = []
        self.wrongs: list[Wrong] = []
        self.entries: Counter[str] = Counter()
        self.entered = 0
        self.injected: Counter[str] = Counter()
        self._log_events = integer("log_events", log_events, minimum=0)
        self._where: Callable[[int], str] = hex
        self._said = ""
        self._past: deque[tuple[Any, ...]] = deque(maxlen=history)

    def load(self, program: Program) -> None:
        """Put a program into memory and start it, deprivileged.

        Parameters
        ----------
        program
            As in `Computer.load`.
        """
        super().load(program)
        self._where = getattr(program, "where", hex)
        if self.patcher is not None:
            self.patcher.where = self._where
        self._resume()

    # --- the guest's state ------------------------------------------------------------------------

    @property
    def guest_ring(self) -> int:
        """The ring that the guest believes to run at."""
        return 0 if self.processor.cpl == 1 else self.processor.cpl

    @property
    def layer(self) -> str:
        """Who runs now: 'guest user' or 'guest kernel'."""
        return "guest user" if self.guest_ring == 3 else "guest kernel"

    @property
    def _interruptible(self) -> bool:
        return self.processor.virtual.interrupts == 1 and not self.processor.shadow

    @property
    def _is_stuck(self) -> bool:
        if not self.processor.halted:
            return False
        comes = self.pic.pending() or self.bus.next_event() is not None
        return not (self.processor.virtual.interrupts and comes)

    def note(self, layer: str, what: str, words: str, at: tuple[int, int] | None = None) -> None:
        """Add an event to the log.

        Parameters
        ----------
        layer, what, words
            As in `Event`.
        at
            Time and address, if not the guest's own now.

        Examples
        --------
        >>> monitor = Monitor()
        >>> monitor.note("VMkernel", "queue", "a request of 512 bytes")
        >>> print(monitor.log[-1])
        0  0x0  VMkernel: queue a request of 512 bytes
        """
        if len(self.log) >= self._log_events:
            del self.log[: max(self._log_events // 2, 1)]
        if self._log_events:
            when, address = at or (self.clock.now, self.address)
            self.log.append(Event(when, address, self._where(address), layer, what, words))

    def _count(self, why: str) -> None:
        self.entries[why] += 1
        self.entered += 1

    # --- traps ------------------------------------------------------------------------------------

    def trapped(self, fault: Fault) -> Instruction:
        """Do for the guest what it could not do at ring 1: every trap of the guest's comes here.

        Parameters
        ----------
        fault
            Why it trapped.

        Returns
        -------
        Instruction
            The one that was done for it.

        Raises
        ------
        Fault
            If the guest's own machine would fault too: then that is what the guest is to see.
        """
        processor, at = self.processor, (self.clock.now, self.address)
        patch = self.patcher.at(self.address) if self.patcher is not None else None
        # The processor's reason names the patch; what is meant is the instruction beneath it.
        said = f"int3 over {patch.instruction}" if patch else str(fault)
        self.note(self.layer, "trap", said, at)
        noted = len(self.log)
        try:
            done = self._emulate(patch)
        except Fault as own:
            self._count(fault_name(own.vector))
            raise
        name = counted_as(done)
        self._count(f"{name} (patched)" if patch else name)
        self._said = f"{said}; the vmm does it for the guest"
        self.note("vmm", "emulate", str(done), at)
        if self.log:  # what devices did comes after it: it is because of it
            self.log.insert(noted, self.log.pop())
        processor.leave()
        self._resume()
        return done

    def _emulate(self, patch: Patch | None) -> Instruction:
        """Do the next instruction in the guest's world; leave that only if it cannot be done."""
        processor = self.processor
        if patch is not None and self.patcher is not None:
            self.patcher.lift(patch)
        processor.enter()
        done = None
        try:
            done = Processor.step(processor)
        finally:
            if patch is not None and self.patcher is not None:
                self.patcher.set_again(patch)
            if done is None:
                processor.leave()
        return done

    def _deliver(self, fault: Fault, how: str, traps: list[tuple[str, str]]) -> str:
        """Inject a fault or an interrupt through the guest's own interrupt table."""
        name = f"int {fault.vector:#x}" if how == "device" else fault_name(fault.vector)
        if how == "device":
            self._count(f"interrupt {fault.vector:#x}")
            self.note("device", "interrupt", f"{fault.vector:#x}")
        self.processor.enter()
        try:
            why = super()._deliver(fault, how, traps)
        finally:
            self.processor.leave()
        self.injected[name] += 1
        self.note("vmm", "inject", f"{name}: the guest's handler is next")
        self._resume()
        return why

    def _after(self, done: Instruction, traps: list[tuple[str, str]], *, traced: bool) -> str:
        why = super()._after(done, traps, traced=traced)
        words, self._said = self._said, ""
        return "; ".join(word for word in (words, why) if word)

    def _resume(self) -> None:
        """Look through the code that the guest is about to run, if patches are wanted."""
        if self.patcher is None:
            return
        for patch in self.patcher.scan(self.address):
            self.note("vmm", "patch", f"{patch.instruction} at {patch.symbol}")

    def _traced(self, address: int) -> None:
        self._count("trace")
        self.note("vmm", "trace", f"the guest has written to its table at {address:#x}")

    def _direct(self, name: str, instruction: Instruction) -> int | None:
        """Let an instruction run that touches the machine, and look whether it lies."""
        when, address, ring = self.clock.now, self.address, self.processor.cpl
        after, differences = do_and_judge(self.processor, name, instruction)
        if differences:
            where = self._where(address)
            self.note(self.layer, "silent", f"{instruction}: {differences[0]}")
            wrong = Wrong(when, address, where, ring, str(instruction), name, differences)
            self.wrongs.append(wrong)
            self._said = f"no trap, and {'; '.join(map(str, differences))}"
        return after

    # --- devices ----------------------------------------------------------------------------------

    def io(self, port: int, size: int, value: int | None = None) -> int:
        """Do `in` or `out` for the guest.

        Parameters
        ----------
        port, size
            Which port, and how many bytes.
        value
            What the guest writes; None if it reads.

        Returns
        -------
        int
            What it reads.

        Examples
        --------
        >>> monitor = Monitor()
        >>> monitor.io(0x3F8, 1, 0x41), bytes(monitor.uart.output)
        (65, b'A')
        >>> print(monitor.log[-1])
        0  0x0  device: out 0x3f8 <- 0x41
        """
        if value is None:
            found = self.ports.read(port, size)
            self.note("device", "in", f"{port:#x} -> {found:#x}")
            return found
        self.ports.write(port, size, value)
        self.note("device", "out", f"{port:#x} <- {value:#x}")
        return value

    # --- steps ------------------------------------------------------------------------------------

    def step(self) -> Step:
        """Do one step, as `Computer.step` does."""
        if self.history.maxlen == 0:
            return super().step()
        kept = self._keep()
        try:
            step = super().step()
        except BaseException:
            self._put_back(kept)
            raise
        self._past.append(kept)
        return step

    def step_back(self) -> Step:
        """Take the last step back, exactly; events that it noted are forgotten."""
        step = super().step_back()
        self._put_back(self._past.pop())
        return step

    def _keep(self) -> tuple[Any, ...]:
        patcher = self.patcher
        patched = None if patcher is None else (dict(patcher.patches), set(patcher.known))
        counts = self.entries.copy(), self.injected.copy()
        return self.processor.keep(), len(self.log), len(self.wrongs), counts, patched

    def _put_back(self, kept: tuple[Any, ...]) -> None:
        own, logged, wrongs, counts, patched = kept
        self.processor.put_back(own)
        del self.log[logged:], self.wrongs[wrongs:]
        self.entries, self.injected = counts
        self.entered = sum(self.entries.values())
        if self.patcher is not None and patched is not None:
            self.patcher.patches, self.patcher.known = patched
