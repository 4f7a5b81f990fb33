"""Recorded runs of the translation cache: what is written down is what happened, and adds up."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.machine.small_guests import DECODER
from tests.machine.translated import needs_wasmtime, seen
from virtlab.machine.computer import Computer
from virtlab.machine.translation import cache_log
from virtlab.machine.translation.cache_log import POLICIES, PROGRAMS, record_cache
from virtlab.machine.translation.cache_moment import GONE, STATES, CacheLog, Event, UnitSeen
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from virtlab.machine.translation.cache import Unit

ENTERS = ("enter", "lookup", "link", "chained")
SMALL = ("itself", "kernel", "isprime", "fibonacci", "quicksort", "bytecode")


# --- what was recorded ------------------------------------------------------------------------


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("limit", [4, 16, 64])
@pytest.mark.parametrize("program", ["itself", "kernel", "fibonacci"])
def test_a_log_is_a_possible_life_of_a_cache(program: str, limit: int, policy: str) -> None:
    log = record_cache(program, limit, policy)
    held: set[int] = set()
    linked: set[tuple[int, int]] = set()
    done = 0
    for event in log.events:
        assert event.at >= done
        done = event.at
        if event.kind == "translate":
            assert event.unit not in held
            held.add(event.unit)
            assert len(held) <= limit
        else:
            assert event.unit in held
        if event.kind in GONE:
            held.remove(event.unit)
            linked = {link for link in linked if event.unit not in link}
        way = (event.source, event.unit)
        if event.kind in ("link", "chained"):
            assert event.source in held
        if event.kind == "link":
            assert way not in linked
            linked.add(way)
        elif event.kind == "chained":
            assert way in linked
        if event.kind in ("link", "chained"):
            assert log.units[event.source].direct
        elif event.kind == "lookup":
            assert not log.units[event.source].direct
    assert set(log.at(len(log) - 1).held) == held
    assert log.at(len(log) - 1).links == linked


def test_every_instruction_was_in_an_entry_or_interpreted() -> None:
    """A unit of straight code is done to its end: entries times lengths is what was done."""
    log = record_cache("itself")
    entered = Counter(event.unit for event in log.events if event.kind in ENTERS)
    in_units = sum(times * len(log.units[unit].code) for unit, times in entered.items())
    assert in_units + 1 == log.instructions == 1205  # and the `hlt`, which is the VMM's


@pytest.mark.parametrize("program", ["itself", "fibonacci", "quicksort"])
def test_nothing_was_interpreted_between_a_unit_and_where_it_led(program: str) -> None:
    log = record_cache(program, 12, "oldest")
    entries = [event for event in log.events if event.kind in ENTERS]
    for before, event in pairwise(entries):
        if event.source >= 0:
            assert event.source == before.unit
            assert event.at == before.at + len(log.units[before.unit].code)
    if program == "itself":  # it writes on code, and that is for the interpreter
        assert sum(event.kind == "enter" for event in entries[1:]) >= 5


def test_a_unit_that_goes_to_itself_is_entered_each_time() -> None:
    log = record_cache("quicksort")
    own = Counter(event.unit for event in log.events if event.source == event.unit)
    unit, times = own.most_common(1)[0]
    # 1,500 numbers are drawn: the first in the unit before, the second is led to from there.
    assert times == 1498
    assert log.units[unit].code[-1] == f"JNZ {log.units[unit].name}"
    done = sum(len(log.units[event.unit].code) for event in log.events if event.kind in ENTERS)
    assert done == log.instructions


def test_recording_changes_nothing() -> None:
    code = cache_log._itself()
    ends = []
    for tier in ("interpreter", "python"):
        computer = Computer(4, history=0, tier=tier, decoder=DECODER)
        computer.load_code(code, 0x100000)
        ends.append(seen(computer, computer.run(12_000)))
    assert ends[0] == ends[1]
    assert record_cache("itself").instructions == ends[0]["counts"][0]


def test_code_that_is_written_on_is_made_again() -> None:
    log = record_cache("itself")
    rows = log.to_frame()
    lost = rows[rows["invalidated"] > 0]
    assert set(lost["page"]) == {"0x102"}  # the page of the function that is changed
    assert (lost["translated"] >= lost["invalidated"]).all()
    assert log.summary()["invalidations"] == 14
    writes = {event.at for event in log.events if event.kind == "invalidate"}
    assert len(writes) == 5  # 40 turns, every eighth


def test_loops_are_chained_and_returns_are_not() -> None:
    loops, calls = (
        float(record_cache(name).summary()["chained_percent"]) for name in ("isprime", "fibonacci")
    )
    assert loops > 85 > calls > 40
    returns = [unit for unit in record_cache("fibonacci").units if unit.code[-1].startswith("RET")]
    assert returns
    assert not any(unit.direct for unit in returns)


def test_units_are_blocks_of_at_most_twelve() -> None:
    for program in SMALL:
        units = record_cache(program).units
        assert all(1 <= len(unit.code) <= 12 for unit in units)
        assert max(len(unit.code) for unit in units) <= 12
        # The kernel turns paging on: what ran before is translated again for after.
        once = len({(unit.address, unit.code) for unit in units})
        assert once == len(units) or (program == "kernel" and 2 * once > len(units))


def test_less_room_costs_more_translations() -> None:
    made = [int(record_cache("kernel", limit).summary()["translations"]) for limit in (8, 24, 64)]
    assert made == sorted(made, reverse=True)
    assert made[0] > made[-1]


def test_the_same_run_gives_the_same_log() -> None:
    first = record_cache("quicksort", 16, "oldest")
    record_cache.cache_clear()
    again = record_cache("quicksort", 16, "oldest")
    assert again is not first
    assert (again.events, again.units) == (first.events, first.units)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: record_cache("doom"), "program = 'doom'"),
        (lambda: record_cache(limit=3), "limit = 3"),
        (lambda: record_cache(policy="newest"), "policy = 'newest'"),
        (lambda: record_cache(instructions=0), "instructions = 0"),
        (lambda: record_cache(tier="interpreter"), "tier = 'interpreter'"),
        (lambda: record_cache(tier="jvm"), "tier = 'jvm'"),
    ],
)
def test_bad_input_is_named(call: Callable[[], CacheLog], said: str) -> None:
    with pytest.raises(InvalidInputError, match=rf"^{said}"):
        call()


@needs_wasmtime
@pytest.mark.parametrize("program", ["itself", "kernel", "fibonacci"])
def test_what_is_written_down_is_the_same_in_each_tier(program: str) -> None:
    one = record_cache(program, 24, "oldest")
    other = record_cache(program, 24, "oldest", tier="wasm")
    assert (one.events, one.units, one.instructions) == (
        *(other.events, other.units),
        other.instructions,
    )


def test_a_policy_of_ones_own_is_asked() -> None:
    asked: list[int] = []

    def newest(units: Sequence[Unit]) -> Sequence[Unit]:
        asked.append(len(units))
        return units[-1:]

    log = record_cache("itself", 8, newest)
    assert log.policy == "newest"
    assert set(asked) == {8}
    assert len(asked) == log.summary()["evictions"]


def test_the_programs_can_be_had() -> None:
    assert set(SMALL) <= set(PROGRAMS)


# --- moments ----------------------------------------------------------------------------------


def life(choices: list[tuple[int, int]], limit: int = 3) -> CacheLog:
    """Make a log by hand: each choice enters a unit, or throws one away."""
    units = tuple(UnitSeen(0x1000 * k, k, ("NOP",) * (k + 1), k + 1, direct=True) for k in range(6))
    events: list[Event] = []
    held: list[int] = []
    for at, (unit, act) in enumerate(choices):
        if act == 0 and unit in held:
            held.remove(unit)
            events.append(Event(at, "invalidate", unit))
            continue
        if unit not in held:
            if len(held) == limit:
                events += [Event(at, "evict", old) for old in held]
                held = []
            held.append(unit)
            events.append(Event(at, "translate", unit))
        events.append(Event(at, "enter", unit))
    return CacheLog("by hand", "flush_all", limit, units, tuple(events), len(choices))


LIVES = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), max_size=60).map(life)


@given(LIVES)
def test_frames_hold_all_events_in_order(log: CacheLog) -> None:
    moments = [log.at(frame) for frame in range(len(log))]
    assert sum((moment.events for moment in moments), ()) == log.events
    for moment in moments[1:]:
        kinds = [event.kind for event in moment.events]
        assert kinds
        assert kinds.count("translate") <= 1
        if "translate" in kinds:  # nothing runs before it in its frame, and only it after
            assert not set(kinds[: kinds.index("translate")]) & set(ENTERS)
            assert len(kinds) - kinds.index("translate") <= 2


@given(LIVES)
def test_a_moment_is_what_the_events_say(log: CacheLog) -> None:
    for frame in range(len(log)):
        moment = log.at(frame)
        before = log.events[: log.cuts[frame]]
        held: list[int] = []
        for event in before:
            if event.kind == "translate":
                held.append(event.unit)
            elif event.kind in GONE:
                held.remove(event.unit)
        assert list(moment.held) == held
        there = {k for k, state in enumerate(moment.states) if 1 <= state <= 3}
        assert there == set(held)
        events = log.events[log.cuts[frame - 1] : log.cuts[frame]] if frame else ()
        fresh = {event.unit for event in events if event.kind == "translate"}
        assert fresh == {k for k, state in enumerate(moment.states) if STATES[state] == "new"}
        assert moment.counts == Counter(event.kind for event in before)
        assert moment.entries == sum(event.kind in ENTERS for event in before)
        assert moment.explain().endswith(".")
        assert moment.counters["in the cache"] == len(held)
        assert moment.counters["entered"] == moment.entries
        rows = moment.to_frame()
        assert rows["instruction"].tolist() == [event.at for event in moment.events]
        assert set(rows["unit"]) <= {unit.name for unit in log.units}


def test_what_happened_is_said() -> None:
    log = life([(0, 1), (1, 1), (0, 1), (0, 0), (0, 1), (2, 1), (3, 1)])
    again = "is met that is not there: 1 instruction translated"
    written = (
        "The guest wrote on page 0x0, which holds code: 1 unit has to go, for what was made of it "
        "may be wrong."
    )
    full = "The cache was full (3): 3 units have to go, by flush_all."
    told = [log.at(frame).explain() for frame in range(len(log))]
    assert told == [
        "The cache is empty, with room for 3 units: no code has run yet.",
        "Code at 0x0 is met that is not there: 1 instruction translated.",
        "Code at 0x1000 is met that is not there: 2 instructions translated.",
        "A known unit runs, once: 0 of the ways along a link, 1 looked up.",
        f"{written} Code at 0x0 {again}, for the 2nd time.",
        "Code at 0x2000 is met that is not there: 3 instructions translated.",
        f"{full} Code at 0x3000 is met that is not there: 4 instructions translated.",
    ]
    assert [STATES[state] for state in log.at(6).states[:4]] == ["evicted"] * 3 + ["new"]
    assert "by hand did 7 instructions in 6 entries" in log.explain()


def test_a_path_has_each_way_once_and_a_log_each_unit() -> None:
    units = tuple(UnitSeen(0x10 * k, 0, ("NOP",), 1, direct=True) for k in range(2))
    turn = [Event(9, "chained", 1, 0), Event(9, "chained", 0, 1)]
    start = [Event(0, "translate", 0), Event(0, "enter", 0), Event(1, "translate", 1)]
    links = [Event(1, "link", 1, 0), Event(2, "link", 0, 1)]
    log = CacheLog("turns", "oldest", 4, units, (*start, *links, *turn, *turn), 9)
    last = log.at(len(log) - 1)
    assert set(last.path) <= {(0, 1), (1, 0)}
    assert last.links == {(0, 1), (1, 0)}
    assert log.to_frame()["entered"].tolist() == [4, 3]
    assert log.summary()["chained_percent"] == pytest.approx(100 * 4 / 7, abs=0.1)
    with pytest.raises(InvalidInputError, match=r"^frame = 99"):
        log.at(99)


@pytest.mark.parametrize("program", SMALL)
def test_a_run_is_short_enough_to_be_played(program: str) -> None:
    log = record_cache(program)
    assert 20 < len(log) < 420
    states = np.array([log.at(frame).states for frame in range(len(log))])
    assert states.shape == (len(log), len(log.units))
    assert (states[0] == 0).all()
