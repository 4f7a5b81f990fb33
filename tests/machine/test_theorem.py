"""Popek and Goldberg's theorem: what each instruction is, and what follows from it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from virtlab.machine.probes import PROBES, named
from virtlab.machine.rings import NON_PRIVILEGED_SENSITIVE, ring_table
from virtlab.machine.theorem import NAMES, theorem
from virtlab.machine.theorem.classify import Kind, classify, run_one
from virtlab.machine.theorem.i386 import (
    BEYOND_THE_BOOK,
    BOOK,
    kinds,
    repaired,
    routines_of,
    user_findings,
)
from virtlab.machine.theorem.instructions import SETS, assembled, disassembled
from virtlab.machine.theorem.machine import (
    SUPERVISOR,
    USER,
    Computer,
    Instruction,
    Machine,
    Psw,
    Trap,
)
from virtlab.machine.tried import MOVES, try_instruction
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Callable

# By the paper's definitions, worked out by hand: privileged, control, behaviour, user.
BY_HAND = {
    **dict.fromkeys(("set", "move", "add", "jump", "jz", "call"), "----"),
    "lpsw": "pc--",
    "lra": "p-b-",
    "halt": "pc--",
    "jrst": "-c--",
    "mode": "--b-",
}


def signs(kind: Kind) -> str:
    flags = kind.privileged, kind.control, kind.behaviour, kind.user
    return "".join(
        letter if flag else "-" for letter, flag in zip("pcbu", flags, strict=True)
    )  # fmt: skip


def without_privilege(name: str, of: str = "third-generation") -> tuple[Instruction, ...]:
    return tuple(replace(one, privileged=one.privileged and one.name != name) for one in SETS[of])


@pytest.mark.parametrize("name", ["third-generation", "jrst", "open-mode"])
def test_what_was_run_is_what_the_definitions_say(name: str) -> None:
    assert {kind.name: signs(kind) for kind in classify(SETS[name])} == {
        one.name: BY_HAND[one.name] for one in SETS[name]
    }


@pytest.mark.parametrize(
    ("opened", "expected"), [("lpsw", "-c-u"), ("lra", "--bu"), ("halt", "-c-u")]
)
def test_without_its_privilege_each_breaks_both_theorems(opened: str, expected: str) -> None:
    found = {kind.name: signs(kind) for kind in classify(without_privilege(opened))}
    assert found == {**{one.name: BY_HAND[one.name] for one in SETS["third-generation"]},
                     opened: expected}  # fmt: skip


def test_an_instruction_that_always_traps_is_not_privileged() -> None:
    kinds = {kind.name: kind for kind in classify(SETS["third-generation"])}
    assert not kinds["call"].privileged
    assert not kinds["call"].sensitive


@pytest.mark.parametrize(
    ("name", "monitor", "hybrid", "broken", "in_user_mode"),
    [
        ("third-generation", True, True, (), ()),
        ("jrst", False, True, ("jrst",), ()),
        ("open-mode", False, True, ("mode",), ()),
        ("open-lra", False, False, ("lra",), ("lra",)),
    ],
)
def test_what_the_theorems_say_of_the_small_sets(
    *,
    name: str,
    monitor: bool,
    hybrid: bool,
    broken: tuple[str, ...],
    in_user_mode: tuple[str, ...],
) -> None:
    result = theorem(name)
    assert (result.virtualizable, result.hybrid) == (monitor, hybrid)
    assert (result.violations, result.user_violations) == (broken, in_user_mode)


def made(does: Callable[[Computer, int, int], Psw | None]) -> Kind:
    """Say what an instruction of one's own is."""
    return classify((Instruction("own", does),))[0]


def test_what_changes_the_mode_is_not_held_against_what_does_not() -> None:
    """A state that the instruction leaves for another mode is no witness of behaviour."""

    def leave(machine: Computer, a: int, _b: int) -> Psw | None:
        left = machine.psw._replace(mode=USER, counter=a)
        return left if machine.psw.mode == SUPERVISOR else None

    assert signs(made(leave)) == "-c--"


def test_what_traps_for_some_operands_only_is_not_privileged() -> None:
    def ask(machine: Computer, a: int, _b: int) -> None:
        if machine.load(a) == 0 and machine.psw.mode == USER:
            raise Trap("privileged")

    assert not made(ask).privileged


def test_all_that_moves_together_leaves_limits_alone() -> None:
    here, there = (try_instruction(named("lsl kernel"), 0, moved=moved) for moved in (False, True))
    assert here.told == there.told
    assert try_instruction(named("lsl kernel"), 0, moved="limits").told != here.told


def test_a_witness_is_told() -> None:
    why = {kind.name: kind.why for kind in classify(SETS["jrst"])}
    assert why["jrst"] == "in supervisor mode it changes the mode without a trap"
    assert why["lra"] == "what it tells depends on where it lies"
    assert why["add"] == ""


# --- one run --------------------------------------------------------------------------------------


def test_a_run_of_each_kind() -> None:
    words = [*assembled("lpsw 1"), USER, 3, 0, 5]
    done = run_one(SETS["third-generation"], words, SUPERVISOR, 16)
    assert (done.after, done.trap, done.controls) == (Psw(USER, 3, 0, 5), "", True)
    refused = run_one(SETS["third-generation"], words, USER, 16)
    assert (refused.after, refused.trap, refused.controls) == (refused.before, "privileged", False)
    beyond = run_one(SETS["third-generation"], assembled("set 5 1; 0; 0; 0; 0"), SUPERVISOR, 16)
    assert beyond.trap == "memory"
    halted = run_one(SETS["third-generation"], assembled("halt"), SUPERVISOR, 16)
    assert halted.halted
    assert halted.controls


def test_programs_are_written_and_read() -> None:
    text = "set 20 5; jz 20 12; 7; jrst 9 0"
    assert disassembled(assembled(text, "jrst"), "jrst") == text
    assert disassembled([0, 63 << 12]) == "0; 258048"
    for wrong in ("fly 1", "set 64 0", "set 1 2 3", "set -1", "jrst 1"):
        with pytest.raises(InvalidInputError):
            assembled(wrong)


# --- the i386 -------------------------------------------------------------------------------------


def test_the_i386_breaks_theorem_1_by_the_published_list() -> None:
    result = theorem("i386")
    assert frozenset(result.violations) == NON_PRIVILEGED_SENSITIVE == ring_table().violations()
    assert not result.virtualizable


def test_the_i386_is_nearly_hybrid() -> None:
    """The book's four, and what else our comparison finds, each with its reason."""
    found = frozenset(theorem("i386").user_violations)
    assert found >= BOOK
    assert found - BOOK == frozenset(BEYOND_THE_BOOK)
    assert found < NON_PRIVILEGED_SENSITIVE


def test_what_each_of_them_tells_about() -> None:
    assert user_findings(ring_table()) == {
        "SGDT": ("GDTR",),
        "SIDT": ("IDTR",),
        "SLDT": ("LDTR",),
        "STR": ("TR",),
        "SMSW": ("CR0",),
        "PUSHF": ("IF",),
        "LSL": ("limits",),
    }


@pytest.mark.parametrize("part", MOVES)
def test_a_part_that_moves_leaves_others_where_they_are(part: str) -> None:
    for other, name in {"GDTR": "sgdt", "IDTR": "sidt", "TR": "str", "CR0": "smsw"}.items():
        here = try_instruction(named(name), 3)
        there = try_instruction(named(name), 3, moved=part)
        assert (here.seen != there.seen) == (part == other)


def test_an_unknown_part_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="moved"):
        try_instruction(named("sgdt"), 3, moved="CR9")


def test_each_kind_of_the_i386_agrees_with_its_runs() -> None:
    table = ring_table()
    for kind in kinds(table):
        probes = [probe for probe in PROBES if probe.mnemonic == kind.name]
        assert kind.sensitive == any(any(table.sensitive(probe.name)) for probe in probes)
        assert kind.privileged == all(table.outcomes[p.name, 3, 0].fault for p in probes)
        assert bool(kind.why) == kind.sensitive
    by_name = {kind.name: kind for kind in kinds(table)}
    assert "(pop kernel: #GP(0x10))" in by_name["POP"].why
    assert by_name["LGDT"].why == "changes GDTR"


# --- the i386, repaired ---------------------------------------------------------------------------


def test_the_repaired_i386_keeps_theorem_1_by_what_it_does() -> None:
    table = ring_table(repaired())
    assert table.violations() == frozenset()
    result = theorem("fixed-i386")
    assert result.virtualizable
    assert result.hybrid
    assert len(result.kinds) == len(theorem("i386").kinds)


def test_at_ring_0_the_repaired_one_is_the_same() -> None:
    ours, other = ring_table(), ring_table(repaired())
    for key, done in ours.outcomes.items():
        if key[1] == 0:
            assert done == other.outcomes[key], key


def test_outside_ring_0_it_traps_where_ours_does_not_and_nowhere_else() -> None:
    ours, other = ring_table(), ring_table(repaired())
    for key, done in ours.outcomes.items():
        if key[1] == 0:
            continue
        if done.probe.mnemonic in NON_PRIVILEGED_SENSITIVE:
            assert other.outcomes[key].fault == "#GP(0)", key
            assert not other.outcomes[key].changed
        else:
            assert other.outcomes[key] == done, key


@pytest.mark.parametrize("left_out", sorted(NON_PRIVILEGED_SENSITIVE))
def test_with_one_left_out_the_theorem_fails_by_that_one(left_out: str) -> None:
    table = ring_table(repaired(NON_PRIVILEGED_SENSITIVE - {left_out}))
    assert table.violations() == {left_out}


def test_a_repair_names_routines() -> None:
    assert routines_of(frozenset({"CALLF"})) == {"CALLF"}
    assert routines_of(frozenset({"ADD"})) == frozenset()
    assert repaired() is repaired()


# --- words and rows -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_rows_and_numbers(name: str) -> None:
    result = theorem(name)
    frame, told = result.to_frame(), result.summary()
    assert list(frame["instruction"]) == [kind.name for kind in result.kinds]
    assert (frame["breaks"].str.contains("theorem 1")).sum() == told["sensitive_not_privileged"]
    assert (frame["breaks"].str.contains("theorem 3")).sum() == (
        told["user_sensitive_not_privileged"]
    )
    assert told["monitor"] == ("yes" if not result.violations else "no")
    assert json.loads(json.dumps(result.to_json()))["set"] == name
    assert result.explain().startswith(f"{name}: ")


def test_sentences() -> None:
    assert "19 of 34 sensitive instructions are not privileged" in theorem("i386").explain()
    assert "theorem 3 fails" in theorem("i386").explain()
    assert "it can run itself" in theorem("third-generation").explain()
    assert "it can run itself" not in theorem("fixed-i386").explain()  # it has a clock: RDTSC


def test_no_such_set() -> None:
    with pytest.raises(InvalidInputError, match="name = 'pdp-10'"):
        theorem("pdp-10")


def test_a_machine_of_another_set_says_what_it_does_not_know() -> None:
    machine = Machine(SETS["third-generation"])
    machine.write(8, assembled("jrst 9", "jrst")[0])
    trap = machine.step()
    assert trap is not None
    assert trap.kind == "unknown"
