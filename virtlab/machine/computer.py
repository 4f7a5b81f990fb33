"""The guest computer: a processor, memory, and devices on a bus, and the loop that runs them.

One step is one of these: a device's interrupt is delivered, if one is pending and IF is set; or the
processor waits, halted, for the next event; or an instruction is done. One that cannot be done is
delivered as an exception, through the guest's interrupt table. If that faults too there is a double
fault (#DF), and if that cannot be delivered either the processor shuts down: a **triple fault**.

Time is the number of instructions (`virtlab.machine.devices.pit`), so a run of the same program
with the same input is the same, interrupts included. Steps can be taken back.

Source: Intel SDM, volume 3, section 6.8 (when interrupts come).

Left out: NMI, the local APIC, more than one processor.
"""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING

from virtlab.machine.bus import Bus
from virtlab.machine.decode import Decoder
from virtlab.machine.devices.exit_port import ExitPort
from virtlab.machine.devices.pic import Pic
from virtlab.machine.devices.pit import INSTRUCTIONS_PER_TICK, Clock, Pit
from virtlab.machine.devices.screen import Screen
from virtlab.machine.devices.two_disks import channel
from virtlab.machine.devices.uart import Uart
from virtlab.machine.encoding import CS
from virtlab.machine.faults import Fault
from virtlab.machine.history import (
    Done,
    Step,
    name_next,
    noted_step,
    take_back,
    told,
)
from virtlab.machine.mapped import Mapped
from virtlab.machine.memory import Memory
from virtlab.machine.processor import Processor
from virtlab.machine.registers import SIZE, Registers
from virtlab.machine.running import run
from virtlab.machine.start import MachineCode, start
from virtlab.machine.translation.layout import RAM
from virtlab.machine.traps import deliver_trap, end_rounds, software_interrupt
from virtlab.validate import InvalidInputError, integer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from virtlab.machine.console import Console
    from virtlab.machine.decode import Instruction
    from virtlab.machine.guest_run import GuestRun
    from virtlab.machine.start import Program
    from virtlab.machine.translation.passes import Passes
    from virtlab.machine.translation.translator import Translator

__all__ = ["Computer"]


class Computer:
    """A PC of one processor, without firmware.

    Parameters
    ----------
    ram_mib
        Memory, 1 to 3072 MiB.
    disk, second_disk
        Contents of its disk, and of another on the same channel; none if not given.
    history
        How many steps can be taken back; 0 for none, which is faster.
    instructions_per_tick
        How long a tick of the timer is.
    decoder
        One that another computer has used before: it knows what it has decoded.

    tier
        What runs the guest: 'interpreter', or one for translated code, which needs `history` 0
        (`virtlab.machine.translation.tiers`).
    passes
        What a translator does beyond replacing instructions; all if not given.
    keys
        What is typed on its console, and when: (instruction, byte) in order of time.
    mmu
        False for programs that never turn paging on: translated code reaches RAM directly. One that
        turns it on is refused with an `InvalidInputError`.

    Attributes
    ----------
    processor, memory, bus, clock
        Its parts.
    pic, pit, uart, screen, exit_port, disk, second_disk
        Its devices; a disk is None if it has none.
    mapped
        Finds those that lie in memory.
    breakpoints
        Linear addresses at which `run` stops before the instruction is done.
    watches
        (physical address, bytes) at whose change `run` stops.
    traps
        What was delivered since it was loaded: (name, how it came about) to times.
    translator
        Runs translated code; None without.
    shutdown
        Why the processor shut down; empty while it runs.

    Examples
    --------
    >>> computer = Computer(ram_mib=2)
    >>> computer.load_code(bytes.fromhex("66baf803 b041 ee 66baf400 b000 ee"))  # 'A', and exit
    >>> run = computer.run(1000)
    >>> run.text, run.exit_status, run.instructions
    ('A', 1, 6)
    >>> for _ in range(4):
    ...     _ = computer.step_back()
    >>> bytes(computer.uart.output), computer.processor.instructions
    (b'', 2)
    """

    def __init__(  # noqa: PLR0913 - what a machine is made of, all but the first by name
        self,
        ram_mib: int = 16,
        *,
        disk: bytes | None = None,
        second_disk: bytes | None = None,
        history: int = 10_000,
        instructions_per_tick: int = INSTRUCTIONS_PER_TICK,
        decoder: Decoder | None = None,
        tier: str = "interpreter",
        passes: Passes | None = None,
        keys: Sequence[tuple[int, int]] = (),
        mmu: bool = True,
    ) -> None:
        size = integer("ram_mib", ram_mib, minimum=1, maximum=3072) << 20
        self.translator = _translator(tier, size, history, passes, mmu=mmu)
        data = None if self.translator is None else self.translator.host.view
        self.memory = Memory(size, None if data is None else data[RAM:])
        self.bus = Bus()
        registers = Registers(None if data is None else data[:SIZE])
        self.processor = Processor(self.memory, registers, decoder or Decoder(), self.bus)
        self.processor.paging.allowed = mmu
        self.clock = Clock(lambda: self.processor.instructions)
        self.pic = Pic()
        self.pit = Pit(self.clock, self.pic, instructions_per_tick)
        self.uart, self.screen = Uart(self.pic, self.clock, keys), Screen(self.memory)
        self.exit_port = ExitPort()
        disks, self.disk, self.second_disk = channel(self.pic, disk, second_disk)
        for device in (self.pic, self.pit, self.uart, self.screen, self.exit_port, disks):
            if device is not None:
                self.bus.add(device)
        self.memory.beyond = self.mapped = Mapped(self.bus, self.clock, size)
        self.history: deque[Step] = deque(maxlen=integer("history", history, minimum=0))
        self.breakpoints: set[int] = set()
        self.watches: list[tuple[int, int]] = []
        self.traps: Counter[tuple[str, str]] = Counter()
        self.shutdown = ""
        self.loaded = False
        if self.translator is not None:
            self.translator.attach(self)

    # --- a program --------------------------------------------------------------------------------

    def load(self, program: Program) -> None:
        """Put a program into memory, and start it as a boot loader does.

        Parameters
        ----------
        program
            Such as `virtlab.machine.image.load` returns.

        Raises
        ------
        InvalidInputError
            If it has run already, or the program does not fit.
        """
        if self.loaded:
            raise InvalidInputError("computer", "one that has a program", "a new one")
        start(self.processor, program)
        self.loaded = True

    def load_code(self, code: bytes, address: int = 0x100000) -> None:
        """Put machine code into memory, and start it.

        Parameters
        ----------
        code
            Its bytes.
        address
            Of the first, which is where it starts.

        Examples
        --------
        >>> computer = Computer(ram_mib=2)
        >>> computer.load_code(bytes.fromhex("f4"))
        >>> computer.run(10).ended
        'halted'
        """
        end = len(self.memory.data) - len(code)
        self.load(MachineCode(code, integer("address", address, minimum=0, maximum=end)))

    # --- a step -----------------------------------------------------------------------------------

    @property
    def address(self) -> int:
        """Linear address of the instruction that is next."""
        base = self.processor.segments[CS].base
        return base + self.processor.registers["EIP"] & 0xFFFFFFFF

    def step(self) -> Step:
        """Do one step.

        Returns
        -------
        Step
            What happened.

        Raises
        ------
        InvalidInputError
            If the machine has ended.

        Examples
        --------
        See the class.
        """
        ended = self.ended
        if ended in ("exit", "shutdown"):
            raise InvalidInputError("computer", ended, "one that has not ended")
        if self.history.maxlen == 0:
            step = told(self._do())
        else:
            step = noted_step(self, lambda: told(self._do()))
            self.history.append(step)
        self.traps.update(step.traps)
        return step

    def proceed(self) -> None:
        """Do one step of which nobody wants to be told; it has not ended yet."""
        if self.history.maxlen:
            self.step()
        elif traps := self._do()[-1]:
            self.traps.update(traps)

    def _do(self) -> Done:
        """Do the first thing that is to be done."""
        processor = self.processor
        when, event = self.clock.now, self.bus.next_event()
        if event is not None and event <= when:
            self.bus.advance()
        where, ring = self.address, processor.cpl
        traps: list[tuple[str, str]] = []
        if self._interruptible and self.pic.pending():
            self.bus.touch()
            vector = self.pic.acknowledge()
            why = self._deliver(Fault(vector), "device", traps)
            what = f"interrupt {vector:#x} of a device"
            return when, where, ring, what, "interrupt", why, tuple(traps)
        if processor.halted:
            return self._wait(when, where, ring)
        traced = processor.registers.flag("TF")
        try:
            done = processor.step()
        except Fault as fault:
            self.clock.waited += 1
            what, why = name_next(processor), self._deliver(fault, "exception", traps)
            return when, where, ring, what, "trap", why, tuple(traps)
        why = self._after(done, traps, traced=bool(traced))
        return when, where, ring, done, "instruction", why, tuple(traps)

    @property
    def _interruptible(self) -> bool:
        return self.processor.registers.flag("IF") == 1 and not self.processor.shadow

    def _after(self, done: Instruction, traps: list[tuple[str, str]], *, traced: bool) -> str:
        """Count an interrupt that the instruction made, or trap after it if TF asks for that."""
        called = software_interrupt(done, self.processor)
        if called:
            traps.append((called, "instruction"))
            return f"{called}: the kernel's handler is called"
        if traced and not self.processor.shadow:
            end_rounds(done, self.processor)
            return self._deliver(Fault(1, why="TF is set"), "exception", traps)
        return ""

    def _wait(self, when: int, where: int, ring: int) -> Done:
        """Let time go on to the next event, if one can come."""
        event = self.bus.next_event()
        if self._is_stuck or event is None:
            return when, where, ring, "halted", "halted", "nothing can wake the processor", ()
        self.clock.waited += event - when
        return when, where, ring, f"halted until instruction {event}", "wait", "", ()

    @property
    def _is_stuck(self) -> bool:
        """Whether the processor is halted, and nothing can wake it."""
        if not self.processor.halted:
            return False
        comes = self.pic.pending() or self.bus.next_event() is not None
        return not (self.processor.registers.flag("IF") and comes)

    def _deliver(self, fault: Fault, how: str, traps: list[tuple[str, str]]) -> str:
        """Go to a handler; say how that went."""
        trap = deliver_trap(self.processor, fault, how)
        traps += trap.traps
        if trap.shutdown:
            self.shutdown = trap.why
        return trap.why

    # --- back -------------------------------------------------------------------------------------

    def step_back(self) -> Step:
        """Take the last step back, exactly.

        Returns
        -------
        Step
            The one that is undone.

        Raises
        ------
        InvalidInputError
            If there is none in the history.

        Examples
        --------
        >>> computer = Computer(ram_mib=2)
        >>> computer.load_code(bytes.fromhex("b82a000000"))
        >>> _ = computer.step()
        >>> str(computer.step_back().what), hex(computer.processor.registers["EAX"])
        ('MOV EAX,0x2a', '0x2badb002')
        """
        if not self.history:
            raise InvalidInputError("steps in the history", 0, "at least 1")
        step = self.history.pop()
        if step.undo is not None:
            take_back(self, step.undo)
        self.traps.subtract(step.traps)
        self.traps = +self.traps
        return step

    # --- a run ------------------------------------------------------------------------------------

    @property
    def ended(self) -> str:
        """Why nothing more can happen: 'exit', 'shutdown', 'halted'; empty while it runs."""
        if self.exit_port.status is not None:
            return "exit"
        return "shutdown" if self.shutdown else "halted" if self._is_stuck else ""

    def run(
        self,
        max_instructions: int = 10_000_000,
        *,
        progress: bool = False,
        console: Console | None = None,
    ) -> GuestRun:
        """Run until the guest ends, or something stops it.

        Ctrl-C stops it between two steps.

        Parameters
        ----------
        max_instructions
            Of how many it is stopped; those count that pass while it is halted.
        progress
            Whether to show a bar.
        console
            Who attends its serial port, if somebody does.

        Returns
        -------
        GuestRun
            What came of it.

        Examples
        --------
        >>> computer = Computer(ram_mib=2)
        >>> computer.load_code(bytes.fromhex("ebfe"))  # an endless loop
        >>> computer.run(100).ended
        'limit'
        """
        return run(self, max_instructions, progress=progress, console=console)


def _translator(
    tier: str, ram_bytes: int, history: int, passes: Passes | None, *, mmu: bool
) -> Translator | None:
    if tier == "interpreter":  # whose runs are often shorter than to load all of the translator is
        return None
    from virtlab.machine.translation.translator import translator_for

    return translator_for(tier, ram_bytes, history, passes, mmu=mmu)
