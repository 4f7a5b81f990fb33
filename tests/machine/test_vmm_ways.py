"""Three ways to run one kernel: patched it is the native run, deprivileged it is not."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.machine.oracle import NO_QEMU, QEMU, boot
from tests.machine.test_guests import compiler, needs_gcc
from tests.machine.test_kernel import assert_says_what_it_should
from virtlab.datasets import changed_files
from virtlab.machine.computer import Computer
from virtlab.machine.guests import FOLDER, MIRROR, guest, kernel, mirror
from virtlab.machine.image import load
from virtlab.machine.start import MachineCode
from virtlab.machine.vmm import Monitor
from virtlab.machine.vmm.judge import guest_view
from virtlab.machine.vmm.outcome import TRAP_CYCLES, WAYS, Ways
from virtlab.machine.vmm.patching import could_lie
from virtlab.machine.vmm.protection import touch_the_vmm, try_to_touch
from virtlab.machine.vmm.ways import first_lie, run_ways
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from pathlib import Path

    from virtlab.machine.theorem.cost import TrapCost

MIB = 2**20
# What the mirror says on QEMU 7.2 (TCG, -cpu 486), where it is alone on its machine.
ON_QEMU = """\
mirror: what am I?
mov from cs: 00000008
mov from ss: 00000010
push cs: 00000008
lar, ring of my data: 00000000
lsl, end of my data: ffffffff
smsw: 00000011
sgdt: it begins at 00101000
sgdt: its last byte is 0000001f
sgdt: that is my own table
sidt: that is my own table
str: 00000018
after cli, pushf says 00000000
after popf with IF, the timer interrupts
after popf without IF, nothing interrupts
mirror: that is what I heard
"""


@pytest.fixture(scope="module")
def of_kernel() -> Ways:
    return run_ways(kernel())


@pytest.fixture(scope="module")
def of_mirror() -> Ways:
    return run_ways(mirror())


# --- the small kernel -----------------------------------------------------------------------------


def test_the_native_run_is_the_kernels_own(of_kernel: Ways) -> None:
    ticks, switches = assert_says_what_it_should(of_kernel.native.output.decode())
    assert (ticks, switches) == (8, 8)
    assert of_kernel.native.exit_status == 1
    assert of_kernel.native.entries == {}


def test_deprivileged_the_kernel_loses_its_timer_at_one_iret(of_kernel: Ways) -> None:
    wrong = of_kernel.divergence
    assert wrong is not None
    assert (wrong.routine, wrong.ring) == ("IRET", 1)
    assert wrong.symbol.startswith("leave")
    assert [str(one) for one in wrong.differences] == ["IF is 0 and should be 1"]
    one = of_kernel.deprivileged
    assert one.exit_status == 1  # it does not crash: it goes on, and is wrong
    assert one.interrupted_at == ()
    assert one.lines[-1].startswith("kernel: no process is left; ticks 0, switches 1,")
    # A has done all its rounds before B begins.
    told = [line[0] for line in one.lines if re.match(r"[AB]: round", line)]
    assert "".join(told) == "A" * 6 + "B" * 5


def test_the_first_other_line_is_where_the_first_turn_was(of_kernel: Ways) -> None:
    differs = of_kernel.first_line("deprivileged")
    assert differs is not None
    number, native, here = differs
    assert of_kernel.native.lines[:number] == of_kernel.deprivileged.lines[:number]
    assert (native[0], here[0]) == ("B", "A")
    byte = of_kernel.first_byte("deprivileged")
    assert byte is not None
    assert of_kernel.native.output[:byte].count(b"\n") == number
    said = of_kernel.deprivileged.said_at[byte]
    assert of_kernel.divergence is not None
    assert of_kernel.divergence.step < said  # the lie comes long before the line that shows it


def test_patched_it_is_the_native_run_to_the_last_byte(of_kernel: Ways) -> None:
    one, other = of_kernel.native, of_kernel.patched
    assert other.wrongs == ()
    assert (one.output, one.ended, one.exit_status) == (
        other.output,
        other.ended,
        other.exit_status,
    )
    assert one.instructions == other.instructions
    assert one.interrupted_at == other.interrupted_at
    assert one.delivered == other.delivered
    assert one.memory == other.memory
    assert [patch.instruction for patch in other.patches] == ["IRETD"]
    assert other.entries["IRETD (patched)"] == len(one.interrupted_at) + 2 + 12  # and #PF, int 0x80


def test_a_run_repeats(of_kernel: Ways) -> None:
    limit = 12_000
    one, other = (run_ways(kernel(), max_instructions=limit) for _ in range(2))
    assert one == other
    assert one.native.ended == "limit"
    lies = of_kernel.deprivileged.wrongs
    assert one.deprivileged.wrongs == tuple(wrong for wrong in lies if wrong.step < limit)


def test_two_machines_side_by_side_find_the_same_instruction(of_kernel: Ways) -> None:
    """The judge compares two worlds on one machine; here are two machines, and no judge."""
    image = load(kernel(), 2 * MIB)
    one, other = Computer(2, history=0), Monitor(2, judged=False, log_events=0)
    for computer in (one, other):
        computer.load(image)
    wrong = of_kernel.divergence
    assert wrong is not None
    place = (one.clock.now, one.address)
    while guest_view(one.processor) == guest_view(other.processor):
        place = one.clock.now, one.address
        assert place == (other.clock.now, other.address)
        one.memory.journal, other.memory.journal = [], []
        one.step()
        other.step()
        assert one.memory.journal == other.memory.journal
    assert place == (wrong.step, wrong.address)
    assert other.wrongs == []


def test_what_traps_is_counted_by_reason(of_kernel: Ways) -> None:
    for way in (of_kernel.deprivileged, of_kernel.patched):
        assert way.total_entries == sum(way.entries.values()) == len(way.entered_at)
        assert way.trap_cycles == TRAP_CYCLES * way.total_entries
        letters = len(way.output)
        assert way.entries["IN"] == letters  # the kernel asks the port before each letter
        assert way.entries["OUT"] > letters
        assert way.entries["INT"] == 12
    frame = of_kernel.traps_frame()
    assert list(frame.columns) == ["reason", *WAYS[1:]]
    assert frame["patched"].sum() == of_kernel.patched.total_entries


def test_the_traps_are_those_that_a_count_at_ring_0_foresees(
    of_kernel: Ways, kernel_cost: TrapCost
) -> None:
    """The theorem's count looks at the native run alone, and knows no monitor."""
    entries = of_kernel.patched.entries
    privileged = ("OUT", "IN", "MOV CR", "LGDT", "LIDT", "LTR")
    assert sum(entries[name] for name in privileged) == kernel_cost.kernel_traps
    assert entries["INT"] == kernel_cost.calls


def test_the_patches_as_a_table(of_mirror: Ways) -> None:
    frame = of_mirror.patches_frame()
    assert len(frame) == len(of_mirror.patched.patches) == 12
    assert set(frame["replaced_by"]) == {"cc"}
    by_name = frame.set_index("instruction")["bytes"]
    assert (by_name["POPFD"], by_name["IRETD"], by_name["PUSH CS"], by_name["SMSW ESI"]) == (
        1,
        1,
        1,
        3,
    )
    assert list(frame["symbol"])[:2] == ["on_timer+0xc", "set_flags+0x1"]


def test_it_says_so(of_kernel: Ways) -> None:
    text = of_kernel.explain()
    assert "IRETD at leave" in text
    assert "line 7" in text
    frame = of_kernel.to_frame()
    assert list(frame["way"]) == list(WAYS)
    assert list(frame["instructions_that_lied"]) == [0, 1, 0]
    assert list(frame["lies"]) == [0, 2, 0]
    summary = of_kernel.summary()
    assert summary["patched_says_the_same"] == 1
    assert summary["first_lie_at_instruction"] == of_kernel.deprivileged.wrongs[0].step
    lines = of_kernel.lines_frame()
    assert list(lines["same"][:7]) == [True] * 6 + [False]
    assert "did not trap" in json.loads(json.dumps(of_kernel.to_json()))["divergence"]


# --- the mirror -----------------------------------------------------------------------------------


def test_at_ring_0_the_mirror_tells_the_truth(of_mirror: Ways) -> None:
    assert of_mirror.native.output.decode() == ON_QEMU
    assert of_mirror.patched.output.decode() == ON_QEMU
    assert of_mirror.patched.memory == of_mirror.native.memory


def test_at_ring_1_each_answer_is_a_lie(of_mirror: Ways) -> None:
    lines = of_mirror.deprivileged.lines
    truth = ON_QEMU.splitlines()
    assert len(lines) == len(truth)
    assert [k for k, line in enumerate(lines) if line == truth[k]] == [0, len(truth) - 1]
    lied = {wrong.routine for wrong in of_mirror.deprivileged.wrongs}
    assert (of_mirror.summary()["instructions_that_lied"], of_mirror.summary()["lies"]) == (11, 12)
    asked = {"MOVFROMSEG", "PUSHSEG", "LAR", "LSL", "SMSW", "SGDT", "SIDT", "STR", "PUSHF", "POPF"}
    assert lied == asked
    assert lied <= could_lie()


def test_popf_goes_wrong_both_ways(of_mirror: Ways) -> None:
    popf = [wrong for wrong in of_mirror.deprivileged.wrongs if wrong.routine == "POPF"]
    assert {(d.meant, d.here) for wrong in popf for d in wrong.differences} == {
        ("1", "0"),
        ("0", "1"),
    }
    assert all(wrong.symbol.startswith("set_flags") for wrong in popf)


@pytest.mark.skipif(QEMU is None, reason=NO_QEMU)
def test_qemu_hears_the_truth_too() -> None:
    by_count = ("-icount", "shift=6,sleep=off")  # time is instructions, as here
    assert boot(mirror(), more=by_count) == (ON_QEMU, 1)


@needs_gcc
def test_the_mirror_builds_without_a_warning_to_the_same_bytes(root: Path, tmp_path: Path) -> None:
    copy = tmp_path / "virtlab/machine/mirror"
    shutil.copytree(MIRROR, copy)
    shutil.copytree(FOLDER, copy.parent / "program")
    (copy / "mirror.elf").unlink()
    (tmp_path / "tools").mkdir()
    tool = shutil.copy(root / "tools/build_guests.py", tmp_path / "tools")
    subprocess.run([sys.executable, tool, "mirror"], check=True, capture_output=True)
    assert changed_files(copy) == []
    if re.search(r"\(Debian 12\.2\.0-", compiler()):  # another compiler may choose other code
        assert (copy / "SHA256SUMS").read_bytes() == (MIRROR / "SHA256SUMS").read_bytes()


# --- other programs -------------------------------------------------------------------------------


def test_a_program_without_such_an_instruction_runs_as_at_ring_0() -> None:
    ways = run_ways(guest("fibonacci").path(), max_instructions=6000)
    assert ways.divergence is None
    assert ways.deprivileged.patches == ways.patched.patches == ()
    assert ways.native.memory == ways.deprivileged.memory == ways.patched.memory
    assert "nothing in it lies" in ways.explain()
    assert ways.summary()["first_lie"] == ""
    assert ways.summary()["first_other_line"] == -1
    assert ways.first_byte("deprivileged") is None


@pytest.mark.parametrize(
    ("code", "routine"),
    [
        ("8cc8 f4", "MOVFROMSEG"),
        ("fb 9c fa 9c f4", "PUSHF"),  # the second: the first tells the truth by chance
        ("fa fb f4", None),
        ("ebfe", None),
    ],
)
def test_the_first_lie_of_a_program(code: str, routine: str | None) -> None:
    wrong = first_lie(MachineCode(bytes.fromhex(code), 0x1000), max_instructions=100)
    assert (None if wrong is None else wrong.routine) == routine
    if code.startswith("fb 9c fa"):
        assert wrong is not None
        assert wrong.address == 0x1003


def test_the_first_lie_of_the_kernel(of_kernel: Ways) -> None:
    assert first_lie() == of_kernel.divergence


def test_bad_input_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="max_instructions"):
        run_ways(mirror(), max_instructions=0)
    with pytest.raises(InvalidInputError, match="ram_mib"):
        run_ways(mirror(), ram_mib=0)
    with pytest.raises(InvalidInputError, match="ram_mib"):
        first_lie(mirror(), ram_mib=4000)
    broken = tmp_path / "broken.elf"
    broken.write_bytes(b"\x7fELF")
    with pytest.raises(InvalidInputError):
        run_ways(broken)


# --- who can touch the VMM ------------------------------------------------------------------------


@pytest.mark.parametrize("write", [False, True])
@pytest.mark.parametrize("ring", [1, 2, 3])
def test_paging_keeps_ring_3_off_and_segments_the_others(ring: int, *, write: bool) -> None:
    free = try_to_touch(ring, truncate=False, write=write)
    kept = try_to_touch(ring, truncate=True, write=write)
    assert free.reached == (ring < 3)
    assert free.fault == ("" if ring < 3 else f"#PF({5 | write << 1:#x})")
    assert not kept.reached
    assert kept.fault == "#GP(0)"
    assert "beyond the segment's limit" in kept.why


def test_the_table_of_who_can() -> None:
    table = touch_the_vmm()
    assert len(table.to_frame()) == 12
    assert table.summary() == {
        "rings_that_reach_it_untruncated": 2,
        "rings_that_reach_it_truncated": 0,
    }
    with pytest.raises(InvalidInputError, match="ring"):
        try_to_touch(0, truncate=True)
