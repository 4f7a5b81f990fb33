"""What one can ride: the small kernel, and a few bytes at any ring (S17).

A few bytes stand alone on the stage of `virtlab.machine.stage`, where all gates lead to ring 0. The
handlers there do the least: each halts, for there is no kernel that could help, but for that of
`int 0x80`, which returns.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from virtlab.machine.computer import Computer
from virtlab.machine.decode import Decoder
from virtlab.machine.faults import fault_name
from virtlab.machine.guests import kernel
from virtlab.machine.image import load
from virtlab.machine.registers import GENERAL
from virtlab.machine.stage import CODE, DATA, HANDLER, STACK, enter, make_tables
from virtlab.machine.walk.ride import Ride
from virtlab.validate import InvalidInputError, integer, one_of

__all__ = ["PROGRAMS", "Program", "attempt", "kernel_ride", "moments", "program", "read_bytes"]

MOST_BYTES, MOST_STEPS = 64, 300
_RAM = 2
_HALT, _IRET = bytes.fromhex("f4ebfd90"), bytes.fromhex("cf909090")
_CALL = 0x80


@dataclass(frozen=True)
class Program:
    """A few instructions that show something.

    Attributes
    ----------
    name
        What they try.
    code
        Their bytes, in hexadecimal.
    ring
        Where they are best tried.

    Examples
    --------
    >>> Program("switch interrupts off", "fa", 3).ring
    3
    """

    name: str
    code: str
    ring: int


PROGRAMS = (
    Program("cli: switch interrupts off", "fa", 3),
    Program("the same by popf, with flags from the stack", "9c 812424fffdffff 9d 9c 58", 1),
    Program("ask the kernel: int 0x80", "b804000000 cd80 90", 3),
    Program("call another gate: int 0x81", "cd81", 3),
    Program("ask where the tables lie: sgdt, sidt, str", "0f010500600000 0f010d10600000 0f00c8", 3),
    Program("ask which ring this is: mov eax, cs", "8cc8 2403", 1),
    Program("load a segment of ring 0: mov ds, eax", "b810000000 8ed8", 3),
    Program("write to a port: out 0x60, al", "b042 e660", 3),
    Program("halt: hlt", "f4", 1),
    Program("divide by zero", "31c9 f7f1", 3),
)


def program(name: str) -> Program:
    """Return a program of `PROGRAMS`.

    Parameters
    ----------
    name
        What it tries.

    Returns
    -------
    Program
        It.

    Raises
    ------
    InvalidInputError
        If there is none of that name.

    Examples
    --------
    >>> program("halt: hlt").code
    'f4'
    """
    names = tuple(one.name for one in PROGRAMS)
    return PROGRAMS[names.index(one_of("program", name, names))]


def read_bytes(text: str) -> bytes:
    """Read bytes as a person writes them.

    Parameters
    ----------
    text
        Hexadecimal, with or without blanks.

    Returns
    -------
    bytes
        At least one, at most 64.

    Raises
    ------
    InvalidInputError
        If it is anything else.

    Examples
    --------
    >>> read_bytes("cd 80").hex()
    'cd80'
    >>> read_bytes("cli")
    Traceback (most recent call last):
    virtlab.validate.InvalidInputError: bytes = 'cli': must be 1 to 64 bytes in hexadecimal, such \
as 'cd 80'
    """
    allowed = f"1 to {MOST_BYTES} bytes in hexadecimal, such as 'cd 80'"
    try:
        code = bytes.fromhex(text.replace(",", " ").replace("0x", " "))
    except ValueError as error:
        raise InvalidInputError("bytes", text, allowed) from error
    if not 1 <= len(code) <= MOST_BYTES:
        raise InvalidInputError("bytes", text, allowed)
    return code


@cache
def _decoder() -> Decoder:
    """Return one decoder for all attempts: to make one takes longer than to run them."""
    return Decoder()


def attempt(
    code: bytes, ring: int = 3, iopl: int = 0, *, interrupts: bool = True, most: int = MOST_STEPS
) -> Ride:
    """Try a few bytes at a ring.

    Parameters
    ----------
    code
        Machine code, 1 to 64 bytes.
    ring, iopl
        Where, 0 to 3.
    interrupts
        Whether they are on.
    most
        Steps, of which a program without an end is stopped.

    Returns
    -------
    Ride
        From its first instruction to the one after its last, or to the end of the machine.

    Examples
    --------
    >>> ride = attempt(bytes.fromhex("9c 812424fffdffff 9d"), ring=1)  # popf that clears IF
    >>> print(ride.go(ride.last).explain())
    POPF at ring 1 asks for IF = 0, and IF stays 1: no trap, no error, nobody knows.
    """
    if not 1 <= len(code) <= MOST_BYTES:
        raise InvalidInputError("code bytes", len(code), f"1 to {MOST_BYTES}")
    integer("ring", ring, minimum=0, maximum=3)
    integer("iopl", iopl, minimum=0, maximum=3)
    computer = Computer(_RAM, history=2_000, decoder=_decoder())
    processor = computer.processor
    make_tables(computer.memory)
    for vector in range(256):
        handler = _IRET if vector == _CALL else _HALT
        computer.memory.write(HANDLER + 4 * vector, handler)
    computer.load_code(code, CODE)
    for name in GENERAL:
        processor.registers[name] = 0
    enter(processor, ring, iopl)
    processor.registers.set_flag("IF", int(interrupts))
    end = CODE + len(code)
    places = {"code": CODE, "data": DATA, "stack": STACK}
    handlers = {f"handler of {fault_name(v)}": HANDLER + 4 * v for v in (*range(32), 0x80, 0x81)}
    start = (
        f"A program of {len(code)} byte{'s' * (len(code) > 1)} at ring {ring}, with IOPL {iopl} "
        f"and interrupts {'on' if interrupts else 'off'}. Nothing has run yet."
    )
    return Ride(computer, {**places, **handlers, "end": end}, start,
                lambda now: now.address == end and now.processor.cpl == ring, most)  # fmt: skip


@cache
def kernel_ride() -> Ride:
    """Boot the small kernel, to its end, once.

    Returns
    -------
    Ride
        Of about 166,000 steps; the first call takes some seconds, all calls give the same ride.

    Examples
    --------
    >>> kernel_ride().summary()["events"]
    44
    """
    computer = Computer(_RAM, history=2 * 1000)
    image = load(kernel(), _RAM << 20)
    computer.load(image)
    code = {name: one.address for name, one in image.symbols.items()}
    start = (
        "A boot loader has put the kernel at 0x100000 and jumps to it: ring 0, flat segments, no "
        "paging, interrupts off."
    )
    return Ride(computer, code, start)


def moments() -> dict[str, int]:
    """Return the moments of the small kernel that are worth a look: words to step.

    Returns
    -------
    dict
        In the order of time.

    Examples
    --------
    >>> list(moments())[4]
    'into ring 3, for the first time: IRET'
    """
    ride = kernel_ride()
    called = ride.first("int 0x80")
    fault = ride.first("#PF")
    return {
        "the boot loader hands over": 0,
        "tables are loaded: LGDT": ride.find("LGDT"),
        "the task's register: LTR": ride.find("LTR"),
        "paging is switched on: MOV CR0": ride.find("MOV CR0"),
        "into ring 3, for the first time: IRET": ride.first("iret"),
        "a process calls: INT 0x80": called,
        "and gets its answer: IRET": ride.first("iret", after=called),
        "the timer interrupts process A": ride.first("timer"),
        "and process B runs": ride.first("iret", after=ride.first("timer")),
        "a page is not there: #PF": fault,
        "and then it is: IRET": ride.first("iret", after=fault),
        "a page is the kernel's: #PF": ride.first("#PF", after=fault),
        "the end": ride.last,
    }
