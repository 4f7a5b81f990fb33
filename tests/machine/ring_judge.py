"""Unicorn on the small machine of the rings: a judge of what an instruction does at a ring."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from virtlab.machine.decode import Decoder
from virtlab.machine.registers import GENERAL
from virtlab.machine.stage import (
    CODE,
    GDT,
    IDT,
    RAM,
    TSS,
    code_selector,
    data_selector,
    stage,
)

if TYPE_CHECKING:
    from virtlab.machine.probes import Probe

unicorn: Any = pytest.importorskip("unicorn", reason="Unicorn is not installed")
const: Any = pytest.importorskip("unicorn.x86_const")

DECODER = Decoder()  # to make one anew takes longer than all else that a judge does


class Judge:
    """Unicorn on the same small machine, brought to a ring by an IRET of its own."""

    def __init__(self, probe: Probe, ring: int, iopl: int) -> None:
        ours = stage(ring, iopl, DECODER)
        probe.prepare(ours)
        ours.memory.write(CODE, probe.bytes_at(ring))
        self.uc = unicorn.Uc(unicorn.UC_ARCH_X86, unicorn.UC_MODE_32)
        self.uc.mem_map(0, RAM)
        self.uc.mem_write(0, bytes(ours.memory.data))
        self.vector = -1
        self.uc.hook_add(unicorn.UC_HOOK_INTR, self._interrupted)
        self.uc.reg_write(const.UC_X86_REG_GDTR, (0, GDT, 0x5F, 0))
        self.uc.reg_write(const.UC_X86_REG_IDTR, (0, IDT, 0x7FF, 0))
        self._come_to(ours, ring)
        for name in ("CR0",):
            self.uc.reg_write(const.UC_X86_REG_CR0, ours.registers[name])
        self.before = self.state()

    def _interrupted(self, uc: Any, vector: int, _data: Any) -> None:
        self.vector = vector
        uc.emu_stop()

    def _come_to(self, ours: Any, ring: int) -> None:
        """Load the segments at ring 0, and return to the ring."""
        write, uc = self.uc.reg_write, self.uc
        for name, selector in (("CS", 0x08), ("SS", 0x10)):
            write(getattr(const, f"UC_X86_REG_{name}"), selector)
        uc.reg_write(const.UC_X86_REG_TR, (0x48, TSS, 0x67, 0x8B00))
        words = [CODE, code_selector(ring), ours.registers.eflags, ours.registers["ESP"]]
        words.append(data_selector(ring))
        top = 0x9F00
        uc.mem_write(top, b"".join(word.to_bytes(4, "little") for word in words))
        uc.mem_write(0x9E00, b"\xcf")  # iret
        write(const.UC_X86_REG_ESP, top)
        write(const.UC_X86_REG_EFLAGS, 2)
        uc.emu_start(0x9E00, 0, count=1)
        if ring == 0:
            write(const.UC_X86_REG_ESP, ours.registers["ESP"])
        for name in ("DS", "ES", "FS", "GS"):
            write(getattr(const, f"UC_X86_REG_{name}"), data_selector(ring))
        for name in GENERAL[:4] + GENERAL[5:]:
            write(getattr(const, f"UC_X86_REG_{name}"), ours.registers[name])
        assert uc.reg_read(const.UC_X86_REG_CS) == code_selector(ring)

    def state(self) -> dict[str, Any]:
        read = self.uc.reg_read
        return {
            **{name: read(getattr(const, f"UC_X86_REG_{name}")) for name in GENERAL},
            "flags": read(const.UC_X86_REG_EFLAGS) & 0x8D5,
            "IF": read(const.UC_X86_REG_EFLAGS) >> 9 & 1,
            "IOPL": read(const.UC_X86_REG_EFLAGS) >> 12 & 3,
            "ring": read(const.UC_X86_REG_CS) & 3,
            "eip": read(const.UC_X86_REG_EIP),
            "cr0": read(const.UC_X86_REG_CR0),
            "cr3": read(const.UC_X86_REG_CR3),
            "gdtr": read(const.UC_X86_REG_GDTR)[1:3],
            "idtr": read(const.UC_X86_REG_IDTR)[1:3],
            "memory": bytes(self.uc.mem_read(0, 0x9E00)),
        }

    def run(self) -> str:
        """Run the instruction; return how the fault is called, if it faults."""
        try:
            self.uc.emu_start(CODE, 0, count=1)
        except unicorn.UcError as error:
            return "#UD" if error.errno == unicorn.UC_ERR_INSN_INVALID else "?"
        return {-1: "", 13: "#GP", 12: "#SS", 11: "#NP"}.get(self.vector, f"{self.vector}")


def taken(fault: str) -> str:
    """Say how a run ended: a fault, nothing, or a hook that takes an interrupt with no gate."""
    return f"hook {int(fault):#x}" if fault.isdigit() else fault
