"""Exercises of chapter 04: what students write runs in the translator, and mistakes get hints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.machine.small_guests import DECODER
from virtlab.course import translation as ask
from virtlab.course.translation_code import (
    apply,
    changing_loop,
    known,
    simplified,
    translations_with,
    try_policy,
    try_simpler,
    try_surprise,
)
from virtlab.machine.pcode import CONST, Op, Var
from virtlab.machine.translation.cache import flush_all, least_used, oldest
from virtlab.machine.translation.listing import listing
from virtlab.machine.translation.listing_rows import program_of
from virtlab.machine.translation.regions import class_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from virtlab.machine.translation.cache import Unit

pytestmark = pytest.mark.usefixtures("wasmtime")
X, OUT = Var(2, -1, 4), Var(2, -3, 4)


@pytest.fixture(scope="session")
def wasmtime() -> None:
    """Skip where translated code cannot run."""
    pytest.importorskip("wasmtime")


# --- a pass --------------------------------------------------------------------------------------


def test_the_course_s_own_pass_is_right() -> None:
    assert try_simpler(simplified) is None


def all_to_copies(op: Op) -> Op:
    same = len(op.ins) == 2 and op.ins[0] == op.ins[1]
    return Op("COPY", op.out, (op.ins[0],)) if same else op


def elsewhere(op: Op) -> Op:
    made = simplified(op)
    return made if made == op else made._replace(out=Var(2, -9, 4))


@pytest.mark.parametrize(
    ("simpler", "hint"),
    [
        (lambda op: op, "t-3 = INT_AND t-1, t-1 is still INT_AND"),
        (str, "an `Op` is wanted"),
        (all_to_copies, "became t-3 = COPY t-1. With"),
        (elsewhere, "the result has to go to the same place"),
        (lambda op: op._replace(ins=(Var(2, -7, 4),) * len(op.ins)), "made of the same values"),
        (
            lambda op: Op("COPY", op.out, (Var(CONST, 0, 4),)) if op.code == "INT_AND" else op,
            "With",
        ),
    ],
)
def test_another_pass_gets_a_hint(simpler: Any, hint: str) -> None:
    assert hint in str(try_simpler(simpler))


def test_a_pass_that_is_wrong_only_in_a_program_is_found() -> None:
    """Each operation alone is right, but a value that is used elsewhere loses its maker."""

    def only_with_real_numbers(op: Op) -> Op:
        if op.out is not None and op.out.offset < -3 and op.code == "INT_ADD":
            return op._replace(code="INT_SUB")
        return simplified(op)

    assert "ends in another state" in str(try_simpler(only_with_real_numbers))


def test_what_the_pass_does_is_seen_in_the_columns() -> None:
    code = program_of(bytes.fromhex("31c0 ebfe"))  # xor eax, eax; jmp
    before, after = listing(code), listing(code, None, apply(simplified))
    assert "t" in before.rows[0].lines[-1]
    assert after.rows[0].lines[-1] == "eax = 0"


# --- a policy ------------------------------------------------------------------------------------


def test_policies_that_are_there_differ_and_a_large_cache_needs_none() -> None:
    counts = known()
    assert counts["least_used"] < counts["oldest"] < counts["flush_all"]
    assert translations_with(flush_all, 4096) < counts["least_used"]
    assert translations_with(oldest) == counts["oldest"]


def test_to_throw_away_one_alone_is_better_still() -> None:
    def one(units: Sequence[Unit]) -> list[Unit]:
        return sorted(units, key=lambda unit: unit.used)[:1]

    assert try_policy(one) is None
    assert translations_with(one) < known()["least_used"]


@pytest.mark.parametrize(
    ("policy", "hint"),
    [
        (flush_all, "The kernel took"),
        (lambda units: [max(units, key=lambda unit: unit.used)], "The kernel took"),
        (lambda units: units[:0], "something has to go"),
        (lambda units: units[0], "a list of units is wanted"),
        (lambda units: [units[0], units[0]], "a unit twice"),
        (lambda units: [unit.slot for unit in units], "not in the cache"),
    ],
)
def test_another_policy_gets_a_hint(policy: Any, hint: str) -> None:
    assert hint in str(try_policy(policy))


def test_least_used_will_do() -> None:
    assert ask.policy.check(least_used).is_right


# --- code that changes itself --------------------------------------------------------------------


@pytest.mark.parametrize(
    "code",
    [
        "b904000000 b801000000 fe0506001000 49 75f2 f4",
        bytes.fromhex("b905000000 b801000000 fe0506001000 49 75f2 f4"),
        # mov ecx, 3; back: call function; inc byte [function + 1]; dec ecx; jnz back; hlt
        "b903000000 e80a000000 fe0515001000 49 75f2 f4 b000 c3",
    ],
)
def test_a_cache_that_notices_nothing_is_broken_by(code: object) -> None:
    assert try_surprise(lambda: code) is None


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        ("b801000000 f4", "either way"),
        # changed once before it is met again: what is translated then is what stands there
        ("b902000000 b801000000 c6050600100002 49 75f1 f4", "either way"),
        ("ebfe", "does not come to `hlt`"),
        ("0f0b", "does not come to `hlt`"),
        ("90" * 41, "1 to 40 are wanted"),
        ("hello", "text in hexadecimal"),
        (7, "it returned int"),
    ],
)
def test_other_bytes_get_a_hint(code: object, hint: str) -> None:
    assert hint in str(try_surprise(lambda: code))


# --- numbers and choices -------------------------------------------------------------------------


def test_right_answers_by_hand() -> None:
    assert ask.dead.right_answer == [11, 6]
    assert ask.pieces.right_answer == [4, 2]
    assert ask.break_even.right_answer == pytest.approx(0.09 / (1 / 100e3 - 1 / 2e9))
    assert ask.tier.right_answer == "wasm"
    assert ask.who.right_answer == "b"


@pytest.mark.parametrize("seed", range(15))
def test_a_class_is_what_the_translator_says(seed: int) -> None:
    question = ask.classes.problem(seed)
    name = question.text.partition("`")[2].partition("`")[0]
    code = bytes.fromhex(ask._INSTRUCTIONS[name])
    plain = class_of(DECODER.decode(0x1000, code.ljust(15, b"\x90")))
    right = question.right_answer  # type: ignore[attr-defined]
    assert right == plain or (plain, right) == ("callout", "in-cache")
    assert not question.check(next(one for one in ask.classes.options if one != right)).is_right


def test_each_class_is_asked_for() -> None:
    found = {ask._kind(code) for code in ask._INSTRUCTIONS.values()}
    assert found == {"IDENT", "control", "in-cache", "callout"}


@pytest.mark.parametrize("seed", range(20))
def test_in_a_loop_the_last_writer_of_each_flag_counts(seed: int) -> None:
    """Worked out again, without the translator: by what each mnemonic writes."""
    question = ask.dead.problem(seed)
    words = question.text.partition("A loop: ")[2].partition("(")[0].split("`")[1::2]
    writes = {"add": 6, "sub": 6, "cmp": 6, "inc": 5, "dec": 5, "and": 6, "test": 6, "mov": 0}
    written = sum(writes[word.split()[0]] for word in words[:-1])
    names = {6: {*"CPAZSO"}, 5: set(), 0: set()}
    last: dict[str, int] = {}
    for at, word in enumerate(words[:-1]):
        mnemonic = word.split()[0]
        flags = set(names[6])
        if writes[mnemonic] == 5:
            flags -= {"C"}
        if writes[mnemonic]:
            last.update(dict.fromkeys(flags, at))
    leaves = not words[-1].startswith("jmp")
    right = question.right_answer  # type: ignore[attr-defined]
    assert list(right) == [written, len(last) if leaves else 0]


@pytest.mark.parametrize("seed", range(12))
def test_the_best_tier_is_the_one_that_takes_least(seed: int) -> None:
    question = ask.tier.problem(seed)
    length = int(question.text.partition("does **")[2].partition("**")[0].replace(",", ""))
    seconds = {name: start + length / rate for name, (start, rate) in ask._TIERS.items()}
    right = question.right_answer  # type: ignore[attr-defined]
    assert seconds[right] == min(seconds.values())


def test_all_of_them_stand_on_the_sheet() -> None:
    names = [question.name for question in ask.sheet]
    assert len(names) == len(set(names)) == 13
    assert {question.kind for question in ask.sheet} == {"number", "choice", "code"}


@pytest.mark.parametrize(
    ("question", "answer", "hint"),
    [
        (ask.dead, [11, 11], "Is each of them ever read?"),
        (ask.dead, [11, 5], "does not write all of them"),
        (ask.dead, [11, 1], "Whoever leaves the loop"),
        (ask.dead, [11, 0], "Does the jump read none"),
        (ask.pieces, [5, 2], "Is each of them reached?"),
        (ask.break_even, 180e6, "has to do them meanwhile"),
        (ask.forkwait, 6.02, "Work in cycles of one round"),
        (ask.forkwait, 30.96, "That is what is added"),
        (ask.forkwait, 41.5, "in the 6.02 s already"),
        (ask.forkwait, 106.4, "costs of the other monitor"),
        (ask.events, lambda: {"page fault": 500}, "which cost nothing natively"),
        (ask.surprise, lambda: "ebfe", "after 20,000 instructions it reached the limit"),
    ],
)
def test_a_typical_mistake_gets_its_own_hint(question: Any, answer: object, hint: str) -> None:
    verdict = question.check(answer)
    assert not verdict.is_right
    assert hint in " ".join(str(verdict).split())


def test_a_loop_that_changes_itself_is_soon_left_to_the_interpreter() -> None:
    table = changing_loop(turns=300)
    at_once, later = table.loc["at once"], table.loc["when it is worth it"]
    assert at_once["instructions"] == later["instructions"] == 5 * 300 + 2
    assert at_once["translations"] == 300
    assert 3 < later["translations"] < 12  # the more turns, the fewer of them
    assert (table["translated"] < 10).all()  # each was for nothing
