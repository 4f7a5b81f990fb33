"""One program, several ways to run it, and what each costs (S5-S7).

The talk tells two words apart: **simulation** offers the same architecture in software,
**emulation** another one. What either costs is decided by something else: who executes the guest's
instructions.

- *native*: the processor does, and nothing else is there.
- *direct execution under a monitor*: the processor does, but what the guest must not do itself
  traps to a monitor (`virtlab.machine.direct`). A virtual machine in the strict sense: Popek and
  Goldberg demand that the hardware executes all but a few instructions itself.
- *translated*: other instructions, made from the guest's and kept (QEMU's TCG); and in the same way
  by this course's own translator, in each of its tiers (`virtlab.machine.translation`).
- *interpreted*: a program looks at each instruction anew (`virtlab.machine.computer`).

The last ones work on any processor: on x86 they simulate the i386, on ARM they emulate it, by the
same code at the same price. The first two need a processor of the guest's kind.

`compare` measures them in turns (native, direct, translated, interpreted, native, ...), so that
whatever slows the machine down meets all of them; ratios are taken turn by turn. Time is processor
time. A way starts counting where the guest does: native and direct at the program's first
instruction; QEMU by taking a small run's time from a large one's, in which its start and firmware
fall out; the interpreter is timed over the first instructions of the small program.

    slowdown of direct execution = 1 + traps per instruction x trap time / native time

Sources: Popek and Goldberg, CACM 17(7), 1974; Adams and Agesen, ASPLOS 2006, section 2.

Our own tiers are timed over the whole of a large program, with what they pay at the start; the
python tier over a part of it.

Left out: hardware's help for virtual machines (VT-x).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from virtlab.datasets import ways as stored_ways
from virtlab.machine import direct
from virtlab.machine.comparison import Comparison, Sample
from virtlab.machine.guests import GUESTS, Guest, guest
from virtlab.machine.image import load
from virtlab.validate import InvalidInputError, integer, one_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["WAYS", "Way", "all_stored", "compare", "here", "stored"]

_INTERPRETED = 20_000  # instructions: about a second
_RAM_BYTES = 2 * 2**20
_COLUMNS = ["instructions", "seconds", "traps", "monitor_s"]


@dataclass(frozen=True)
class Way:
    """A way to run a guest program.

    Attributes
    ----------
    name
        In a word.
    how
        Who executes the guest's instructions.
    run
        Runs a program once.
    why_not
        Says why it can't be done here; '' if it can.
    any_processor
        Whether it works on a processor of another kind than the guest's.

    Examples
    --------
    >>> [way.name for way in WAYS if way.any_processor]
    ['translated', 'llvm tier', 'wasm tier', 'python tier', 'interpreted']
    """

    name: str
    how: str
    run: Callable[[Guest], Sample]
    why_not: Callable[[], str]
    any_processor: bool = False


def _native(program: Guest) -> Sample:
    run = direct.run_native(program.name, large=True)
    return Sample(program.large_instructions, run.seconds)


def _direct(program: Guest) -> Sample:
    run = direct.run_direct(program.path(large=True))
    traps = sum(run.traps.values())
    return Sample(program.large_instructions, run.seconds, traps, run.monitor_s)


def _qemu() -> str | None:
    return shutil.which("qemu-system-i386") or shutil.which("qemu-system-x86_64")


def _no_qemu() -> str:
    return "" if _qemu() else "there is no QEMU here (Debian: qemu-system-x86)"


def _qemu_seconds(program: Guest, *, large: bool) -> float:
    """Return the processor time of QEMU with a program, its start and firmware with it."""
    words = [
        *(str(_qemu()), "-kernel", str(program.path(large=large)), "-m", "32"),
        *("-accel", "tcg", "-cpu", "486", "-nodefaults", "-display", "none", "-no-reboot"),
        *("-serial", "null", "-device", "isa-debug-exit,iobase=0xf4,iosize=4"),
    ]
    quiet: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    if not hasattr(os, "wait4"):  # Windows: the clock will do
        begun = time.perf_counter()
        subprocess.run(words, **quiet, timeout=120, check=False)  # noqa: S603 - one we looked up
        return time.perf_counter() - begun
    with subprocess.Popen(words, **quiet) as process:  # noqa: S603 - as above
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    return used.ru_utime + used.ru_stime


def _translated(program: Guest) -> Sample:
    seconds = _qemu_seconds(program, large=True) - _qemu_seconds(program, large=False)
    return Sample(program.large_instructions - program.instructions, max(seconds, 1e-9))


def _interpreted(program: Guest, instructions: int = _INTERPRETED) -> Sample:
    from virtlab.machine.computer import Computer

    computer = Computer(_RAM_BYTES >> 20, history=0)
    computer.load(load(program.path(), _RAM_BYTES))
    begun = time.thread_time()
    run = computer.run(instructions)
    return Sample(run.instructions, time.thread_time() - begun)


def _in_tier(tier: str) -> Callable[[Guest], Sample]:
    """Return what runs a program in one of our tiers, for two seconds at most."""

    def run(program: Guest) -> Sample:
        from virtlab.machine.translation.speed import measure

        curve = measure(program.name, tier, seconds=2)
        return Sample(curve.instructions[-1], curve.seconds[-1])

    return run


def _no_tier(tier: str) -> Callable[[], str]:
    def why_not() -> str:
        from virtlab.machine.translation.speed import can_run

        return _no_decoder() or can_run(tier)

    return why_not


def _no_decoder() -> str:
    try:
        import pypcode  # noqa: F401 - only whether it is there
    except ImportError:
        return "the guest computer needs pypcode: pip install 'virtlab[machine]'"
    return ""


WAYS = (
    Way("native", "the processor, and nothing else is there", _native, direct.why_not),
    Way("direct", "the processor; what it must not do traps", _direct, direct.why_not),
    Way(
        "translated",
        "code made from the guest's, once (QEMU)",
        _translated,
        _no_qemu,
        any_processor=True,
    ),
    *(
        Way(f"{tier} tier", how, _in_tier(tier), _no_tier(tier), any_processor=True)
        for tier, how in (
            ("llvm", "code of ours, what is hot of it by LLVM"),
            ("wasm", "code of ours, as WebAssembly"),
            ("python", "code of ours, as Python"),
        )
    ),
    Way(
        "interpreted",
        "software that looks at each one anew",
        _interpreted,
        _no_decoder,
        any_processor=True,
    ),
)


def compare(
    program: str,
    *,
    turns: int = 3,
    ways: Sequence[Way] = WAYS,
    progress: bool = False,
    tell: Callable[[int, int, str], object] | None = None,
) -> Comparison:
    """Measure a program in all ways that this machine can, in turns.

    Parameters
    ----------
    program
        As in `virtlab.machine.guests.GUESTS`.
    turns
        How often each way runs; a turn takes about five seconds.
    ways
        Which ways.
    progress
        Whether to show a bar, on a terminal.
    tell
        Called before each run with how many are done, how many there are, and the way's name.

    Returns
    -------
    Comparison
        What each took, and why some could not be run.

    Raises
    ------
    InvalidInputError
        If there is no such program, or no way can run it here.

    Examples
    --------
    >>> quick = Way("quick", "a test", lambda one: Sample(10, 1e-9), lambda: "")
    >>> never = Way("never", "a test", lambda one: Sample(1, 1), lambda: "it is Sunday")
    >>> compare("sieve", turns=2, ways=[quick, never]).missing
    {'never': 'it is Sunday'}
    """
    chosen, turns = guest(program), integer("turns", turns, minimum=1, maximum=100)
    missing = {way.name: why for way in ways if (why := way.why_not())}
    able = [way for way in ways if way.name not in missing]
    if not able:
        raise InvalidInputError("ways", list(missing), "one at least that this machine can run")
    samples: dict[str, list[Sample]] = {way.name: [] for way in able}
    order = [way for _ in range(turns) for way in able]
    for done, way in enumerate(tqdm(order, disable=None if progress else True, leave=False)):
        if tell is not None:
            tell(done, len(order), way.name)
        samples[way.name].append(way.run(chosen))
    return Comparison(
        program, {name: tuple(runs) for name, runs in samples.items()}, missing, here()
    )


def here() -> str:
    """Say which machine this is, in a line.

    Returns
    -------
    str
        Processor, system, and Python.

    Examples
    --------
    >>> "Python 3" in here()
    True
    """
    import platform

    name = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:  # noqa: PTH123 - no file of ours
            names = [line.partition(":")[2].strip() for line in file if "model name" in line]
        name = names[0] if names else name
    except OSError:
        pass
    return f"{name}, {platform.system()}, Python {platform.python_version()}"


def stored(program: str) -> Comparison:
    """Return the comparison of a program that travels with the course.

    Parameters
    ----------
    program
        As in `virtlab.machine.guests.GUESTS`.

    Returns
    -------
    Comparison
        Measured for this project (`data/README.md`) by `tools/measure_ways.py`.

    Raises
    ------
    InvalidInputError
        If there is no such program.

    Examples
    --------
    >>> one = stored("sieve")
    >>> set(one.samples) >= {"native", "direct", "translated", "interpreted"}
    True
    >>> one.slowdown("direct") < one.slowdown("translated") < one.slowdown("interpreted")
    True
    """
    one_of("program", program, tuple(one.name for one in GUESTS))
    frame = stored_ways()
    mine = frame[frame["program"] == program]
    samples = {
        str(way): tuple(
            Sample(int(count), float(seconds), int(traps), float(monitor_s))
            for count, seconds, traps, monitor_s in runs[_COLUMNS].itertuples(index=False)
        )
        for way, runs in mine.groupby("way", sort=False)
    }
    return Comparison(program, samples, {}, "the course's machine, stored")


def all_stored() -> dict[str, Comparison]:
    """Return the stored comparison of each program.

    Returns
    -------
    dict
        Name to comparison, in the order of `virtlab.machine.guests.GUESTS`.

    Examples
    --------
    >>> len(all_stored())
    12
    """
    return {one.name: stored(one.name) for one in GUESTS}
