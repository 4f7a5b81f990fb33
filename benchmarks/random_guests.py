"""Small kernels made at random: paging, faults, timer, rings, code that changes itself.

A guest is a chain of **chunks**, done a few times over. Before each chunk its kernel, at ring 0,
sets segments and registers, may change a page table or a bit of CR0, says where a fault leads on,
and enters a ring. The chunk is a loop of random instructions whose pointers lie around the edges
of eight pages, of which some are missing, read only, the kernel's, or the same twice. It ends with
`int 0x81`, back to the kernel.

The handler of all faults, traps and interrupts counts them by vector, and mixes every register, the
vector, error code and place into one number: two machines that end with the same number took the
same faults at the same instructions with the same registers.

`benchmarks.differential_guests` compares how they end, `benchmarks.differential_qemu` with QEMU.

For QEMU as judge (`RandomGuest.judged`) there is no timer, flags are left out of the number, and
the TLB is told of each change: what the manual leaves open is not asked. Nor are the limits of
segments, which QEMU's translator does not look at; memory below 1 MiB, where a firmware has been;
and a coprocessor's opcodes, to which code that is jumped into may come: EM says there is none.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np

from benchmarks.random_kernels import (
    CODE,
    COUNTS,
    DATA,
    DIRECTORY,
    FRAMES,
    GDT,
    HANDLER,
    IMAGE_END,
    KEPT,
    LOOPS,
    PAGES,
    PORTS,
    RESUME,
    ROUNDS,
    STACK,
    TABLE,
    Code,
    entry,
    handler,
    tables,
    word,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.random import Generator

    from virtlab.machine.computer import Computer

__all__ = ["RandomGuest", "random_guest"]

Some = TypeVar("Some")
_MANY = 40  # instructions of a chunk at most
SMALL = 0x30  # selectors: a small segment of data; then code and data of rings 1 and 2
_LOW = range(4)  # registers that are no pointers, but EBX; of bytes too
# Opcodes, and what may stand in the middle of the byte that follows.
_ON_MEMORY = (
    *((f"{opcode:02x}", _LOW) for opcode in (0x01, 0x11, 0x29, 0x19, 0x39, 0x03, 0x2B, 0x3B)),
    *((f"{opcode:02x}", _LOW) for opcode in (0x00, 0x28, 0x88, 0x8A, 0x86, 0x89, 0x8B, 0x87)),
    *((f"66{opcode:02x}", _LOW) for opcode in (0x89, 0x8B, 0x01, 0x87)),
    *((f"0f{opcode:02x}", _LOW) for opcode in (0xC1, 0xB1, 0xC0, 0xB0, 0xB6, 0xBE)),
    *((f"64{opcode:02x}", _LOW) for opcode in (0x01, 0x89, 0x8B)),  # fs:
    *[("ff", (0, 1, 6))] * 3,  # inc, dec, push
    *[("8f", (0,))] * 2,  # pop
    ("81", (0, 2, 3, 5, 7)),
    ("f7", (6,)),  # div
)
# int3, int 0x80, cld, std, ud2, cli, sti, mov eax, cr0; strings, once
_OTHERS = ("cc", "cd80", "fc", "fd", "0f0b", "fa", "fb", "0f20c0", "a4", "a5", "aa", "ab", "ac")
_UNJUDGED = ("60", "cf", "9c9d", *(f"e4{port:02x}" for port in PORTS))
_NEAR = ("ebx", "ebp", "esi", "edi")
_NUMBER = {"eax": 0, "ecx": 1, "edx": 2, "ebx": 3, "esp": 4, "ebp": 5, "esi": 6, "edi": 7}


class RandomGuest(NamedTuple):
    """A guest.

    Attributes
    ----------
    image
        All of memory from CODE to IMAGE_END; it is entered at CODE.
    judged
        Whether it asks nothing that the manual leaves open.
    """

    image: bytes
    judged: bool

    def put_into(self, computer: Computer) -> None:
        """Load it."""
        computer.load_code(self.image[: HANDLER - CODE], CODE)
        computer.memory.write(HANDLER, self.image[HANDLER - CODE :])


def random_guest(
    seed: int, *, chunks: int = 12, rounds: int = 3, judged: bool = False
) -> RandomGuest:
    """Make a guest.

    Parameters
    ----------
    seed
        Of all chance.
    chunks, rounds
        How many there are, and how often they are gone through.
    judged
        Whether to ask nothing that the manual leaves open.

    Returns
    -------
    RandomGuest
        Which ends by itself, with its exit port.

    Examples
    --------
    >>> len(random_guest(1).image) == IMAGE_END - CODE
    True
    """
    rng = np.random.default_rng(seed)
    image = bytearray(IMAGE_END - CODE)
    image[FRAMES - CODE :] = rng.integers(0, 256, IMAGE_END - FRAMES, dtype=np.uint8).tobytes()
    for at, data in (
        (CODE, _Program(rng, judged=judged).all(chunks, rounds)),
        (HANDLER, handler(judged=judged)),
        *tables(rng, judged=judged),
    ):
        image[at - CODE : at - CODE + len(data)] = data
    return RandomGuest(bytes(image), judged)


# --- the program ----------------------------------------------------------------------------------


class _Program:
    """Makes the code of a guest."""

    def __init__(self, rng: Generator, *, judged: bool) -> None:
        self.rng, self.judged, self.code = rng, judged, Code(CODE)

    def all(self, chunks: int, rounds: int) -> bytes:
        code = self.code
        code.add("0f0115", word(GDT + 0x800), "0f011d", word(GDT + 0x808))
        code.add("ea", word(code.here + 7), "0800 66b81000 8ed0 66b82800 0f00d8")
        if self.judged:  # whose reset leaves a local table that a loader of ours does not
            code.add("31c0 0f00d0")  # xor eax, eax; lldt ax
        # For a judge, who has a coprocessor, EM says that there is none.
        switched = word(0x80000004 if self.judged else 0x80000000)
        code.add("bc", word(STACK), "b8", word(DIRECTORY), "0f22d8 0f20c0 0d", switched, "0f22c0")
        code.add("36c705", word(ROUNDS), word(rounds))
        self._timer()
        again = code.here
        for _ in range(chunks):
            self._chunk()
        code.add("bc", word(STACK), "36ff0d", word(ROUNDS), "0f85", word(again - code.here - 6 - 8))
        last = code.here
        code.fill(last - 4, again - last)
        if self.judged:
            self._tell()
        code.add("66baf400 b000 ee f4")
        return bytes(code.data)

    def _timer(self) -> None:
        ports = [(0x20, 0x11), (0x21, 0x20), (0x21, 4), (0x21, 1), (0x21, 0xFF)]
        if not self.judged:
            count = int(self.rng.integers(150, 900))
            ports[-1] = 0x21, 0xFE
            ports += [(0x43, 0x34), (0x40, count & 0xFF), (0x40, count >> 8)]
        for port, value in ports:
            self.code.add(f"b0{value:02x} e6{port:02x}")

    def _tell(self) -> None:
        """Send counts, the page table and data over the serial port, and end."""
        self.code.add("fa 66b81000 8ed8")
        for start, size in (
            (COUNTS, 0x408),
            (TABLE + (DATA >> 10), 4 * PAGES),
            (FRAMES, 4096 * KEPT),
        ):
            self.code.add("be", word(start), "b9", word(size))
            self.code.add("66baf803 ac ee 49 75fb")

    def _chunk(self) -> None:
        """Write the kernel's part, and the chunk."""
        rng, code = self.rng, self.code
        ring = int(rng.choice([0, 0, 1, 2, 3, 3, 3, 3]))
        code.add("bc", word(STACK), "66b81000 8ed8 8ec0")
        self._kernel_work()
        code.add("c705", word(LOOPS), word(int(rng.integers(2, 9))))
        code.add("36c705", word(RESUME), word(0))
        resume = code.here - 4
        for number, selector in (
            (0, 0x23),
            (3, 0x23),
            (4, 0x23 if self.judged else int(rng.choice([0x23, SMALL | 3, 0]))),
        ):
            code.add(f"66b8 {struct.pack('<H', selector).hex()} 8e{0xC0 | number << 3:02x}")
        self._enter(ring)
        code.fill(resume, self._body(ring))

    def _enter(self, ring: int) -> None:
        """Go to a ring, with random registers."""
        rng, code = self.rng, self.code
        flags = 2 | int(rng.choice([0, 0, 0, 0, 1, 3])) << 12 | (0 if self.judged else 0x200)
        flags |= 0x100 if rng.random() < 0.1 else 0
        if ring:
            code_at, data_at = {1: (0x39, 0x41), 2: (0x4A, 0x52), 3: (0x1B, 0x23)}[ring]
            stack = self._near() if rng.random() < 0.6 else DATA + 0x7F00
            code.add(f"6a{data_at:02x} 68", word(stack))
        code.add("68", word(flags))
        code.add(f"6a{code_at:02x}" if ring else "6a08", "68", word(0))
        entry = code.here - 4
        for name, number in _NUMBER.items():
            if name != "esp":
                code.add(
                    f"{0xB8 | number:02x}", word(self._near() if name in _NEAR else self._any())
                )
        code.add("cf")
        code.fill(entry, code.here)

    def _near(self) -> int:
        """Return an address near the edge of a page."""
        rng = self.rng
        return DATA + 4096 * int(rng.integers(0, PAGES + 1)) + int(rng.integers(-12, 12))

    def _any(self) -> int:
        rng = self.rng
        return int(
            rng.choice(
                [0, 1, 7, 20, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, int(rng.integers(1 << 32))]
            )
        )

    def _kernel_work(self) -> None:
        """Change a page table, or what guards pages."""
        rng, code = self.rng, self.code
        page = int(rng.integers(0, PAGES))
        place, address = TABLE + 4 * ((DATA >> 12) + page), DATA + 4096 * page
        kind = int(rng.integers(0, 6))
        if kind < 3:
            code.add("c705", word(place), word(entry(rng)))
            if kind or self.judged:
                code.add(
                    "0f013d" if rng.random() < 0.7 else "0f20d8 0f22d8 90 0f013d", word(address)
                )
        elif kind == 3:
            code.add("0f20c0 35", word(1 << 16), "0f22c0")  # CR0.WP
        elif kind == 4:  # paging off, a write where it lies, and on
            frame = FRAMES + 4096 * int(rng.integers(0, KEPT)) + int(rng.integers(0, 4092))
            code.add("0f20c0 25ffffff7f 0f22c0 8105", word(frame), word(self._any()))
            code.add("0d00000080 0f22c0")

    def _body(self, ring: int) -> int:
        """Write a loop of random instructions; return where it is left for the kernel."""
        rng, code = self.rng, self.code
        start = code.here
        patched: list[int] = []
        for _ in range(int(rng.integers(8, _MANY))):
            if rng.random() < 0.08:  # a number that is changed by code
                code.add("05", word(self._any()))
                patched.append(code.here - 4)
            elif patched and rng.random() < 0.05:
                code.add("8005", word(int(rng.choice(patched))), "03")
            elif rng.random() < 0.1:
                skipped = self._instruction(ring)
                code.add(
                    f"{0x70 | int(rng.integers(0, 16)):02x}{len(bytes.fromhex(skipped)):02x}",
                    skipped,
                )
            elif rng.random() < 0.06:  # call; jmp over; a function: two, ret
                inside = " ".join(self._inside(ring) for _ in range(2))
                size = len(bytes.fromhex(inside)) + 1
                code.add(f"e802000000 eb{size:02x}", inside, "c3")
            elif rng.random() < 0.06:
                self._computed(ring)
            else:
                code.add(self._instruction(ring))
        if patched and rng.random() < 0.3:
            code.add("8005", word(patched[-1]), "05")
        if patched and rng.random() < 0.2:  # by a string instruction, on what comes next
            code.add(
                "be", word(patched[0]), "bf", word(code.here + 17), "b904000000 f3a4 05", word(5)
            )
        code.add("ff0d", word(LOOPS), "0f85", word(0))
        code.fill(code.here - 4, start - code.here)
        end = code.here
        code.add("cd81" if ring else "bc" + word(STACK))
        return end

    def _computed(self, ring: int) -> None:
        """Write a jump, or a call, through a table of four ways, that may change in each round."""
        rng, code = self.rng, self.code
        ways = [bytes.fromhex(self._inside(ring)) for _ in range(4)]
        register, calls, changes = int(rng.integers(0, 3)), rng.random() < 0.4, rng.random() < 0.3
        over = sum(len(way) + (1 if calls else 5) for way in ways) + 16
        table = code.here + 3 + (10 if changes else 0) + 7 + (5 if calls else 0)
        at = [table + 16]
        for way in ways:
            at.append(at[-1] + len(way) + (1 if calls else 5))
        code.add(f"83{0xE0 | register:02x}03")  # and eax, 3
        if changes:
            code.add("8135", word(table), word(at[0] ^ at[1]))  # xor dword [table], ...
        code.add("ff", "14" if calls else "24", f"{0x85 | register << 3:02x}", word(table))
        code.add("e9" + word(over) if calls else "", *(word(way) for way in at[:4]))
        for way in ways:
            code.add(way.hex(), "c3" if calls else "e9" + word(at[4] - (code.here + len(way) + 5)))

    def _instruction(self, ring: int) -> str:
        """Return an instruction; at ring 0 the stack stays where it is."""
        kinds = ("", *_OTHERS) if self.judged or ring == 0 else ("", *_OTHERS, *_UNJUDGED)
        kinds = (*kinds, "61", "c9", "9d") if ring and not self.judged else kinds
        if self.rng.random() < 0.2:
            return self._one(kinds) or self._strings()
        return self._on_memory() if self.rng.random() < 0.6 else self._on_registers(ring)

    def _inside(self, ring: int) -> str:
        """Return an instruction of a function; for a judge, one that lets it return."""
        return self._on_registers(0) if self.judged else self._instruction(ring)

    def _one(self, choices: Sequence[Some]) -> Some:
        return choices[int(self.rng.integers(0, len(choices)))]

    def _on_memory(self) -> str:
        """Return an instruction at a pointer and a little beside it."""
        opcode, middles = _ON_MEMORY[int(self.rng.integers(0, len(_ON_MEMORY)))]
        if self.judged and opcode in ("f7", "86", "87", "6687"):
            return "90"  # flags after a quotient; whether an exchange faults as a read
        middle, pointer = (int(self.rng.choice(some)) for some in (middles, (3, 5, 6, 7)))
        beside = int(self.rng.integers(-6, 7)) & 0xFF
        number = word(self._any()) if opcode == "81" else ""
        return f"{opcode}{0x40 | middle << 3 | pointer:02x}{beside:02x}{number}"

    def _on_registers(self, ring: int) -> str:
        a, b = (int(self.rng.choice((0, 1, 2, 3, 5, 6, 7))) for _ in range(2))
        kind = self.rng.random()
        if kind < 0.3:
            return f"{0xB8 | int(self.rng.choice((3, 5, 6, 7))):02x}{word(self._near())}"
        if kind < 0.6 and ring:
            return f"{self._one((0x50, 0x58)) | a:02x}"  # push, pop
        if kind < 0.7:
            return f"{self._one((0x40, 0x48)) | a % 4:02x}"  # inc, dec
        return f"{self._one((0x01, 0x29, 0x89, 0x11)):02x}{0xC0 | b << 3 | a % 4:02x}"

    def _strings(self) -> str:
        """Return a string instruction that is repeated a few times."""
        opcode = self._one((0xA4, 0xA5, 0xA6, 0xA7, 0xAA, 0xAB, 0xAE, 0xAF))
        return f"b9{word(int(self.rng.integers(0, 9)))} {self._one(('f3', 'f2'))}{opcode:02x}"
