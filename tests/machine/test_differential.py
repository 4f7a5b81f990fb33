"""A slice of the random run beside Unicorn, with a fixed seed, and each patch by itself."""

from __future__ import annotations

import itertools
import sys
from collections import Counter

import pytest

from virtlab.machine.decode import Decoder
from virtlab.machine.faults import Fault
from virtlab.machine.patches import PATCHES
from virtlab.machine.pcode import CONST, REGISTER, Var, signed
from virtlab.machine.processor import Processor
from virtlab.machine.registers import FLAGS
from virtlab.validate import InvalidInputError

CODE = 0x1000
DECODER = Decoder()


def done(code: str, **registers: int) -> Processor:
    """Run one instruction, with some registers and flags set."""
    processor = Processor(decoder=DECODER)
    processor.registers["EIP"] = CODE
    processor.registers["ESP"] = 0x8000
    for name, value in registers.items():
        if name in ("CF", "AF", "OF", "ZF", "DF"):
            processor.registers.set_flag(name, value)
        else:
            processor.registers[name] = value
    processor.memory.write(CODE, bytes.fromhex(code))
    processor.step()
    return processor


def test_random_instructions_beside_unicorn() -> None:
    pytest.importorskip("unicorn", reason="Unicorn is not installed")
    pytest.importorskip("iced_x86", reason="iced-x86 is not installed")
    from benchmarks.differential import Differential

    tally = Differential(seed=20, decoder=DECODER).run(count=60_000)
    assert tally.differences == []
    assert tally.instructions >= 60_000
    assert len(tally.mnemonics) > 140


@pytest.mark.parametrize(
    ("code", "registers", "af"),
    [
        ("01d8", {"EAX": 0xF, "EBX": 1}, 1),  # add
        ("01d8", {"EAX": 7, "EBX": 8}, 0),
        ("11d8", {"EAX": 0xF, "EBX": 0, "CF": 1}, 1),  # adc: the carry in carries
        ("29d8", {"EAX": 0x10, "EBX": 1}, 1),  # sub
        ("19d8", {"EAX": 0x10, "EBX": 0, "CF": 1}, 1),  # sbb
        ("39d8", {"EAX": 5, "EBX": 5}, 0),  # cmp
        ("40", {"EAX": 0xF}, 1),  # inc
        ("48", {"EAX": 0x10}, 1),  # dec
        ("f7d8", {"EAX": 1}, 1),  # neg
    ],
)
def test_af_is_the_carry_of_the_low_digit(code: str, registers: dict[str, int], af: int) -> None:
    assert done(code, **registers).registers.flag("AF") == af


@pytest.mark.parametrize(
    ("code", "registers"),
    [
        ("f7f3", {"EBX": 0, "EAX": 1}),  # by zero
        ("f7f3", {"EDX": 2, "EAX": 0, "EBX": 2}),  # the quotient has 33 bits
        ("f7fb", {"EDX": 0, "EAX": 0x80000000, "EBX": 1}),  # one more than the largest
        ("f6fb", {"EAX": 0xFF80, "EBX": 0xFF}),  # -128 / -1
        ("d400", {"EAX": 5}),  # aam 0
    ],
)
def test_no_quotient_is_a_divide_error(code: str, registers: dict[str, int]) -> None:
    with pytest.raises(Fault) as raised:
        done(code, **registers)
    assert raised.value.vector == 0


def test_a_quotient_that_just_fits() -> None:
    least = done("f7fb", EDX=0xFFFFFFFF, EAX=0x80000000, EBX=1)  # idiv
    assert least.registers["EAX"] == 0x80000000
    most = done("f7f3", EDX=1, EAX=0xFFFFFFFF, EBX=2)
    assert (most.registers["EAX"], most.registers["EDX"]) == (0xFFFFFFFF, 1)
    negative = done("f7fb", EDX=0xFFFFFFFF, EAX=0xFFFFFFF9, EBX=2)  # -7 / 2
    assert signed(negative.registers["EAX"], 4) == -3
    assert signed(negative.registers["EDX"], 4) == -1


def test_shr_by_one_shifts_the_sign_into_of() -> None:
    assert done("d1e8", EAX=0x80000000).registers.flag("OF") == 1
    assert done("d1e8", EAX=0x7FFFFFFF, OF=1).registers.flag("OF") == 0


@pytest.mark.parametrize("before", [0, 1])
@pytest.mark.parametrize(
    ("code", "value", "other", "of"),
    [
        ("c1e801", 0x80000000, 0, 1),  # shr eax, 1
        ("c1e801", 0x7FFFFFFF, 0, 0),
        ("c0e801", 0xFF80, 0, 1),  # shr al, 1
        ("0facd801", 0x80000000, 0, 1),  # shrd eax, ebx, 1: the sign goes away
        ("0facd801", 0x80000000, 1, 0),
        ("0facd801", 0, 1, 1),
        ("c1e800", 0x80000000, 0, None),  # by none: as it was
        ("0facd820", 0x80000000, 0, None),
    ],
)
def test_shifts_right_by_a_count(
    code: str, value: int, other: int, of: int | None, before: int
) -> None:
    """OF of one step, and of none: pypcode 3 and 4 disagree, the manual does not."""
    processor = done(code, EAX=value, EBX=other, OF=before)
    assert processor.registers.flag("OF") == (before if of is None else of)


_SHIFTS = ["c1e003", "c1e803", "c1f803", "c0e003", "0fa4d803", "0facd803"]
_LOGIC = ["21d8", "09d8", "31d8", "85d8", "a801", "83e07f"]


@pytest.mark.parametrize("code", [*_SHIFTS, *_LOGIC])
def test_what_the_manual_leaves_undefined_is_cleared(code: str) -> None:
    """AF; and OF of several steps: so the code before has not to make them."""
    registers = done(code, EAX=0x48765432, EBX=0xF, AF=1, OF=1).registers
    assert (registers.flag("AF"), registers.flag("OF")) == (0, 0)


@pytest.mark.parametrize("code", ["0fafc3", "f7e3", "f7eb", "6bc003", "f6e3"])
def test_a_product_has_no_sign_nor_zero(code: str) -> None:
    registers = done(code, EAX=3, EBX=5, AF=1, ZF=1).registers
    assert [registers.flag(name) for name in ("AF", "ZF", "SF", "PF")] == [0, 0, 0, 0]


@pytest.mark.parametrize("code", ["c1e020", "c1f800", "0fa4d820", "c0e800"])
def test_a_shift_by_no_step_leaves_all_flags(code: str) -> None:
    registers = done(code, EAX=8, EBX=1, AF=1, OF=1, ZF=1, CF=1).registers
    assert [registers.flag(name) for name in ("AF", "OF", "ZF", "CF")] == [1, 1, 1, 1]


@pytest.mark.parametrize("code", [*_SHIFTS, *_LOGIC, "d1e0", "d1e8", "d1f8"])
def test_a_shift_by_a_number_and_logic_read_no_flag_and_set_six(code: str) -> None:
    instruction = DECODER.decode(CODE, bytes.fromhex(code) + bytes(15))
    flags = {Var(REGISTER, FLAGS[name][0], 1) for name in ("CF", "PF", "AF", "ZF", "SF", "OF")}
    written: set[Var] = set()
    for op in instruction.ops:
        assert not (flags - written) & set(op.ins)
        written |= {op.out} if op.out else set()
    assert flags <= written


def test_jumps_of_16_bits_stay_in_64_k() -> None:
    processor = Processor(decoder=DECODER)
    processor.registers["EIP"] = 0x2FFF0
    processor.memory.write(0x2FFF0, bytes.fromhex("66eb05"))
    processor.step()
    assert processor.registers["EIP"] == 0xFFF8


def test_xadd_writes_its_register_last() -> None:
    processor = Processor(decoder=DECODER)
    processor.memory.write(CODE, bytes.fromhex("0fc11b"))  # xadd [ebx], ebx
    processor.registers["EIP"], processor.registers["EBX"] = CODE, 0x3000
    processor.memory.write(0x3000, (7).to_bytes(4, "little"))
    processor.step()
    assert processor.registers["EBX"] == 7
    assert processor.memory.read(0x3000, 4) == (0x3007).to_bytes(4, "little")


@pytest.mark.parametrize(("code", "of"), [("c0d301", 1), ("c0db01", 1), ("d2d3", 1)])
def test_rotates_through_carry_set_of_for_one_step(code: str, of: int) -> None:
    right = code == "c0db01"
    start = 0x7F if right else 0x40
    processor = done(code, EBX=start, ECX=1, CF=1 if right else 0)
    assert processor.registers.flag("OF") == of


def test_bit_scans_of_zero_leave_the_register() -> None:
    for code in ("0fbcc3", "0fbdc3"):
        processor = done(code, EAX=77, EBX=0)
        assert (processor.registers["EAX"], processor.registers.flag("ZF")) == (77, 1)
    assert done("0fbcc3", EBX=0x50).registers["EAX"] == 4
    assert done("0fbdc3", EBX=0x50).registers["EAX"] == 6


SUMS = list(itertools.product(range(100), (0, 1, 9, 57, 99)))


@pytest.mark.parametrize(("first", "second"), SUMS)
def test_decimal_sums(first: int, second: int) -> None:
    """Two packed decimal numbers, added and repaired, are the decimal sum."""
    digits = int(str(first), 16), int(str(second), 16)
    processor = Processor(decoder=DECODER)
    processor.memory.write(CODE, bytes.fromhex("00d827"))  # add al, bl; daa
    processor.registers["EIP"] = CODE
    processor.registers["EAX"], processor.registers["EBX"] = digits
    processor.step()
    processor.step()
    total = processor.registers.flag("CF") * 100 + int(f"{processor.registers['AL']:x}")
    assert total == first + second


@pytest.mark.parametrize(("second", "first"), SUMS)
def test_decimal_differences(first: int, second: int) -> None:
    processor = Processor(decoder=DECODER)
    processor.memory.write(CODE, bytes.fromhex("28d82f"))  # sub al, bl; das
    processor.registers["EIP"] = CODE
    processor.registers["EAX"] = int(str(first), 16)
    processor.registers["EBX"] = int(str(second), 16)
    processor.step()
    processor.step()
    borrow = processor.registers.flag("CF")
    assert int(f"{processor.registers['AL']:x}") - 100 * borrow == first - second


def test_unpacked_digits() -> None:
    added = done("37", EAX=0x0009 + 0x06)  # aaa after 9 + 6
    assert (added.registers["AH"], added.registers["AL"]) == (1, 5)
    taken = done("3f", EAX=0x02FE, AF=1)  # aas after 4 - 6
    assert (taken.registers["AH"], taken.registers["AL"]) == (1, 8)
    split = done("d40a", EAX=57)
    assert (split.registers["AH"], split.registers["AL"]) == (5, 7)
    joined = done("d50a", EAX=0x0507)
    assert joined.registers["AX"] == 57


def test_enter_copies_the_frames_around() -> None:
    processor = Processor(decoder=DECODER)
    processor.memory.write(CODE, bytes.fromhex("c8100003"))  # enter 16, 3
    processor.registers["EIP"], processor.registers["ESP"] = CODE, 0x8000
    processor.registers["EBP"] = 0x9000
    for k, frame in enumerate((0xAAAA, 0xBBBB), start=1):
        processor.memory.write(0x9000 - 4 * k, frame.to_bytes(4, "little"))
    processor.step()
    pushed = [
        int.from_bytes(processor.memory.read(0x8000 - 4 * k, 4), "little") for k in range(1, 5)
    ]
    assert pushed == [0x9000, 0xAAAA, 0xBBBB, 0x7FFC]
    assert processor.registers["EBP"] == 0x7FFC
    assert processor.registers["ESP"] == 0x7FF0 - 16


def test_decoders_share_what_is_dear_to_make_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import pypcode

    monkeypatch.setattr(pypcode, "Context", None)  # there is one already
    one, other = Decoder(), Decoder()
    jump = bytes.fromhex("ebfe")
    assert one.decode(0x1000, jump) == other.decode(0x1000, jump)
    assert one.decode(0x1000, jump) is one.decode(0x1000, jump)
    assert one.decode(0x1000, jump) is not other.decode(0x1000, jump)


def test_without_pypcode_one_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pypcode", None)
    with pytest.raises(InvalidInputError, match=r"pypcode = 'missing': .*virtlab\[machine\]"):
        Decoder()


def test_a_prefix_twice_and_the_other_test() -> None:
    twice = DECODER.decode(CODE, bytes.fromhex("666601d8") + bytes(8))
    assert (str(twice), len(twice.code), twice.next) == ("ADD AX,BX", 4, CODE + 4)
    alias = DECODER.decode(CODE, bytes.fromhex("f7c8ff000000") + bytes(8))
    assert (alias.mnemonic, len(alias.code)) == ("TEST", 6)


def test_every_patch_is_used_and_none_tears_a_branch_from_its_target() -> None:
    """Each one-byte and two-byte opcode, with each middle part of ModRM."""
    used: Counter[str] = Counter()
    for two, opcode, middle, memory in itertools.product(
        (False, True), range(256), range(8), (False, True)
    ):
        modrm = middle << 3 | (0x03 if memory else 0xC3)
        code = (b"\x0f" if two else b"") + bytes([opcode, modrm, 1, 2, 3, 4, 5, 6, 7, 8])
        if not two and opcode in (0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65, 0x66, 0x67, 0xF0, 0xF2, 0xF3):
            continue
        try:
            instruction = DECODER.decode(CODE, code)
        except Fault:
            continue
        for patch in PATCHES:
            used[patch.name] += patch.applies(instruction)
        for at, op in enumerate(instruction.ops):
            if op.code in ("BRANCH", "CBRANCH") and op.ins[0].space == CONST:
                target = at + signed(op.ins[0].offset, op.ins[0].size)
                assert 0 <= target <= len(instruction.ops), instruction
    assert {patch.name for patch in PATCHES} - set(used) <= {"short jumps"}  # needs a prefix
