"""Global pages are not of this processor: CPUID names no PGE, CR4 refuses it, G says nothing.

QEMU, as such a processor, reads the same from memory; which bits of CR4 there are it does not
check, so that is held against the manual (Intel SDM, volume 2, MOV to control registers).
"""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.machine.oracle import NO_QEMU, QEMU, boot
from tests.machine.small_guests import DECODER
from tests.machine.test_console import NEEDS
from tests.machine.test_guests import needs_gcc
from tests.machine.test_paging import READ, TABLE, at, fault_of, paged
from virtlab.machine.computer import Computer
from virtlab.machine.image import load
from virtlab.machine.stage import DATA
from virtlab.machine.translation.tiers import TIERS

if TYPE_CHECKING:
    from pathlib import Path

# What it prints: whether CPUID says PGE; of bits of CR4 whether each is refused; then, with pages
# marked as global, what is read after the entry, CR3 and INVLPG, each many times.
SOURCE = r"""
typedef unsigned int u32; typedef unsigned char u8; typedef unsigned short u16;
__asm__(".section .text.entry\n.align 4\n.long 0x1BADB002, 0, -0x1BADB002\n"
        ".globl _start\n_start: mov $stack + 4096, %esp\n call main\n"
        "refused: movl $1, faults\n addl $4, %esp\n addl $3, (%esp)\n iret\n");  /* mov cr4 */
u8 stack[4096];
__attribute__((aligned(4096))) u32 directory[1024], table[1024], frames[2][1024];
u32 faults, idt[32][2], gdt[6] = {0, 0, 0xFFFF, 0xCF9B00, 0xFFFF, 0xCF9300};
struct { u16 limit; u32 base; } __attribute__((packed)) to_gdt = {23, (u32)gdt},
    to_idt = {255, (u32)idt};
extern u8 refused[];
static void out(u8 value) { __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"((u16)0x3F8)); }
static u32 is_refused(u32 bits)
{
    faults = 0;
    __asm__ volatile("mov %%cr4, %%eax\n or %0, %%eax\n mov %%eax, %%cr4"
                     : : "r"(bits) : "eax", "memory");
    return faults;
}
static u32 read(void) { return *(volatile u32 *)0x400000; }
void main(void)
{
    u32 a = 1, d, c, b;
    __asm__ volatile("lgdt %0\n ljmp $8, $1f\n1: mov $16, %%eax\n mov %%eax, %%ds\n"
                     "mov %%eax, %%es\n mov %%eax, %%ss\n" : : "m"(to_gdt) : "eax");
    idt[13][0] = (u32)refused & 0xFFFF | 8 << 16;
    idt[13][1] = (u32)refused & 0xFFFF0000 | 0x8E00;
    __asm__ volatile("lidt %0" : : "m"(to_idt));
#ifndef ONLY_PAGES
    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "=c"(c), "=d"(d));
    out(d >> 13 & 1 ? 'G' : '-');
    out('0' + is_refused(0x80));
    __asm__ volatile("mov %%cr4, %0" : "=r"(a));
    out('0' + (a >> 7 & 1));
    out('0' + is_refused(1u << 31)), out('0' + is_refused(0x20)), out('0' + is_refused(0x10));
#endif
    for (u32 page = 0; page < 1024; page++) table[page] = page << 12 | 0x103;
    directory[0] = (u32)table | 3, directory[1] = (u32)frames[1] | 3;
    u32 *second = (u32 *)0x300000, *one = (u32 *)0x301000, *other = (u32 *)0x302000;
    directory[1] = (u32)second | 3, *one = 'a', *other = 'b';
    __asm__ volatile("mov %0, %%cr3\n mov %%cr0, %%eax\n or $0x80000000, %%eax\n mov %%eax, %%cr0"
                     : : "r"(directory) : "eax", "memory");
    for (u32 turn = 0; turn < 40; turn++) {
        *second = (turn & 1 ? (u32)other : (u32)one) | 0x103;
        if (turn % 4 < 2)
            __asm__ volatile("mov %%cr3, %%eax\n mov %%eax, %%cr3" : : : "eax", "memory");
        else __asm__ volatile("invlpg 0x400000" : : : "memory");
        for (u32 k = 0, sum = 0; k < 50; k++) { sum += read(); if (k == 49) out(sum / 50); }
    }
    __asm__ volatile("outb %%al, $0xF4" : : "a"(0));
    for (;;) ;
}
"""
SAID = "-1" + "0" + "110" + "ab" * 20


def built(folder: Path, *more: str) -> Path:
    (folder / "kernel.c").write_text(SOURCE)
    gcc = "gcc -m32 -O2 -march=i686 -ffreestanding -nostdlib -fno-pic -no-pie -w -o kernel.elf"
    link = "-fno-stack-protector -Wl,--build-id=none,-z,max-page-size=4096,-Ttext=0x100000 kernel.c"
    subprocess.run([*gcc.split(), *more, *link.split()], cwd=folder, check=True)
    return folder / "kernel.elf"


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(tmp_path_factory.mktemp("global"))


@needs_gcc
@pytest.mark.parametrize("tier", TIERS)
def test_they_are_refused_and_ignored(tier: str, kernel: Path) -> None:
    if tier in NEEDS:
        pytest.importorskip(NEEDS[tier], reason=f"{NEEDS[tier]} is not installed")
    computer = Computer(8, history=0, decoder=DECODER, tier=tier)
    computer.load(load(kernel, 8 << 20))
    run = computer.run(400_000)
    assert (run.text, run.ended) == (SAID, "exit")
    assert run.traps == {("#GP", "exception"): 3}


@needs_gcc
@pytest.mark.skipif(QEMU is None, reason=NO_QEMU)
def test_in_qemu_the_same_is_read(tmp_path: Path) -> None:
    kernel = built(tmp_path, "-DONLY_PAGES")
    assert boot(kernel, more=("-cpu", "pentium")) == ("ab" * 20, 1)


@pytest.mark.parametrize("bits", [0x80, 0x20, 1, 2, 8, 0x40, 0x100, 1 << 31, 0x94])
def test_a_bit_of_cr4_that_is_none_is_refused(bits: int) -> None:
    processor = at("0f22e0")
    processor.registers["EAX"] = bits
    fault = fault_of(processor)
    assert (fault.vector, fault.code) == (13, 0)
    assert processor.registers["CR4"] == 0


@pytest.mark.parametrize("bits", [0, 4, 0x10, 0x14])
def test_the_bits_that_there_are_can_be_set(bits: int) -> None:
    processor = at("0f22e0 0f20e3")
    processor.registers["EAX"] = bits
    processor.step()
    processor.step()
    assert processor.registers["EBX"] == bits


def test_cr3_forgets_a_page_that_is_marked_as_global() -> None:
    processor = paged(READ + "0f22d8" + READ, {6: 0x9107})
    processor.memory.write(0xA000, b"\x02")
    processor.step()
    processor.memory.write(TABLE + 24, (0xA107).to_bytes(4, "little"))
    processor.registers["EAX"] = processor.registers["CR3"]
    processor.step()
    processor.step()
    assert processor.registers["EAX"] == 2
    assert processor.paging.physical(DATA, write=False, user=False) == 0xA000
