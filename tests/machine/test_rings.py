"""Rings: the whole table beside Unicorn's, and the theorem by what was run."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from tests.machine.ring_judge import Judge, taken
from virtlab.datasets import rings_unicorn
from virtlab.machine.probes import PROBES, Probe, named
from virtlab.machine.registers import GENERAL
from virtlab.machine.rings import (
    NON_PRIVILEGED_SENSITIVE,
    Outcome,
    ring_table,
    try_instruction,
)
from virtlab.machine.stage import STACK

# What Unicorn 2.1 does otherwise than the manual, by what it is about.
NO_PORT_CHECK = {"in", "out", "ins", "outs"}  # SDM 1, 19.5: IOPL and the task's map are not checked
NO_DELIVERY = {"int 0x80", "int 0x81"}  # SDM 3, 6.12: a hook is called, with no gate, nor its ring
SETTLED = NO_PORT_CHECK | NO_DELIVERY


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


def test_what_is_stored_of_unicorn_is_what_it_does() -> None:
    stored = rings_unicorn()
    assert len(stored) == len(PROBES) * 16
    cells = zip(stored["name"], stored["ring"], stored["iopl"], stored["fault"], strict=True)
    for name, ring, iopl, fault in cells:
        if ring in (0, 3) and iopl in (0, 3):
            assert taken(Judge(named(name), int(ring), int(iopl)).run()) == fault, (name, ring)
