"""What touches the machine: from p-code, held against the table, the rings and iced-x86."""

from __future__ import annotations

from typing import Any

import pytest

from virtlab.machine import sensitivity as module
from virtlab.machine.encoding import encoding
from virtlab.machine.faults import Fault
from virtlab.machine.probes import PROBES
from virtlab.machine.rings import NON_PRIVILEGED_SENSITIVE, ring_table
from virtlab.machine.sensitive import BY_OPCODE, BY_REG, routine_of
from virtlab.machine.sensitivity import BY_HAND, OTHER_REASONS, Touch, sensitivity, touched

# The table of the processor, by opcode and ModRM's `reg`.
TABLE = {(opcode, None): name for opcode, name in BY_OPCODE.items()} | {
    (opcode, reg): name
    for opcode, names in BY_REG.items()
    for reg, name in enumerate(names)
    if name is not None
}


def by_key() -> dict[tuple[int, int | None], Touch]:
    return {touch.key: touch for touch in sensitivity().touches if touch.exists}


# --- beside the processor's table -----------------------------------------------------------------


def test_what_was_computed_is_the_processors_table_but_for_what_is_named() -> None:
    """The table of differences: five by hand, two that touch nothing; no more, no less."""
    computed = {touch.key for touch in sensitivity().touches if touch.exists and touch.touches}
    assert set(TABLE) - computed == set(BY_HAND) | set(OTHER_REASONS)
    assert computed - set(TABLE) == set()
    assert sensitivity().differences() == {}
    assert {key: touch.routine for key, touch in by_key().items()} == TABLE


def test_there_are_five_of_which_p_code_is_silent() -> None:
    found = {touch.name for touch in by_key().values() if touch.found == "by hand"}
    assert found == {"HLT", "INVD", "WBINVD", "LAR", "JMPF"}
    assert len(BY_HAND) == 5
    assert set(BY_HAND).isdisjoint(OTHER_REASONS)


@pytest.mark.parametrize("key", [*BY_HAND, *OTHER_REASONS], ids=str)
@pytest.mark.parametrize("prefix", ["", "66"])
@pytest.mark.parametrize("rm", [0x05, 0xC0])
def test_p_code_is_silent_there_in_each_form(
    key: tuple[int, int | None], prefix: str, rm: int
) -> None:
    opcode, reg = key
    code = bytes.fromhex(prefix) + opcode.to_bytes(1 + (opcode > 0xFF), "big")
    if encoding(code + bytes(8)).modrm >= 0:
        code += bytes([rm | (reg or 0) << 3])
    try:
        found = touched(code + bytes(8))
    except Fault:  # no such form
        assert rm == 0xC0
        return
    assert found == frozenset()


@pytest.mark.parametrize(
    ("code", "touches"),
    [
        ("fa", {"IF"}),
        ("fb", {"IF"}),
        ("9c", {"IF", "NT", "eflags"}),  # and not IOPL, which it pushes too
        ("9d", {"IF", "NT", "eflags"}),
        ("cf", {"CS", "eflags"}),
        ("1f", {"DS"}),
        ("8cc8", {"CS"}),
        ("0f01e0", {"CR0"}),
        ("0f0115", {"GlobalDescriptorTableRegister"}),
        ("0f20d8", {"CR3"}),
        ("0f23f8", {"DR7"}),
        ("e460", {"in"}),
        ("f36e", {"out"}),
        ("cd80", {"swi"}),
        ("01d8", set()),
        ("8b05", set()),  # that DS is used is no touch: a program may not ask which it is
        ("f0ff05", set()),  # the lock of one access
        ("678b06", set()),
        ("9e", set()),
        ("fc", set()),  # DF is the program's
    ],
)
def test_what_single_instructions_touch(code: str, touches: set[str]) -> None:
    assert touched(bytes.fromhex(code) + bytes.fromhex("00600000") * 2) == touches


def test_no_instruction() -> None:
    with pytest.raises(Fault, match="#UD"):
        touched(bytes.fromhex("0f04" + "00" * 8))


# --- beside the rings -----------------------------------------------------------------------------


def test_all_that_the_rings_call_sensitive_or_privileged_was_found() -> None:
    table, found = ring_table(), sensitivity().routines()
    sensitive = {probe.mnemonic for probe in PROBES if any(table.sensitive(probe.name))}
    for probe in PROBES:
        routine = routine_of(encoding(probe.bytes_at(0)))
        if probe.mnemonic in sensitive or table.privileged(probe.mnemonic):
            assert routine in found, probe.name
        else:
            assert routine is None, probe.name


def test_all_of_the_published_list_was_found() -> None:
    found = sensitivity().routines()
    for mnemonic in NON_PRIVILEGED_SENSITIVE:
        probes = [probe for probe in PROBES if probe.mnemonic == mnemonic]
        assert probes
        assert all(routine_of(encoding(probe.bytes_at(3))) in found for probe in probes)


def test_what_no_probe_tries() -> None:
    """LES and its like load a segment as MOV does; INT3 and INTO are INT; the rest came later."""
    assert sensitivity().untried() == {"LFAR", "INT3", "INTO", "CPUID", "RDTSC", "MSR"}


# --- beside another decoder -----------------------------------------------------------------------


def test_what_iced_calls_privileged_or_the_machines_was_found() -> None:
    iced: Any = pytest.importorskip("iced_x86", reason="iced-x86 is not installed")
    machine = {*(f"CR{n}" for n in range(8)), *(f"DR{n}" for n in range(8))}
    names = {value: name for name, value in vars(iced.Register).items() if isinstance(value, int)}
    keys = by_key()
    seen = 0
    for code in module._forms():
        instruction = iced.Decoder(32, code, iced.DecoderOptions.NONE).decode()
        if instruction.is_invalid or not module._exists(code):
            continue
        used = iced.InstructionInfoFactory().info(instruction).used_registers()
        if instruction.is_privileged or machine & {names[one.register] for one in used}:
            parts = encoding(code)
            key = parts.opcode, parts.reg if parts.opcode in BY_REG else None
            assert keys[key].found, f"{instruction}"
            seen += 1
    assert seen > 100


# --- a change is seen -----------------------------------------------------------------------------


def test_an_instruction_that_is_forgotten_is_a_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(BY_OPCODE, 0xFA)
    monkeypatch.delitem(BY_HAND, (0xF4, None))
    changed = sensitivity.__wrapped__()
    assert changed.differences() == {
        (0xFA, None): "no routine",
        (0xF4, None): "a routine for what touches nothing",
    }


# --- rows, numbers, words -------------------------------------------------------------------------


def test_rows_numbers_sentences() -> None:
    result = sensitivity()
    frame, told = result.to_frame(), result.summary()
    assert len(frame) == len(result.touches)
    here = frame[frame["here"] == "yes"]
    assert (here["found"] == "p-code").sum() == told["by_p_code"]
    assert (here["found"] == "by hand").sum() == told["by_hand"] == 5
    assert (here["found"] == "no").sum() == told["other_routines"] == 2
    assert (frame["here"] == "no").sum() == told["not_in_this_processor"]
    assert "0F 01 /4" in set(frame["opcode"])
    assert frame[frame["opcode"] == "FA"]["touches"].tolist() == ["IF"]
    assert "HLT, JMPF /5, LAR, INVD, WBINVD" in result.explain()
    assert int(told["forms_decoded"]) > 5000
