"""A cell of the table of rings, in words; and pages, the one thing that tells ring 3 from 1."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from virtlab.machine.memory import PAGE
from virtlab.machine.probes import PROBES
from virtlab.machine.ring_choice import BESIDE, choose, differences, small_table
from virtlab.machine.ring_pages import DIRECTORY, page_rights, paged_stage, touch
from virtlab.machine.rings import ring_table
from virtlab.machine.stage import CODE, DATA, GDT, IDT, RAM, TSS, code_selector, data_selector
from virtlab.validate import InvalidInputError


@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: probe.name)
@pytest.mark.parametrize("ring", range(4))
def test_each_cell_is_told_as_it_is(probe: Any, ring: int) -> None:
    for beside in BESIDE:
        choice = choose(probe.name, ring, 0, beside)
        words = choice.explain()
        assert words.startswith(f"{probe.text} at ring {ring} with IOPL 0 ")
        assert ("traps (" in words.split(". ")[0]) == (choice.kind == "faults")
        assert set(choice.to_frame()["what"]) >= {"IF", "IOPL", "ring"}
        assert choice.summary()["cells_that_differ"] == len(differences(beside, 0))


def test_what_a_kernel_counts_on_is_shown_beside_what_it_gets() -> None:
    for choice in (choose("popf", 1), choose("cli", 3)):
        rows = choice.to_frame().to_numpy().tolist()
        assert ["IF", "1", "1", "0"] in rows


def test_the_others_differ_where_they_are_known_to() -> None:
    assert {name for name, _ in differences("a real processor", 0)} == {
        "sgdt", "sidt", "sldt", "str", "smsw",
    }  # fmt: skip
    assert differences("a real processor", 1) == {}
    assert differences("ours alone", 0) == {}
    for iopl in range(4):
        ports = {key for key in differences("Unicorn", iopl) if key[0] in ("in", "out")}
        assert ports == {(name, ring) for name in ("in", "out") for ring in range(iopl + 1, 4)}
    broken = ring_table().violations()
    mended = {name for name, _ in differences("a repaired i386", 0)}
    by_name = {probe.name: probe.mnemonic for probe in PROBES}
    assert mended
    assert all(by_name[name] in broken for name in mended)
    assert all(ring for _, ring in differences("a repaired i386", 0))


@pytest.mark.parametrize("iopl", range(4))
def test_a_small_table_counts_what_it_shows(iopl: int) -> None:
    table = small_table(iopl)
    frame, told = table.to_frame(), table.summary()
    assert len(frame) == told["instructions"] == 47
    for ring in range(4):
        assert (frame[f"ring {ring}"] == "traps").sum() == told[f"ring_{ring}_faults"]
    assert told["ring_0_works"] == 47


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (("nop",), "name"),
        (("cli", 4), "ring"),
        (("cli", 0, 4), "iopl"),
        (("cli", 0, 0, "QEMU"), "beside"),
    ],
)
def test_a_cell_that_is_none_is_refused(arguments: tuple[Any, ...], field: str) -> None:
    with pytest.raises(InvalidInputError, match=field):
        choose(*arguments)


# --- pages ----------------------------------------------------------------------------------------

KINDS = list(itertools.product(range(4), *[(True, False)] * 4))


def by_the_manual(ring: int, *, user: bool, writable: bool, write: bool, protect: bool) -> bool:
    """Return whether an access is allowed: SDM 3, table 4-3 in words."""
    if ring == 3:
        return user and (writable or not write)
    return writable or not write or not protect


@pytest.mark.parametrize(("ring", "user", "writable", "write", "protect"), KINDS)
def test_pages_by_the_manual(
    ring: int, *, user: bool, writable: bool, write: bool, protect: bool
) -> None:
    done = touch(ring, user=user, writable=writable, write=write, protect=protect)
    allowed = by_the_manual(ring, user=user, writable=writable, write=write, protect=protect)
    assert (done == "works") == allowed
    if not allowed:
        assert done == f"#PF({1 | write << 1 | (ring == 3) << 2:#x})"


@pytest.mark.parametrize(("ring", "user", "writable", "write", "protect"), KINDS)
def test_pages_as_unicorn_has_them(
    ring: int, *, user: bool, writable: bool, write: bool, protect: bool
) -> None:
    unicorn: Any = pytest.importorskip("unicorn")
    const: Any = pytest.importorskip("unicorn.x86_const")
    ours = paged_stage(ring, user=user, writable=writable, protect=protect)
    opcode = b"\xa3" if write else b"\xa1"
    ours.memory.write(CODE, opcode + DATA.to_bytes(4, "little"))
    uc = unicorn.Uc(unicorn.UC_ARCH_X86, unicorn.UC_MODE_32)
    uc.mem_map(0, RAM)
    uc.mem_write(0, bytes(ours.memory.data))
    seen: list[int] = []

    def interrupted(uc: Any, vector: int, _data: object) -> None:
        seen.append(vector)
        uc.emu_stop()

    uc.hook_add(unicorn.UC_HOOK_INTR, interrupted)
    uc.reg_write(const.UC_X86_REG_GDTR, (0, GDT, 0x5F, 0))
    uc.reg_write(const.UC_X86_REG_IDTR, (0, IDT, 0x7FF, 0))
    uc.reg_write(const.UC_X86_REG_TR, (0x48, TSS, 0x67, 0x8B00))
    uc.reg_write(const.UC_X86_REG_CS, 0x08)
    uc.reg_write(const.UC_X86_REG_SS, 0x10)
    words = [CODE, code_selector(ring), 0x202, 0x8000, data_selector(ring)]
    uc.mem_write(0x9F00, b"".join(word.to_bytes(4, "little") for word in words))
    uc.mem_write(0x9E00, b"\xcf")
    uc.reg_write(const.UC_X86_REG_ESP, 0x9F00)
    uc.emu_start(0x9E00, 0, count=1)
    for name in ("DS", "ES"):
        uc.reg_write(getattr(const, f"UC_X86_REG_{name}"), data_selector(ring))
    uc.reg_write(const.UC_X86_REG_CR3, DIRECTORY)
    uc.reg_write(const.UC_X86_REG_CR0, ours.registers["CR0"])
    failed = ""
    try:
        uc.emu_start(CODE, 0, count=1)
    except unicorn.UcError as error:
        failed = str(error)
    done = touch(ring, user=user, writable=writable, write=write, protect=protect)
    assert (done == "works") == (not seen and not failed), (seen, failed)


def test_rings_0_to_2_are_one_to_paging() -> None:
    for protect in (False, True):
        rights = page_rights(protect=protect)
        assert [rights.alike(0, ring) for ring in range(4)] == [True, True, True, False]
        assert "rings 0, 1, 2 are the same" in rights.explain()
        assert len(rights.to_frame()) == 4
    assert page_rights().summary() == {"alike": "0, 1, 2", "write_protect": 0}
    assert DATA % PAGE == 0
