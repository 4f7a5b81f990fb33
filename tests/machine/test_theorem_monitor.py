"""Monitors: equivalence, resource control, efficiency; and where each goes wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from virtlab.machine.theorem.equivalence import (
    MONITORS,
    SIZE,
    counterexample,
    run_beside,
    virtual,
)
from virtlab.machine.theorem.instructions import SETS, assembled
from virtlab.machine.theorem.machine import (
    FIRST,
    SUPERVISOR,
    USER,
    WORDS,
    Computer,
    Machine,
    Psw,
    word_of,
)
from virtlab.machine.theorem.monitor import Hybrid, Monitor
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Callable

# Operands that matter: PSWs for traps, the program itself, data, the PSW of user mode, the end.
OPERANDS = st.sampled_from([0, 4, 5, 6, 7, 8, 9, 10, 11, 12, 20, 21, 40, 41, 42, 43, 60, 63])


def programs(name: str, length: int = 12) -> st.SearchStrategy[list[int]]:
    codes = st.integers(1, len(SETS[name]))
    instruction = st.builds(word_of, codes, OPERANDS, OPERANDS)
    data = st.integers(0, WORDS - 1) | st.integers(0, SIZE)
    return st.lists(st.one_of(instruction, instruction, instruction, data), max_size=length)


# --- equivalence, where the theorems promise it ---------------------------------------------------


@given(words=programs("third-generation"), depth=st.integers(1, 3))
@settings(max_examples=150, deadline=None)
def test_theorem_1_and_2_a_monitors_guest_is_the_machine(words: list[int], depth: int) -> None:
    beside = run_beside(words, "third-generation", depth=depth, steps=40)
    assert beside.equivalent, beside.explain()
    assert not beside.escaped


@pytest.mark.parametrize("name", ["third-generation", "jrst", "open-mode"])
@given(data=st.data())
@settings(max_examples=80, deadline=None)
def test_theorem_3_a_hybrid_monitors_guest_is_the_machine(name: str, data: st.DataObject) -> None:
    words = data.draw(programs(name))
    beside = run_beside(words, name, "hybrid", depth=data.draw(st.integers(1, 2)), steps=40)
    assert beside.equivalent, beside.explain()
    assert not beside.escaped


@pytest.mark.parametrize("monitor", MONITORS)
@pytest.mark.parametrize("name", SETS)
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_no_guest_leaves_its_words(name: str, monitor: str, data: st.DataObject) -> None:
    """Whatever it may find out, it stays inside: each host's R was set by its monitor."""
    words = data.draw(programs(name))
    real, guest = virtual(name, monitor, depth=2)
    canary = real.words[0]
    for place, word in enumerate(words, FIRST):
        guest.write(place, word)
    for part, value in enumerate(data.draw(st.tuples(*[st.integers(0, 200)] * 4))):
        guest.write(4 + part, value)  # where its traps lead: anywhere
    guest.run(40)
    assert set(real.words[:16]) | set(real.words[16 + SIZE :]) == {canary}


@given(
    psw=st.builds(
        Psw,
        st.sampled_from([SUPERVISOR, USER]),
        st.integers(0, WORDS),
        st.integers(0, WORDS),
        st.integers(0, WORDS),
    )
)
def test_the_allocator_gives_only_what_is_the_guests(psw: Psw) -> None:
    _, guest = virtual("third-generation")
    guest.psw = psw
    given_psw = guest.allocate()
    assert given_psw.mode == USER
    assert given_psw.bound == 0 or (
        guest.place <= given_psw.base
        and given_psw.base + given_psw.bound <= guest.place + guest.size
    )
    assert given_psw.bound <= psw.bound


# --- where it goes wrong --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "monitor", "program"),
    [
        ("third-generation", "monitor", None),
        ("third-generation", "hybrid", None),
        ("jrst", "monitor", "jrst 9 0"),
        ("jrst", "hybrid", None),
        ("open-mode", "monitor", "mode 9 0"),
        ("open-mode", "hybrid", None),
        ("open-lra", "monitor", "lra 9 0"),
        ("open-lra", "hybrid", "lpsw 40 0; lra 9 0"),
    ],
)
def test_the_shortest_program_that_can_tell(name: str, monitor: str, program: str | None) -> None:
    found = counterexample(name, monitor)
    assert (found.program if found else None) == program


def test_what_jrst_does_to_a_monitor() -> None:
    """The machine is in user mode, the monitor does not know: it does for the user what it asks."""
    words = assembled("jrst 9; halt", "jrst")
    wrong = run_beside(words, "jrst")
    first = wrong.moments[0]
    assert (first.bare.mode, first.virtual.mode) == (USER, SUPERVISOR)
    assert (first.same, first.seen) == (False, False)  # nothing in storage shows it yet
    last = wrong.moments[-1]
    assert last.trap == ("privileged", "")
    assert last.halted == (False, True)  # the monitor has stopped the machine for a user
    assert "one has stopped, the other has not" in wrong.explain()
    right = run_beside(words, "jrst", "hybrid")
    assert right.equivalent
    assert [moment.trap for moment in right.moments][:2] == [("", ""), ("privileged",) * 2]


def test_lra_tells_where_the_guest_lies() -> None:
    beside = run_beside(assembled("lpsw 40; lra 20 1", "open-lra"), "open-lra", "hybrid", depth=2)
    assert beside.moments[-1].words == ((20, 1, 17),)  # 8 words for each monitor below it
    assert "E[20] is 1, and 17 here" in beside.explain()


# --- who does the work ----------------------------------------------------------------------------

LOOP = "set 20 5; set 21 1; set 22 63; move 23 22; add 20 23; jz 30 11"


def test_a_monitor_lets_what_is_innocuous_run() -> None:
    beside = run_beside(assembled(LOOP), "third-generation", steps=60)
    assert beside.equivalent
    assert (beside.direct, beside.interpreted) == (60, 0)


def test_a_hybrid_monitor_interprets_kernels_and_lets_users_run() -> None:
    kernel = run_beside(assembled(LOOP), "third-generation", "hybrid", steps=60)
    assert (kernel.direct, kernel.interpreted) == (0, 60)
    user = run_beside(assembled(f"lpsw 40; {LOOP}"), "third-generation", "hybrid", steps=60)
    assert (user.direct, user.interpreted) == (59, 1)


@pytest.mark.parametrize("depth", [1, 2, 8])
def test_monitors_upon_monitors(depth: int) -> None:
    words = assembled("set 20 7; lra 21 5; lpsw 40; 0; halt")
    words[1:3] = assembled("jump 10; lra 21 5")
    beside = run_beside([*words, *assembled("lpsw 40")], "third-generation", depth=depth)
    assert beside.equivalent
    assert beside.depth == depth
    assert not beside.escaped


# --- the machine, beside another one --------------------------------------------------------------


class Reference:
    """The same machine in other words, which share nothing with ours: the paper's definitions."""

    def __init__(self, words: list[int]) -> None:
        self.e = [0] * 64
        self.e[8 : 8 + len(words)] = words
        self.m, self.p, self.low, self.bound, self.halted = 0, 8, 0, 64, False

    def at(self, a: int) -> int | None:
        return self.low + a if a < self.bound and self.low + a < 64 else None

    def step(self) -> None:
        here = self.at(self.p)
        word = self.e[here] if here is not None else 0
        code, a, b = word >> 12, word >> 6 & 63, word & 63
        x, y = self.at(a), self.at(b)
        psw = [self.at(a + k) for k in range(4)]
        needs: dict[int, list[int | None]] = {1: [x], 2: [x, y], 3: [x, y], 5: [x], 7: psw, 8: [x]}
        known = here is not None and code in (1, 2, 3, 4, 5, 7, 8, 9)
        if not known or (code >= 7 and self.m) or None in needs.get(code, []):
            self.e[0:4] = [part % WORDS for part in (self.m, self.p, self.low, self.bound)]
            self.m, self.p, self.low, self.bound = self.e[4] % 2, *self.e[5:8]
        else:
            self.do(code, b, x or 0, y or 0, a)

    def do(self, code: int, b: int, x: int, y: int, a: int) -> None:
        e, self.p = self.e, self.p + 1
        if code in (1, 2, 3, 8):
            e[x] = (0, b, e[y], e[x] + e[y])[code] % WORDS if code < 8 else (self.low + b) % WORDS
        elif code == 4 or (code == 5 and e[x] == 0):
            self.p = a if code == 4 else b
        elif code == 7:
            self.m, self.p, self.low, self.bound = e[x] % 2, *e[x + 1 : x + 4]
        self.halted = code == 9


@given(words=programs("third-generation", 20), vector=st.sampled_from([0, 8, 12, 40]))
@settings(max_examples=300, deadline=None)
def test_the_machine_is_the_papers(words: list[int], vector: int) -> None:
    words = [*words, *[0] * (40 - FIRST - len(words)), USER, 9, 8, 50]
    words += [0] * (48 - FIRST - len(words)) + [SUPERVISOR, vector, 0, 64]
    setup = assembled("move 4 48; move 5 49; move 7 51")
    words = [*setup, *words[len(setup) :]]
    machine = Machine(SETS["third-generation"])
    machine.words[FIRST : FIRST + len(words)] = words
    done = machine.run(60)
    other = Reference(words)
    for _ in range(done):
        other.step()
    assert machine.words == other.e
    assert list(machine.psw) == [other.m, other.p, other.low, other.bound]
    assert machine.halted == other.halted
    assert done == 60 or machine.halted


@pytest.mark.parametrize(("address", "trap"), [(19, ""), (20, "memory"), (21, "memory")])
def test_the_bound_is_the_first_address_that_is_not_the_programs(address: int, trap: str) -> None:
    machine = Machine(SETS["third-generation"])
    machine.words[8] = assembled(f"set {address} 5")[0]
    machine.psw = Psw(USER, 0, 8, 20)
    done = machine.step()
    assert (done.kind if done else "") == trap
    assert (machine.words[8 + address] == 5) == (not trap)


def test_a_trap_swaps_the_psw_and_nothing_else() -> None:
    machine = Machine(SETS["third-generation"])
    machine.words[4:9] = [SUPERVISOR, 30, 0, 64, *assembled("call 3")]
    machine.psw = Psw(USER, 0, 8, 20)
    before = list(machine.words)
    trap = machine.step()
    assert trap is not None
    assert trap.kind == "call"
    assert machine.words == before
    machine.deliver()
    assert machine.words == [USER, 0, 8, 20, *before[4:]]
    assert machine.psw == Psw(SUPERVISOR, 30, 0, 64)


def test_a_mode_is_one_bit() -> None:
    machine = Machine(SETS["third-generation"])
    machine.words[4:8] = [2, 30, 0, 64]
    machine.deliver()
    assert machine.psw == Psw(SUPERVISOR, 30, 0, 64)


@pytest.mark.parametrize(("mode", "text"), [(USER, "halt"), (SUPERVISOR, "call"), (USER, "call")])
def test_a_guests_own_trap_is_not_interpreted(mode: int, text: str) -> None:
    _, guest = virtual("third-generation")
    guest.write(FIRST, assembled(text)[0])
    guest.psw = Psw(mode, FIRST, 0, SIZE)
    assert guest.step() is not None
    assert (guest.direct, guest.interpreted) == (0, 0)


class Leaky(Monitor):
    """A monitor that forgets where its guest ends."""

    def allocate(self) -> Psw:
        return super().allocate()._replace(bound=self.psw.bound)


def test_a_monitor_that_forgets_where_its_guest_ends_is_seen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    program = assembled("set 42 8; lpsw 40; 0; 0; 0; 0; 0; 0; 0; set 56 1")
    assert not run_beside(program, "third-generation").escaped
    monkeypatch.setitem(MONITORS, "monitor", Leaky)
    wrong = run_beside(program, "third-generation")
    assert wrong.escaped
    assert not wrong.equivalent


@pytest.mark.parametrize("kind", [Monitor, Hybrid])
def test_a_guests_own_trap_goes_to_its_own_control_program(
    kind: Callable[[Computer, int, int], Monitor],
) -> None:
    guest = kind(Machine(SETS["third-generation"], 128), 32, 64)
    for place, word in enumerate([SUPERVISOR, 30, 0, 64, *assembled("call 3")], 4):
        guest.write(place, word)
    guest.psw = Psw(USER, 0, 8, 20)
    assert guest.run(1) == 1
    assert guest.storage()[:4] == (USER, 0, 8, 20)
    assert guest.psw == Psw(SUPERVISOR, 30, 0, 64)


def test_a_guest_that_has_stopped_does_nothing() -> None:
    _, guest = virtual("third-generation")
    for place, word in enumerate(assembled("halt; set 20 1"), FIRST):
        guest.write(place, word)
    assert guest.run(5) == 1
    assert guest.step() is None
    assert guest.psw.counter == FIRST + 1


# --- rows, words, bad input -----------------------------------------------------------------------


def test_rows_numbers_sentences() -> None:
    beside = run_beside(assembled("set 20 5; halt"), "third-generation")
    frame = beside.to_frame()
    assert list(frame["instruction"]) == ["set 20 5", "halt 0 0"]
    assert set(frame["same"]) == {"yes"}
    assert beside.summary() == {
        "equivalent": 1,
        "steps": 2,
        "direct": 1,
        "interpreted": 1,
        "escaped": 0,
    }
    assert beside.explain() == (
        "After each of 2 steps both are the same; 1 instructions ran directly and 1 by the monitor."
    )
    wrong = run_beside(assembled("mode 20", "open-mode"), "open-mode")
    assert list(wrong.to_frame()["same"]) == ["E[20] is 0, and 1 here"]


@pytest.mark.parametrize(
    ("call", "field"),
    [
        (lambda: run_beside([0] * 57, "jrst"), "words"),
        (lambda: run_beside([], "pdp"), "name"),
        (lambda: run_beside([], "jrst", "vmm"), "monitor"),
        (lambda: run_beside([], "jrst", depth=0), "depth"),
        (lambda: counterexample("jrst", longest=9), "longest"),
        (lambda: Monitor(Machine(SETS["jrst"], 64), 32, 64), "place"),
        (lambda: word_of(0), "code"),
        (lambda: Machine(SETS["jrst"], 4), "size"),
    ],
)
def test_bad_input(call: Callable[[], object], field: str) -> None:
    with pytest.raises(InvalidInputError, match=field):
        call()
