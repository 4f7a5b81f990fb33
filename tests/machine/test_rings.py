"""Rings: the whole table beside Unicorn's, and the theorem by what was run."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from virtlab.machine.probes import PROBES, Probe, named
from virtlab.machine.registers import GENERAL
from virtlab.machine.rings import (
    NON_PRIVILEGED_SENSITIVE,
    Outcome,
    ring_table,
    try_instruction,
)
from virtlab.machine.stage import (
    CODE,
    GDT,
    IDT,
    RAM,
    STACK,
    TSS,
    code_selector,
    data_selector,
    stage,
)

unicorn: Any = pytest.importorskip("unicorn", reason="Unicorn is not installed")
const: Any = pytest.importorskip("unicorn.x86_const")

# What Unicorn 2.1 does otherwise than the manual, by what it is about.
NO_PORT_CHECK = {"in", "out", "ins", "outs"}  # SDM 1, 19.5: IOPL and the task's map are not checked
NO_DELIVERY = {"int 0x80", "int 0x81"}  # SDM 3, 6.12: a hook is called, with no gate, nor its ring
SETTLED = NO_PORT_CHECK | NO_DELIVERY


class Judge:
    """Unicorn on the same small machine, brought to a ring by an IRET of its own."""

    def __init__(self, probe: Probe, ring: int, iopl: int) -> None:
        ours = stage(ring, iopl)
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


CASES = [
    (probe, ring, iopl)
    for probe, ring, iopl in itertools.product(PROBES, range(4), range(4))
    if probe.name not in SETTLED
]


@pytest.mark.parametrize(
    ("probe", "ring", "iopl"), CASES, ids=[f"{p.name}-{r}-{i}" for p, r, i in CASES]
)
def test_the_table_is_unicorns(probe: Probe, ring: int, iopl: int) -> None:
    ours = ring_table().outcomes[probe.name, ring, iopl]
    judge = Judge(probe, ring, iopl)
    fault = judge.run()
    assert ours.fault.partition("(")[0] == fault
    if fault:
        return
    theirs = judge.state()
    for key in (*GENERAL, "flags", "IF", "IOPL", "ring", "cr0", "cr3"):
        assert ours.after[key] == theirs[key], key
    for key in ("gdtr", "idtr"):
        table: Any = ours.after[key]
        assert (table.base, table.limit) == theirs[key], key
    if probe.name != "hlt":  # Unicorn leaves EIP where it stopped
        assert ours.after["eip"] == theirs["eip"]
    memory: Any = ours.after["memory"]
    for address, content in memory:
        got = theirs["memory"][address : address + len(content) // 2].hex()
        assert got == content or address == STACK - 4 * len(probe.stack), hex(address)


@pytest.mark.parametrize("ring", range(4))
@pytest.mark.parametrize("iopl", range(4))
@pytest.mark.parametrize("name", sorted(NO_PORT_CHECK))
def test_ports_by_the_manual_where_unicorn_does_not_ask(name: str, ring: int, iopl: int) -> None:
    done = try_instruction(named(name), ring, iopl)
    assert (done.fault == "") == (ring <= iopl)
    assert bool(done.after["bus"]) == (ring <= iopl)


@pytest.mark.parametrize("ring", range(4))
def test_software_interrupts_by_the_manual(ring: int) -> None:
    allowed = try_instruction(named("int 0x80"), ring)
    assert allowed.fault == ""
    assert (allowed.after["ring"], allowed.after["IF"]) == (0, 0)
    refused = try_instruction(named("int 0x81"), ring)
    assert refused.fault == ("" if ring == 0 else "#GP(0x40a)")


def test_what_breaks_the_theorem_is_the_published_list() -> None:
    assert ring_table().violations() == NON_PRIVILEGED_SENSITIVE


def test_nothing_harmless_is_sensitive() -> None:
    table = ring_table()
    assert table.sensitive("add") == table.sensitive("mov") == (False, False)
    assert not table.privileged("ADD")


@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: probe.name)
def test_rings_1_to_3_are_one_for_all_but_paging(probe: Probe) -> None:
    table = ring_table()
    cells = {table.cell(probe.name, ring, 0) for ring in (1, 2, 3)}
    assert len(cells) == 1


def test_a_lie_is_told_without_a_fault() -> None:
    table = ring_table()
    for name in ("popf", "iret"):
        done: Outcome = table.outcomes[name, 3, 0]
        assert done.fault == ""
        assert done.after["IF"] == 1  # the program asked for 0
        assert table.cell(name, 3, 0) == "differs"
        assert table.cell(name, 3, 3) == "differs"  # with IOPL 3 it asked for IOPL 0, too


def test_the_words_and_the_rows() -> None:
    table = ring_table()
    frame = table.to_frame()
    assert len(frame) == len(PROBES) * 16
    assert set(frame["outcome"]) == {"works", "faults", "differs"}
    assert "19 mnemonics" in table.explain()
    assert table.summary()["sensitive_not_privileged"] == 19
    row = frame[(frame["mnemonic"] == "LGDT") & (frame["ring"] == 1)].iloc[0]
    assert (row["outcome"], row["fault"]) == ("faults", "#GP(0)")
    assert "ring 0's" in row["why"]
