"""The guest programs that travel with the course: what each does, where its files are (S5, S16).

Twelve programs as one finds them in any benchmark, each of which spends its time in another kind of
instruction. They are freestanding: no operating system, no library, 32-bit protected mode from the
first instruction, nothing that an 80386 does not know. Each fills its data by a formula, so that a
result can be worked out elsewhere, says it on the serial port at 0x3F8, and ends with a write to
port 0xF4.

Sources and programs are in `program/`; `tools/build_guests.py` made the ones from the others, and
`program/SHA256SUMS` says from which bytes. Each is there in two sizes: one that an interpreter
finishes in seconds, and a large one of about a hundred million instructions, for benchmarks.

In `kernel/` there is **a small kernel** with what a kernel is made of: descriptor tables, paging, a
timer that preempts, system calls, and two processes at ring 3. Begin with `kernel.c`. In `driver/`
there is a smaller one that has **a disk driver**, and a program that reads through it.

In `locks/` is **a kernel that takes locks**: it switches interrupts off and on all the time.

In `mirror/` is **a kernel that looks at itself**: it asks the processor by each instruction that
may tell the truth at ring 0 and a lie elsewhere, and says what it hears. In `shell/` is **one that
you talk to** at its serial port: it waits for interrupts, works out sums, reads and writes sectors.

In `native/` are the same twelve as ordinary processes of Linux on x86: the same sources and the
same compiler, but for how they speak. That is what a program costs where nothing is between it and
the processor.

Outside this course they run in QEMU:

    qemu-system-i386 -kernel sieve.elf -display none -serial stdio
        -device isa-debug-exit,iobase=0xf4,iosize=4
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from virtlab.datasets import changed_files
from virtlab.validate import one_of

__all__ = [
    "DRIVER",
    "FOLDER",
    "GUESTS",
    "KERNEL",
    "LOCKS",
    "MIRROR",
    "NATIVE",
    "SHELL",
    "Guest",
    "changed_since_built",
    "driver",
    "guest",
    "kernel",
    "locks",
    "mirror",
    "shell",
]

FOLDER = Path(__file__).with_name("program")
NATIVE = Path(__file__).with_name("native")
KERNEL = Path(__file__).with_name("kernel")
DRIVER = Path(__file__).with_name("driver")
LOCKS = Path(__file__).with_name("locks")
MIRROR = Path(__file__).with_name("mirror")
SHELL = Path(__file__).with_name("shell")


@dataclass(frozen=True)
class Guest:
    """A guest program.

    Attributes
    ----------
    name
        Of its files.
    does
        What it works out, and what it spends its time with.
    instructions, large_instructions
        How many instructions a run takes, where the serial port is always ready: counted by
        Unicorn 2.1.4.

    Examples
    --------
    >>> one = Guest("sieve", "primes", 100, 1000)
    >>> one.path().name, one.path(large=True).name, one.source.name
    ('sieve.elf', 'sieve-large.elf', 'sieve.c')
    """

    name: str
    does: str
    instructions: int
    large_instructions: int

    def path(self, *, large: bool = False) -> Path:
        """Return where the program is.

        Parameters
        ----------
        large
            The one for benchmarks.

        Returns
        -------
        pathlib.Path
            An ELF file.
        """
        return FOLDER / f"{self.name}{'-large' if large else ''}.elf"

    def native_path(self, *, large: bool = False) -> Path:
        """Return where the same program is as a process of Linux.

        Parameters
        ----------
        large
            The one for benchmarks.

        Returns
        -------
        pathlib.Path
            An ELF file for Linux on x86.
        """
        return NATIVE / self.path(large=large).name

    @property
    def source(self) -> Path:
        """Where its source is; what all share is beside it."""
        return next(path for path in FOLDER.glob(f"{self.name}.*") if path.suffix in {".c", ".S"})


GUESTS = (
    Guest("isprime", "counts primes by trial division: idiv", 183_670, 112_479_367),
    Guest("sieve", "counts primes by a sieve: byte stores with a stride", 119_234, 84_886_240),
    Guest("crc32", "the checksum of Ethernet: shifts, loads from a table", 279_917, 96_017_823),
    Guest("fibonacci", "Fibonacci's numbers by the definition: call and ret", 162_749, 84_590_342),
    Guest("shellsort", "sorts with Knuth's gaps: loads and stores", 249_829, 148_282_371),
    Guest("matrix", "the product of two matrices: multiplications", 175_370, 119_087_629),
    Guest("search", "finds words by Horspool's way: compare and jump", 204_209, 149_338_350),
    Guest("quicksort", "sorts by partition: recursion, unsteady branches", 214_733, 106_246_921),
    Guest("bytecode", "interprets byte code: a jump through a table", 152_221, 137_133_842),
    Guest("queens", "places queens: recursion over sets of bits", 81_944, 186_332_792),
    Guest("digits", "e by long arithmetic: divisions, carries", 110_252, 88_644_647),
    Guest("tree", "a search tree: pointers, calls through one", 151_277, 136_953_437),
)


def guest(name: str) -> Guest:
    """Return the guest program of a name.

    Parameters
    ----------
    name
        As in `GUESTS`.

    Returns
    -------
    Guest
        What it does, and where its files are.

    Raises
    ------
    InvalidInputError
        If there is none of that name.

    Examples
    --------
    >>> guest("crc32").does
    'the checksum of Ethernet: shifts, loads from a table'
    >>> guest("crc64")
    Traceback (most recent call last):
    virtlab.validate.InvalidInputError: name = 'crc64': must be one of isprime, sieve, crc32, \
fibonacci, shellsort, matrix, search, quicksort, bytecode, queens, digits, tree
    """
    names = tuple(one.name for one in GUESTS)
    return GUESTS[names.index(one_of("name", name, names))]


def kernel() -> Path:
    """Return where the small kernel is.

    It makes its descriptor tables, switches paging on, and lets two processes at ring 3 take turns
    by the timer. One touches a page that is not there, and gets it; the other touches a page of the
    kernel, and is ended. A run takes about 165,000 instructions.

    Returns
    -------
    pathlib.Path
        An ELF file; its sources are beside it.

    Examples
    --------
    >>> from virtlab.machine.image import load
    >>> image = load(kernel(), ram_bytes=2 * 2**20)
    >>> image.multiboot is not None, "program" in image.symbols
    (True, True)
    """
    return KERNEL / "kernel.elf"


def driver() -> Path:
    """Return where the kernel with the disk driver is.

    Its program at ring 3 asks for sectors and says their checksum; which ones is said in its
    variable `task`. It has two drivers, for an ATA disk and for one that is virtual only.

    Returns
    -------
    pathlib.Path
        An ELF file; its sources are beside it.

    Examples
    --------
    >>> from virtlab.machine.image import load
    >>> load(driver(), ram_bytes=2 * 2**20).symbols["task"].bytes
    20
    """
    return DRIVER / "driver.elf"


def mirror() -> Path:
    """Return where the kernel is that looks at itself.

    It asks for its ring, its tables, its flags and CR0 by instructions that do not trap, and
    whether `popf` lets the timer interrupt. A run takes about 13,000 instructions.

    Returns
    -------
    pathlib.Path
        An ELF file; its source is beside it.

    Examples
    --------
    >>> from virtlab.machine.image import load
    >>> "set_flags" in load(mirror(), ram_bytes=2 * 2**20).symbols
    True
    """
    return MIRROR / "mirror.elf"


def locks(*, large: bool = False) -> Path:
    """Return where the kernel is that takes locks.

    It switches interrupts off and on, twice in each round, while a timer interrupts. A run takes
    about 470,000 instructions, the large one fifty times as many.

    Parameters
    ----------
    large
        The one for benchmarks.

    Returns
    -------
    pathlib.Path
        An ELF file; its source is beside it.

    Examples
    --------
    >>> from virtlab.machine.image import load
    >>> "on_timer" in load(locks(), ram_bytes=2 * 2**20).symbols
    True
    """
    return LOCKS / f"locks{'-large' if large else ''}.elf"


def shell() -> Path:
    """Return where the kernel is that you talk to.

    A line in, an answer out: `help` says which. Serial port, timer and disk interrupt it, and
    between two interrupts it halts.

    Returns
    -------
    pathlib.Path
        An ELF file; its sources are beside it.

    Examples
    --------
    >>> from virtlab.machine.image import load
    >>> "calculate" in load(shell(), ram_bytes=2 * 2**20).symbols
    True
    """
    return SHELL / "shell.elf"


def changed_since_built() -> list[str]:
    """Return the files of the programs and the kernels that are not those of the last build.

    Returns
    -------
    list of str
        File names; none where sources and programs belong together.

    Examples
    --------
    >>> changed_since_built()
    []
    """
    folders = (FOLDER, NATIVE, KERNEL, DRIVER, LOCKS, MIRROR, SHELL)
    return [name for folder in folders for name in changed_files(folder)]
