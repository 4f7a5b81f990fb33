"""The guest programs, made longer, so that what translating takes weighs less.

A program of a hundred million instructions is over in a thirtieth of a second where it runs
natively: less than LLVM takes to start. Longer ones show how fast the code itself is. They are
built by gcc from the same sources (`tools/build_guests.py`), in a size that grows as each
program's time does not: how many instructions one has is known about, not exactly.
"""

from __future__ import annotations

import importlib.util
import math
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from virtlab.machine.guests import Guest

__all__ = ["Longer", "longer", "size_for"]

TOOL = Path(__file__).resolve().parents[1] / "tools/build_guests.py"
# Of the size, the power that the time grows with; of those that are not here, 1.
POWERS = {"isprime": 2.0, "matrix": 3.0, "bytecode": 1.1, "digits": 1.9}
# Or how many times as long a step of the size makes it; for queens, as counted from 13 to 14.
STEPS = {"fibonacci": (1 + math.sqrt(5)) / 2, "queens": 5.9}


@dataclass(frozen=True)
class Longer(Guest):
    """A program of another size.

    Attributes
    ----------
    folder
        Where it was built.
    """

    folder: Path

    def path(self, *, large: bool = False) -> Path:
        """Return where it is; the small one is the course's."""
        return self.folder / f"{self.name}.elf" if large else super().path()

    def native_path(self, *, large: bool = False) -> Path:
        """Return where its twin for Linux is."""
        path = self.folder / f"{self.name}-native.elf"
        return path if large else super().native_path()


def size_for(name: str, large: int, factor: float) -> int:
    """Return the size that makes a program about so many times as long.

    Parameters
    ----------
    name, large
        Of the program, and its large size.
    factor
        How many times.
    """
    if name in STEPS:
        return large + round(math.log(factor, STEPS[name]))
    return round(large * math.pow(factor, 1 / POWERS.get(name, 1.0)))


def longer(one: Guest, factor: float, folder: Path) -> Longer:
    """Build a program that takes about so many times as long.

    Parameters
    ----------
    one
        Which.
    factor
        How many times.
    folder
        Where to build it.

    Raises
    ------
    FileNotFoundError
        If there is no gcc.
    """
    if shutil.which("gcc") is None:
        raise FileNotFoundError("gcc, which builds longer programs, is not installed")
    spec = importlib.util.spec_from_file_location("build_guests", TOOL)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(str(TOOL))
    tool: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    found = re.search(r"^#define LARGE (\d+)$", one.source.read_text("utf-8"), re.MULTILINE)
    size = size_for(one.name, int(found[1]) if found else 0, factor)
    made = Longer(
        one.name, one.does, one.instructions, round(one.large_instructions * factor), folder
    )
    folder.mkdir(parents=True, exist_ok=True)
    flags, name = (*tool.FOR_MACHINE, f"-DSIZE={size}"), one.source.name
    tool.build(tool.MACHINE, (*tool.SHARED, name), flags, made.path(large=True))
    native = made.native_path(large=True)
    tool.build(tool.MACHINE, (*tool.SHARED_NATIVE, name), (*flags, *tool.FOR_NATIVE), native)
    native.chmod(0o755)
    return made
