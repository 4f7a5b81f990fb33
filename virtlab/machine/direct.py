"""Direct execution: the guest's own instructions on the real processor, and traps (S5-S7, S13).

An interpreter and a translator run *other* instructions in place of the guest's. A virtual machine
monitor runs the guest's own, at a ring where they can do no harm, and is called only when one of
them needs it. Popek and Goldberg make that a condition of the word: all innocuous instructions are
executed by the hardware itself, without the monitor (the **efficiency** property). So the processor
must be of the guest's kind; where it is not there is only emulation.

`run_direct` does it with an ordinary process, held by ptrace: `virtlab.machine.direct_process` is
the monitor, a hundred lines. The guest is the very ELF that the interpreter and QEMU run. `in`,
`out` and `hlt` fault at ring 3, and so they reach the monitor. Which i386 instructions do *not*
fault there though they should is the next chapter's subject; the programs of
`virtlab.machine.guests` use none of them.

`run_native` runs the same source, built as a process of Linux, with nothing in between.

Sources: Popek and Goldberg, CACM 17(7), 1974; ptrace(2).

Left out: paging, interrupts, anything at ring 0: the small kernel of `guests.kernel()` is refused.
"""

from __future__ import annotations

import json
import platform
import struct
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from virtlab.machine.guests import guest
from virtlab.machine.image import load
from virtlab.results import Result
from virtlab.validate import integer, one_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from virtlab.machine.image import Image

__all__ = ["DirectRun", "linux_elf", "run_direct", "run_native", "why_not"]

_PAGE = 4096
_CHILD = Path(__file__).with_name("direct_process.py")
_RAM_BYTES = 64 * 2**20


@dataclass(frozen=True)
class DirectRun(Result):
    """A run on the real processor.

    Attributes
    ----------
    output
        What the program said.
    ended
        'exit', 'halted', 'limit' (of time or memory) or 'refused' (it did what its monitor does not
        do for it).
    why
        Of 'limit' and 'refused': what happened.
    status
        What it gave to the exit port.
    traps
        Instruction to how often it trapped; empty for a native run.
    guest_s, monitor_s, wall_s
        Processor time of the guest and of its monitor, and time on the clock.

    Examples
    --------
    >>> run = DirectRun("hi", "exit", "", 0, {"in": 2, "out": 3}, 0.010, 0.001, 0.012)
    >>> print(run.explain())
    It ran 11.0 ms on the processor, 1.0 of them in its monitor, and ended by itself with 0.
    It trapped 5 times: in 2, out 3.
    """

    output: str
    ended: str
    why: str
    status: int
    traps: Mapping[str, int]
    guest_s: float
    monitor_s: float
    wall_s: float

    @property
    def seconds(self) -> float:
        """Processor time of guest and monitor together."""
        return self.guest_s + self.monitor_s

    def to_frame(self) -> pd.DataFrame:
        """Return how often each instruction trapped."""
        import pandas as pd

        return pd.DataFrame(sorted(self.traps.items()), columns=["instruction", "traps"])

    def summary(self) -> dict[str, float | int | str]:
        """Return its numbers."""
        return {
            "ended": self.ended,
            "status": self.status,
            "traps": sum(self.traps.values()),
            "guest_ms": 1000 * self.guest_s,
            "monitor_ms": 1000 * self.monitor_s,
        }

    def explain(self) -> str:
        """Say how it went."""
        ends = {
            "exit": f"ended by itself with {self.status}",
            "halted": "halted",
            "limit": f"reached its limit ({self.why})",
            "refused": f"was ended by its monitor: {self.why}",
        }
        time = f"It ran {1000 * self.seconds:.1f} ms on the processor"
        time += f", {1000 * self.monitor_s:.1f} of them in its monitor," if self.traps else ""
        said = f"{time} and {ends[self.ended]}."
        if not self.traps:
            return said
        names = ", ".join(f"{name} {count}" for name, count in sorted(self.traps.items()))
        return f"{said}\nIt trapped {sum(self.traps.values())} times: {names}."


def linux_elf(image: Image) -> bytes:
    """Return a guest's image as a file that Linux starts: the same bytes at the same addresses.

    Linux maps whole pages, so each segment must stand as far into a page of the file as of memory;
    the course's guests are linked without that padding.

    Parameters
    ----------
    image
        A guest program.

    Returns
    -------
    bytes
        An ELF file.

    Examples
    --------
    >>> from virtlab.machine.image import parse
    >>> image = load(guest("sieve").path(), _RAM_BYTES)
    >>> again = parse(linux_elf(image), _RAM_BYTES)
    >>> again.segments == image.segments, again.entry == image.entry
    (True, True)
    """
    headers, body, first = b"", b"", _PAGE
    for segment in image.segments:
        at = first + len(body)
        at += (segment.address - at) % _PAGE
        body = body.ljust(at - first, b"\0") + segment.data
        headers += struct.pack(
            "<8I", 1, at, segment.address, segment.address, len(segment.data),
            segment.memory_bytes, segment.flags, _PAGE,
        )  # fmt: skip
    head = struct.pack(
        "<16sHHIIIIIHHHHHH", b"\x7fELF\x01\x01\x01", 2, 3, 1, image.entry, 52, 0, 0, 52, 32,
        len(image.segments), 0, 0, 0,
    )  # fmt: skip
    return (head + headers).ljust(_PAGE, b"\0") + body


@cache
def why_not() -> str:
    """Say why a guest can't run on this processor; nothing if it can.

    Returns
    -------
    str
        A reason in plain words, or ''.

    Examples
    --------
    >>> isinstance(why_not(), str)
    True
    """
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return (
            f"this processor is {platform.machine()}, and the guest is i386: "
            "another architecture can only be emulated"
        )
    if platform.system() != "Linux":
        return f"the monitor needs Linux, and this is {platform.system()}"
    try:
        run = _run(linux_elf(load(guest("sieve").path(), _RAM_BYTES)), "direct", 5)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        return f"a process can't be held here ({type(error).__name__}): a container may forbid it"
    return "" if run.ended == "exit" else f"it does not run here: {run.why}"


def run_direct(path: Path, *, max_seconds: int = 60) -> DirectRun:
    r"""Run a guest program on the real processor, under a monitor.

    Parameters
    ----------
    path
        An ELF file, as for `virtlab.machine.computer.Computer`.
    max_seconds
        Processor time after which it is ended.

    Returns
    -------
    DirectRun
        What it said, what trapped, how long it took.

    Raises
    ------
    InvalidInputError
        If the file is no i386 program.
    RuntimeError
        Where a guest can't run on this processor; `why_not()` is in it.

    Examples
    --------
    >>> if not why_not():
    ...     run = run_direct(guest("isprime").path())
    ...     assert run.output.endswith("primes below 500: 95\n")
    """
    seconds = integer("max_seconds", max_seconds, minimum=1)
    image = load(path, _RAM_BYTES)
    _possible()
    return _run(linux_elf(image), "direct", seconds)


def run_native(name: str, *, large: bool = False, max_seconds: int = 60) -> DirectRun:
    """Run one of the course's programs as a process of Linux, with nothing in between.

    Parameters
    ----------
    name
        As in `virtlab.machine.guests.GUESTS`.
    large
        The one for benchmarks.
    max_seconds
        Processor time after which it is ended.

    Returns
    -------
    DirectRun
        What it said, and how long it took.

    Raises
    ------
    InvalidInputError
        If there is no such program.
    RuntimeError
        Where a program for Linux on x86 can't run.

    Examples
    --------
    >>> if not why_not():
    ...     assert run_native("sieve").output == run_direct(guest("sieve").path()).output
    """
    seconds = integer("max_seconds", max_seconds, minimum=1)
    elf = guest(name).native_path(large=large).read_bytes()
    _possible()
    return _run(elf, "native", seconds)


def _possible() -> None:
    if why_not():
        raise RuntimeError(f"no guest runs directly here: {why_not()}")


def _run(elf: bytes, way: str, seconds: int) -> DirectRun:
    one_of("way", way, ("direct", "native"))
    done = subprocess.run(  # noqa: S603 - our own module
        [sys.executable, "-I", "-S", str(_CHILD), way, str(seconds)],
        input=elf, capture_output=True, timeout=10 + 4 * seconds, check=True,
    )  # fmt: skip
    told = json.loads(done.stdout)
    if told["ended"] == "impossible":
        raise OSError(told["why"])
    return DirectRun(**told)
