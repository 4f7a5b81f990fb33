"""What each guest program must say, worked out another way, and QEMU, which boots it."""

from __future__ import annotations

import re
import shutil
import subprocess
import zlib
from itertools import count
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from virtlab.machine.guests import Guest

QEMU = shutil.which("qemu-system-i386") or shutil.which("qemu-system-x86_64")
NO_QEMU = "there is no QEMU here to boot the guest programs in (Debian: qemu-system-x86)"


def boot(elf: Path, ram_mib: int = 32, more: tuple[str, ...] = ()) -> tuple[str, int]:
    """Boot a program in QEMU, on a processor without anything newer than a 486 has."""
    assert QEMU is not None
    run = subprocess.run(
        [
            *(QEMU, "-kernel", str(elf), "-m", str(ram_mib), "-accel", "tcg", "-cpu", "486"),
            *("-nodefaults", "-display", "none", "-no-reboot", "-serial", "stdio"),
            *("-device", "isa-debug-exit,iobase=0xf4,iosize=4", *more),
        ],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    return run.stdout, run.returncode


def size_of(guest: Guest, *, large: bool) -> int:
    """Return the size that a program's source says."""
    name = "LARGE" if large else "SMALL"
    found = re.search(rf"^#define {name} (\d+)$", guest.source.read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1])


def scattered(places: NDArray[np.uint32]) -> NDArray[np.uint32]:
    return places * np.uint32(2654435761)  # modulo 2^32, as the guest's


def first(count: int) -> NDArray[np.uint32]:
    return np.arange(count, dtype=np.uint32)


def primes_below(size: int) -> NDArray[np.intp]:
    """Return the primes: what is a product of two smaller numbers is none."""
    is_prime = np.ones(size, dtype=bool)
    is_prime[:2] = False
    for factor in range(2, int(size**0.5) + 1):
        is_prime[factor * factor :: factor] = False
    return np.flatnonzero(is_prime)


def isprime(size: int) -> str:
    return f"isPrime(49) = 0\nprimes below {size}: {len(primes_below(size))}\n"


def sieve(size: int) -> str:
    primes = primes_below(size)
    return f"primes below {size}: {len(primes)}\nthe last is {primes[-1]}\n"


def crc32(size: int) -> str:
    data = (scattered(first(size)) >> np.uint32(24)).astype(np.uint8).tobytes()
    return f"CRC-32 of {size} bytes: {zlib.crc32(data):08x}\n"


def fibonacci(size: int) -> str:
    one, next_one = 0, 1
    for _ in range(size):
        one, next_one = next_one, one + next_one
    return f"Fibonacci({size}) = {one}\n"


def in_order(size: int) -> str:
    numbers = np.sort(scattered(first(size) + np.uint32(1)) >> np.uint32(8))
    places = first(size) + np.uint32(1)
    return (
        f"numbers sorted: {size}\nsmallest: {numbers[0]}\nmedian: {numbers[size // 2]}\n"
        f"largest: {numbers[-1]}\n"
        f"sum of place times number: {int((places * numbers).sum()) % 2**32:08x}\n"
    )


def matrix(size: int) -> str:
    a = scattered(first(size * size)).reshape(size, size)
    product = a @ (a >> np.uint32(16))
    digits = 0
    for element in product.ravel().tolist():
        digits = (digits * 31 + element) % 2**32
    return (
        f"rows and columns: {size}\ntrace: {int(np.trace(product)) % 2**32:08x}\n"
        f"elements, as digits to the base 31: {digits:08x}\n"
    )


def search(size: int) -> str:
    hashes = scattered(first(size))
    letters = scattered(hashes ^ hashes >> np.uint32(15)) >> np.uint32(30)
    text = (letters + np.uint32(ord("a"))).astype(np.uint8).tobytes().decode()
    lines = [f"letters: {size}\n"]
    for word in ("abacad", "dada", "bb"):
        places = [found.start() for found in re.finditer(f"(?={word})", text)]
        lines.append(f"{word}: {len(places)}\n")
        lines.append(f"  first at {places[0]}\n  last at {places[-1]}\n")
    return "".join(lines)


def bytecode(size: int) -> str:
    """Walk Collatz's sequences, and add up what each part of the byte code has of instructions."""
    even = odd = 0
    for start in range(1, size):
        number = start
        while number > 1:
            odd += number % 2
            even += number % 2 == 0
            number = 3 * number + 1 if number % 2 else number // 2
    done = 2 + 4 * size + (2 + 4 + 5) * (size - 1) + (4 + 3 + 2 + 6) * even + (4 + 3 + 6 + 6) * odd
    return (
        f"Collatz's sequences that start below: {size}\nsteps: {even + odd}\n"
        f"instructions of the byte code: {done}\n"
    )


# The On-Line Encyclopedia of Integer Sequences, A000170.
WAYS_TO_PLACE_QUEENS = (1, 1, 0, 0, 2, 10, 4, 40, 92, 352, 724, 2680, 14200, 73712)


def queens(size: int) -> str:
    return f"queens: {size}\nways to place them: {WAYS_TO_PLACE_QUEENS[size]}\n"


def digits(size: int) -> str:
    """Divide as on paper, from Euler's continued fraction: 2; 1, 2, 1, 1, 4, 1, 1, 6, 1, ..."""
    size = size // 9 * 9
    top, bottom, before, below = 2, 1, 1, 0
    for place in count(1):
        part = 2 * (place + 1) // 3 if place % 3 == 2 else 1
        top, before, bottom, below = part * top + before, top, part * bottom + below, bottom
        if bottom.bit_length() > 2 * size:  # the error is less than one by its square
            break
    nines, rest = [], top - 2 * bottom
    for _ in range(0, size, 9):
        nine, rest = divmod(10**9 * rest, bottom)
        nines.append(nine)
    number = 0
    for nine in nines:
        number = (number * 31 + nine) % 2**32
    return (
        f"digits of e after the point: {size}\nthe first nine: {nines[0]}\n"
        f"all, by nines, as digits to the base 31: {number:08x}\n"
    )


def tree(size: int) -> str:
    hashes = scattered(first(size))
    keys = scattered(hashes ^ hashes >> np.uint32(15)) >> np.uint32(16)
    different, counts = np.unique(keys, return_counts=True)
    places = np.arange(1, len(different) + 1)
    lines = [f"keys: {size}\n"]
    for how, order in (("rising", places), ("falling", places[::-1])):
        total = int((order * different * counts).sum()) % 2**32
        lines.append(f"{how}, different keys: {len(different)}\n")
        lines.append(f"  sum of place times key times count: {total:08x}\n")
    return "".join(lines)


EXPECTED: dict[str, Callable[[int], str]] = {
    "isprime": isprime,
    "sieve": sieve,
    "crc32": crc32,
    "fibonacci": fibonacci,
    "shellsort": in_order,
    "matrix": matrix,
    "search": search,
    "quicksort": in_order,
    "bytecode": bytecode,
    "queens": queens,
    "digits": digits,
    "tree": tree,
}


def expected(guest: Guest, *, large: bool = False) -> str:
    """Return what a program must say."""
    return EXPECTED[guest.name](size_of(guest, large=large))
