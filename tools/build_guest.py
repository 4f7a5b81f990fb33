"""Build the home lab's guest from its source, and write down from which bytes.

    python tools/build_guest.py

It takes gcc and ld for x86 with 32 bits, without any library: on Debian, the package `gcc`. Another
compiler may give other bytes that do the same; the checkout's were built by gcc 12.2.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "virtlab/migration/lab/program"
SOURCE = ("boot.S", "guest.c", "guest.ld")
COMMAND = (
    *("gcc", "-m32", "-march=i686", "-O2", "-Wall", "-Wextra", "-Werror"),
    *("-ffreestanding", "-nostdlib", "-fno-pic", "-no-pie", "-fno-stack-protector"),
    *("-fno-asynchronous-unwind-tables", "-mgeneral-regs-only", "-s", "-o", "guest.elf"),
    *("-Wl,-T,guest.ld", "-Wl,--build-id=none", "-Wl,-z,noexecstack", "-Wl,--no-warn-rwx-segments"),
    *("-Wl,-z,max-page-size=4096", "boot.S", "guest.c"),
)


def main() -> int:
    """Build it, and write `SHA256SUMS` (`sha256sum -c SHA256SUMS` holds it)."""
    subprocess.run(COMMAND, cwd=FOLDER, check=True)
    (FOLDER / "guest.elf").chmod(0o644)
    sums = [
        f"{hashlib.sha256((FOLDER / name).read_bytes()).hexdigest()}  {name}\n"
        for name in (*SOURCE, "guest.elf")
    ]
    (FOLDER / "SHA256SUMS").write_text("".join(sums), encoding="utf-8")
    print("".join(sums), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
