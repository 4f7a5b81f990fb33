"""One program in several ways: what is stored holds together, and what is measured is like it."""

from __future__ import annotations

import math
import shutil
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab.datasets import ways as stored_runs
from virtlab.machine.comparison import Comparison, Sample
from virtlab.machine.direct import run_direct, why_not
from virtlab.machine.guests import GUESTS, Guest, guest
from virtlab.machine.ways import WAYS, Way, all_stored, compare, here, stored
from virtlab.validate import InvalidInputError

NAMES = [one.name for one in GUESTS]
BY_NAME = pytest.mark.parametrize("name", NAMES)


def steady(name: str, ns: float, traps: int = 0) -> Way:
    """Return a way that takes the same each time."""
    return Way(name, "a test", lambda _: Sample(1000, 1e-6 * ns, traps, 1e-7 * traps), lambda: "")


@BY_NAME
def test_stored_runs_stand_in_the_order_of_the_theory(name: str) -> None:
    """Popek and Goldberg's efficiency: direct is near native, interpretation nowhere near."""
    one = stored(name)
    assert one.slowdown("native") == 1
    assert one.slowdown("direct") > 0.9
    assert 1.2 < one.slowdown("translated") < 20
    assert 1.2 < one.slowdown("wasm tier") < one.slowdown("python tier") < 2000
    assert 10_000 < one.slowdown("interpreted") < 1_000_000
    assert one.directly_percent > 99.999
    assert 1 < one.trap_us < 100
    assert one.missing == {}


@BY_NAME
def test_but_for_the_monitors_part_direct_execution_is_native(name: str) -> None:
    """What traps cost depends on how short a program is; what the processor does does not."""
    runs = stored_runs().query("program == @name").set_index(["way", "turn"])
    direct, native = runs.loc["direct"], runs.loc["native"]
    own = (direct["seconds"] - direct["monitor_s"]) / direct["instructions"]
    ratio = (own / (native["seconds"] / native["instructions"])).median()
    assert 0.9 < ratio < 1.25


@BY_NAME
def test_stored_traps_are_those_of_the_program(name: str) -> None:
    """Two accesses for each letter it says, and the exit."""
    if why_not():
        pytest.skip(why_not())
    run = run_direct(guest(name).path(large=True))
    assert stored(name).traps == sum(run.traps.values()) == 2 * len(run.output) + 1


def test_what_is_stored_is_complete() -> None:
    frame = stored_runs()
    assert sorted(frame["program"].unique()) == sorted(NAMES)
    counts = frame.groupby(["program", "way"]).size()
    ways = set(frame["way"])
    assert {"native", "direct", "translated", "interpreted"} <= ways <= {way.name for way in WAYS}
    assert len(counts) == len(NAMES) * len(ways)
    assert counts.nunique() == 1
    assert (frame["seconds"] > 0).all()
    assert set(frame.loc[frame["traps"] > 0, "way"]) == {"direct"}
    assert list(all_stored()) == NAMES


def test_ways_that_need_the_guests_own_processor_are_told_from_those_that_do_not() -> None:
    assert {way.name: way.any_processor for way in WAYS} == {
        "native": False,
        "direct": False,
        "translated": True,
        "llvm tier": True,
        "wasm tier": True,
        "python tier": True,
        "interpreted": True,
    }


@given(
    ns=st.lists(st.floats(0.1, 1e5), min_size=1, max_size=6, unique=True), turns=st.integers(1, 5)
)
def test_a_slowdown_is_a_ratio_of_times(ns: list[float], turns: int) -> None:
    chosen = [steady(f"way {k}", value) for k, value in enumerate(ns)]
    found = compare("sieve", turns=turns, ways=chosen)
    for k, value in enumerate(ns):
        for other, base in enumerate(ns):
            ratio = found.slowdown(f"way {k}", f"way {other}")
            assert ratio == pytest.approx(value / base)
    assert found.yardstick == f"way {ns.index(min(ns))}"  # there is no native: the fastest
    frame = found.to_frame()
    assert frame["runs"].tolist() == [turns] * len(ns)
    assert (frame["lowest"] <= frame["slowdown"]).all()
    assert (frame["slowdown"] <= frame["highest"]).all()


def test_ways_run_in_turns() -> None:
    order: list[str] = []

    def noted(name: str) -> Way:
        def run(_: Guest) -> Sample:
            order.append(name)
            return Sample(1, 1.0)

        return Way(name, "a test", run, lambda: "")

    told: list[tuple[int, int, str]] = []
    compare("sieve", turns=3, ways=[noted("a"), noted("b")], tell=lambda *what: told.append(what))
    assert order == ["a", "b"] * 3
    assert told == [(k, 6, "ab"[k % 2]) for k in range(6)]


def test_a_slow_moment_that_meets_a_whole_turn_does_not_change_a_ratio() -> None:
    turns = {"native": [1.0, 5.0, 1.0], "direct": [1.5, 7.5, 1.5]}
    samples = {name: tuple(Sample(10, s) for s in times) for name, times in turns.items()}
    assert Comparison("sieve", samples, {}, "").slowdown("direct") == 1.5


def test_a_trap_costs_what_the_monitor_took() -> None:
    found = compare("sieve", turns=3, ways=[steady("native", 1.0), steady("direct", 2.0, traps=5)])
    assert found.traps == 5
    assert found.trap_us == pytest.approx(0.1)
    assert found.directly_percent == pytest.approx(99.5)
    assert "A trap costs 0.1 µs" in found.explain()
    assert found.summary()["direct_slowdown"] == pytest.approx(2)
    none = compare("sieve", turns=1, ways=[steady("native", 1.0)])
    assert math.isnan(none.trap_us)
    assert math.isnan(none.directly_percent)
    assert none.explain() == ""
    assert none.to_json()["trap_us"] is None


def test_what_is_missing_is_said() -> None:
    never = Way("direct", "a test", lambda _: Sample(1, 1), lambda: "it is Sunday")
    found = compare("crc32", turns=1, ways=[steady("native", 1), never])
    assert found.missing == {"direct": "it is Sunday"}
    assert found.explain() == "No direct: it is Sunday."
    with pytest.raises(InvalidInputError, match="one at least"):
        compare("crc32", ways=[never])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: compare("bogosort"), "quicksort"),
        (lambda: stored("bogosort"), "quicksort"),
        (lambda: compare("sieve", turns=0), "turns = 0"),
    ],
)
def test_bad_input_is_named(call: object, words: str) -> None:
    assert callable(call)
    with pytest.raises(InvalidInputError, match=words):
        call()


def test_no_qemu_and_no_decoder_are_said_in_plain_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    monkeypatch.setitem(sys.modules, "pypcode", None)
    reasons = {way.name: way.why_not() for way in WAYS}
    assert "qemu-system-x86" in reasons["translated"]
    assert "virtlab[machine]" in reasons["interpreted"]


def test_this_machine_measures_what_the_stored_one_did() -> None:
    """The same order, and the same number of traps; how far apart is the machine's affair."""
    found = compare("isprime", turns=1)
    assert found.where == here()
    assert set(found.samples) | set(found.missing) == {way.name for way in WAYS}
    if "native" in found.samples and "interpreted" in found.samples:
        assert found.traps == stored("isprime").traps
        assert found.slowdown("interpreted") > 1000
        assert found.slowdown("direct") < 10
