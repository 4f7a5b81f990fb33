"""Build the guest programs from their sources, and write down from which bytes.

    python tools/build_guests.py                 all that are committed
    python tools/build_guests.py lab             the home lab's guest
    python tools/build_guests.py machine         the guest computer's programs, each in two sizes,
                                                 and the same as processes of Linux
    python tools/build_guests.py kernel          the guest computer's kernel
    python tools/build_guests.py driver          its kernel with a disk driver
    python tools/build_guests.py mirror          its kernel that looks at itself
    python tools/build_guests.py locks           its kernel that takes locks, in two sizes
    python tools/build_guests.py shell           its kernel that one talks to
    python tools/build_guests.py machine --size 20000 --into FOLDER

The last builds programs of a size of one's own; what is committed stays as it is. It takes gcc and
ld for x86 with 32 bits, without any library: on Debian, the package `gcc`. Another compiler may
give other bytes that do the same; the checkout's were built by gcc 12.2.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LAB = ROOT / "virtlab/migration/lab/program"
MACHINE = ROOT / "virtlab/machine/program"
NATIVE = ROOT / "virtlab/machine/native"
KERNEL = ROOT / "virtlab/machine/kernel"
DRIVER = ROOT / "virtlab/machine/driver"
MIRROR = ROOT / "virtlab/machine/mirror"
SHELL = ROOT / "virtlab/machine/shell"
LOCKS = ROOT / "virtlab/machine/locks"
WHICH = ("lab", "machine", "kernel", "driver", "mirror", "shell", "locks")
SHARED = ("start.S", "guest.c")  # what each program of the guest computer is linked with
SHARED_NATIVE = ("start-linux.S", "guest.c")  # and as a process of Linux

COMMON = (
    *("gcc", "-m32", "-O2", "-Wall", "-Wextra", "-Werror"),
    *("-ffreestanding", "-nostdlib", "-fno-pic", "-no-pie", "-fno-stack-protector"),
    *("-fno-asynchronous-unwind-tables", "-mgeneral-regs-only"),
    *("-Wl,--build-id=none", "-Wl,-z,noexecstack", "-Wl,--no-warn-rwx-segments"),
)
FOR_LAB = ("-march=i686", "-s", "-Wl,-z,max-page-size=4096")
FOR_MACHINE = (
    *("-march=i386", "-mtune=generic", "-std=c11"),  # nothing that an 80386 does not know
    "-mpreferred-stack-boundary=2",  # no code that only aligns the stack for SSE
    "-fno-tree-loop-distribute-patterns",  # loops stay loops: there is no memset to call
    "-fno-optimize-sibling-calls",  # a recursive function calls itself
    "-Wl,-z,max-page-size=16",  # no page of zeros before the code
)
FOR_NATIVE = ("-DLINUX", "-Wl,-z,max-page-size=4096")  # Linux maps whole pages of the file


def build(
    folder: Path,
    sources: tuple[str, ...],
    flags: tuple[str, ...],
    elf: Path,
    script: str = "guest.ld",
) -> None:
    """Compile and link the sources of a folder."""
    gcc = (*COMMON, f"-Wl,-T,{script}", *flags)
    subprocess.run((*gcc, "-o", str(elf), *sources), cwd=folder, check=True)
    elf.chmod(0o644)


def build_lab() -> None:
    """Build the home lab's guest where it is."""
    build(LAB, ("boot.S", "guest.c"), FOR_LAB, LAB / "guest.elf")


def build_machine(into: Path, sizes: dict[str, str], native: Path | None = None) -> None:
    """Build each program of the guest computer, once for each end of its name and its size.

    With `native` also as processes of Linux, into that folder.
    """
    for source in sorted((*MACHINE.glob("*.c"), *MACHINE.glob("*.S"))):
        if source.name in {*SHARED, *SHARED_NATIVE}:
            continue
        for end, size in sizes.items():
            flags, elf = (*FOR_MACHINE, f"-DSIZE={size}"), f"{source.stem}{end}.elf"
            build(MACHINE, (*SHARED, source.name), flags, into / elf)
            if native is not None:
                sources = (*SHARED_NATIVE, source.name)
                build(MACHINE, sources, (*flags, *FOR_NATIVE), native / elf)


def build_kernel() -> None:
    """Build the guest computer's kernel where it is, from objects that its `kernel.ld` can name."""
    gcc = (*COMMON, *FOR_MACHINE)
    with tempfile.TemporaryDirectory() as folder:
        objects = []
        for source in sorted((*KERNEL.glob("*.c"), *KERNEL.glob("*.S"))):
            objects.append(f"{folder}/{source.stem}.o")
            subprocess.run((*gcc, "-c", "-o", objects[-1], source.name), cwd=KERNEL, check=True)
        link = (*gcc, "-Wl,-T,kernel.ld", "-o", "kernel.elf", *objects)
        subprocess.run(link, cwd=KERNEL, check=True)
    (KERNEL / "kernel.elf").chmod(0o644)


def build_driver() -> None:
    """Build the kernel with a disk driver where it is; its console is the other kernel's."""
    sources = sorted(path.name for path in (*DRIVER.glob("*.c"), *DRIVER.glob("*.S")))
    elf = DRIVER / "driver.elf"
    build(DRIVER, (*sources, "../kernel/console.c"), FOR_MACHINE, elf, "driver.ld")


def build_beside(folder: Path, end: str = "", *more: str) -> None:
    """Build a kernel of all sources in its folder, with what the programs have in common."""
    sources = [f"../program/{name}" for name in SHARED]
    sources += sorted(path.name for path in folder.glob("*.c"))
    elf = folder / f"{folder.name}{end}.elf"
    build(folder, tuple(sources), (*FOR_MACHINE, *more), elf, "../program/guest.ld")


def write_sums(folder: Path) -> None:
    """Write `SHA256SUMS` of all its files (`sha256sum -c SHA256SUMS` holds it)."""
    sums = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n"
        for path in sorted(folder.iterdir())
        if path.name != "SHA256SUMS"
    ]
    (folder / "SHA256SUMS").write_text("".join(sums), encoding="utf-8")
    print("".join(sums), end="")


def main(words: list[str] | None = None) -> int:
    """Build what was asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("which", nargs="?", choices=WHICH, help="only these")
    parser.add_argument("--size", type=int, help="of the machine's programs, with --into")
    parser.add_argument("--into", type=Path, help="folder for programs of that size")
    asked = parser.parse_args(words)
    if asked.size is not None or asked.into is not None:
        if asked.which != "machine" or asked.size is None or asked.into is None:
            parser.error("--size and --into go together, with `machine`")
        asked.into.mkdir(parents=True, exist_ok=True)
        build_machine(asked.into.resolve(), {"": str(asked.size)})
        return 0
    if asked.which in (None, "lab"):
        build_lab()
        write_sums(LAB)
    for folder in (MIRROR, SHELL, LOCKS):
        if asked.which in (None, folder.name):
            build_beside(folder)
            if folder == LOCKS:
                build_beside(folder, "-large", "-DSIZE=LARGE")
            write_sums(folder)
    if asked.which in (None, "kernel"):
        build_kernel()
        write_sums(KERNEL)
    if asked.which in (None, "driver"):
        build_driver()
        write_sums(DRIVER)
    if asked.which in (None, "machine"):
        NATIVE.mkdir(exist_ok=True)
        build_machine(MACHINE, {"": "SMALL", "-large": "LARGE"}, NATIVE)
        write_sums(MACHINE)
        write_sums(NATIVE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
