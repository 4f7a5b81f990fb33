"""A kernel of the kind that teaching systems have: linked at 2 GiB, loaded at 1 MiB, with a disk.

Its pages are of 4 MiB; it goes up by a jump, drops the pages that it came by, and reads sectors by
asking the disk whether it is ready. Nothing in the machine or in a tier may stand in its way.
"""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.machine.oracle import NO_QEMU, QEMU, boot
from tests.machine.small_guests import DECODER
from tests.machine.test_console import NEEDS
from tests.machine.test_guests import needs_gcc
from virtlab.machine.computer import Computer
from virtlab.machine.image import load
from virtlab.machine.translation.tiers import TIERS

if TYPE_CHECKING:
    from pathlib import Path

SOURCE = r"""
typedef unsigned int u32; typedef unsigned char u8; typedef unsigned short u16;
__asm__(".section .text.entry\n.align 4\n.long 0x1BADB002, 0, -0x1BADB002\n"
        ".globl _start\n_start = entry - 0x80000000\n"
        "entry: mov %cr4, %eax\n or $0x10, %eax\n mov %eax, %cr4\n"
        "mov $(directory - 0x80000000), %eax\n mov %eax, %cr3\n"
        "mov %cr0, %eax\n or $0x80010000, %eax\n mov %eax, %cr0\n"
        "mov $(stack + 4096), %esp\n mov $main, %eax\n jmp *%eax\n");
u8 stack[4096];
__attribute__((aligned(4096))) u32 directory[1024] = {[0] = 0x83, [512] = 0x83};
static u32 sector[128], lock;
static void outb(u16 port, u8 value) { __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port)); }
static u8 inb(u16 port) { u8 v; __asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port)); return v; }
static void wait(void) { while ((inb(0x1F7) & 0xC0) != 0x40) ; }
void main(void)
{
    directory[0] = 0;
    __asm__ volatile("mov %%cr3, %%eax\n mov %%eax, %%cr3" : : : "eax", "memory");
    outb(0x1F6, 0xE0);
    for (u32 number = 0; number < 40; number++) {
        u32 taken = 1, words = 128;
        void *to = sector;
        __asm__ volatile("lock xchgl %0, %1" : "+r"(taken), "+m"(lock) : : "memory");
        wait(), outb(0x3F6, 2), outb(0x1F2, 1), outb(0x1F3, number % 4), outb(0x1F4, 0);
        outb(0x1F5, 0), outb(0x1F6, 0xE0), outb(0x1F7, 0x20), wait();
        __asm__ volatile("cld; rep insl" : "+D"(to), "+c"(words) : "d"(0x1F0) : "memory");
        outb(0x3F8, taken ? '!' : ((u8 *)sector)[511]);
        lock = 0;
    }
    outb(0xF4, 0);
    for (;;) ;
}
"""
SCRIPT = """
ENTRY(_start)
SECTIONS {
  . = 0x80100000;
  .text : AT(0x100000) { *(.text.entry) *(.text*) *(.rodata*) }
  . = ALIGN(4096);
  .data : { *(.data*) }
  .bss : { *(.bss*) *(COMMON) }
  /DISCARD/ : { *(.comment) *(.note*) *(.eh_frame) }
}
"""
DISK = b"".join(bytes([97 + number]) * 512 for number in range(4))


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("high")
    (folder / "kernel.c").write_text(SOURCE)
    (folder / "kernel.ld").write_text(SCRIPT)
    gcc = "gcc -m32 -O2 -march=i686 -ffreestanding -nostdlib -fno-pic -no-pie -w -o kernel.elf"
    link = "-fno-stack-protector -Wl,--build-id=none,-z,max-page-size=4096,-T,kernel.ld kernel.c"
    subprocess.run([*gcc.split(), *link.split()], cwd=folder, check=True)
    return folder / "kernel.elf"


@needs_gcc
@pytest.mark.parametrize("tier", TIERS)
def test_a_kernel_in_the_upper_half_reads_its_disk(tier: str, kernel: Path) -> None:
    if tier in NEEDS:
        pytest.importorskip(NEEDS[tier], reason=f"{NEEDS[tier]} is not installed")
    computer = Computer(4, disk=DISK, history=0, decoder=DECODER, tier=tier)
    computer.load(load(kernel, 4 << 20))
    run = computer.run(200_000)
    assert (run.text, run.ended, run.exit_status) == ("abcd" * 10, "exit", 1)
    assert run.traps == {}
    assert computer.address > 0x80000000


@needs_gcc
@pytest.mark.skipif(QEMU is None, reason=NO_QEMU)
def test_in_qemu_it_says_the_same(kernel: Path, tmp_path: Path) -> None:
    (tmp_path / "disk").write_bytes(DISK)
    drive = f"file={tmp_path / 'disk'},format=raw,if=ide"
    more = ("-drive", drive, "-cpu", "pentium3")  # a 486 has no pages of 4 MiB
    assert boot(kernel, more=more) == ("abcd" * 10, 1)
