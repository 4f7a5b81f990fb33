"""Curves of seconds by instructions: rates and break-even worked out by hand, and a real run."""

from __future__ import annotations

import math
from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab.machine.guests import guest
from virtlab.machine.translation import speed
from virtlab.machine.translation.passes import Passes
from virtlab.machine.translation.speed import ALL, can_run, ladder, measure, worth
from virtlab.machine.translation.speed_curves import Curve, Speeds, rounded
from virtlab.validate import InvalidInputError

pytestmark = pytest.mark.usefixtures("wasmtime")


def line(name: str, start: float, rate: float, instructions: int = 1 << 20) -> Curve:
    """Return a curve that is straight from its first piece on."""
    counts = tuple(1000 * (2**k - 1) for k in range(1, 22) if 1000 * (2**k - 1) <= instructions)
    return Curve(name, counts, tuple(start + n / rate for n in counts), 0)


@given(start=st.floats(0, 2), rate=st.floats(1e4, 1e9))
def test_rate_and_start_of_a_straight_line_come_back(start: float, rate: float) -> None:
    curve = line("x", start, rate)
    assert curve.rate == pytest.approx(rate, rel=1e-3)
    assert curve.start_s == pytest.approx(start, abs=1e-6 + 1e-3 * curve.seconds[-1])
    assert curve.seconds_for(5000) == pytest.approx(start + 5000 / rate, rel=0.01, abs=1e-4)


def test_a_last_piece_that_was_cut_off_does_not_decide() -> None:
    curve = Curve("x", (1000, 3000, 7000, 7010), (0.1, 0.3, 0.7, 0.9), 0)
    assert curve.rate == pytest.approx((7010 - 3000) / 0.6)


@pytest.mark.parametrize(
    ("start", "rate", "wanted"),
    [
        (0.1, 2e5, 0.1 / (1 / 1e5 - 1 / 2e5)),
        (0.0, 2e5, 0.0),
        (0.1, 1e5, math.inf),
        (0.1, 5e4, math.inf),
        (0.0, 5e4, math.inf),
    ],
)
def test_break_even_by_hand(start: float, rate: float, wanted: float) -> None:
    found = Speeds("x", (line("slow", 0.0, 1e5), line("fast", start, rate)), {})
    after = found.break_even("fast")
    assert after == wanted or after == pytest.approx(wanted, rel=0.01)
    if 0 < after < math.inf:
        both = [one.seconds_for(after) for one in found.curves]
        assert both[0] == pytest.approx(both[1])
        assert f"it pays from {rounded(after)} instructions on" in found.explain()


def test_what_it_says() -> None:
    found = Speeds("crc32", (line("interpreter", 0, 4e4), line("wasm", 0.1, 4e8)),
                   {"llvm": "it is Sunday"})  # fmt: skip
    assert found.summary() == {
        "program": "crc32", "yardstick": "interpreter", "wasm_times": pytest.approx(1e4, rel=0.01),
    }  # fmt: skip
    assert found.explain().endswith("No llvm: it is Sunday.")
    assert list(found.to_frame()["way"]) == ["interpreter", "wasm"]
    with pytest.raises(InvalidInputError, match="name = 'python'"):
        found.times("python")


def test_numbers_have_the_digits_that_are_worth_something() -> None:
    assert [rounded(x) for x in (0.123, 1.26, 12.6, 126, 12_600, 12_600_000)] == [
        "0.12", "1.3", "13", "130", "13,000", "13 million",
    ]  # fmt: skip


def test_the_tiers_run_the_same_program_and_the_faster_one_comes_further() -> None:
    said: list[tuple[int, int, str]] = []
    tiers = ["interpreter", "wasm"]
    found = ladder("sieve", tiers, seconds=3, tell=lambda *one: said.append(one))
    assert said == [(0, 2, "interpreter"), (1, 2, "wasm")]
    slow, fast = found.curves
    assert found.times("wasm") > 50
    assert fast.instructions[-1] > 10 * slow.instructions[-1]
    assert fast.translations > 0 == slow.translations
    assert list(fast.seconds) == sorted(fast.seconds)
    assert fast.instructions[: len(slow.instructions)] == slow.instructions


def test_of_a_program_that_ends_all_whole_pieces_count() -> None:
    """Each is twice as long as the one before; what is left is shorter, and mostly its new end."""
    done = measure("sieve", "wasm", seconds=60).instructions
    assert done == tuple(1000 * (2**k - 1) for k in range(1, len(done) + 1))
    assert done[-1] < guest("sieve").large_instructions < 1000 * (2 ** (len(done) + 1) - 1)


def counting(passes: Passes, instructions: int, *, often: bool) -> dict[str, int]:
    """Return what a translator counts in a program that needs all passes; or none, but at first."""
    times = instructions // (900 if often else 1100)
    done = {
        "chained": passes.chaining,
        "coalesced": passes.ports,
        "hashed": not passes.guesses,
        "steps": not passes.in_cache,
    }
    return {name: 7 + times * did for name, did in done.items()}


@pytest.mark.parametrize("often", [True, False])
def test_each_pass_is_left_out_once(monkeypatch: pytest.MonkeyPatch, *, often: bool) -> None:
    tried: list[Passes] = []

    def measured(program: str, tier: str, passes: Passes, **more: object) -> Curve:
        tried.append(passes)
        curve = line(str(more["name"]), 0.0, 1e5 if passes.regions else 5e4)
        return replace(curve, counts=counting(passes, curve.instructions[-1], often=often))

    monkeypatch.setattr(speed, "measure", measured)
    found = worth("sieve", turns=2)
    switches = [one.name for one in fields(Passes) if one.default is True]
    idle = 0 if often else 4  # guesses, chaining, ports, in cache: they have next to nothing to do
    assert len(found.curves) == 1 + len(switches) + 1 - idle
    assert found.curves[0].name == ALL
    assert found.times("without regions") == pytest.approx(0.5)
    assert len(tried) == 2 * (1 + len(switches) + 1)
    for name in switches:
        assert sum(not getattr(one, name) for one in tried) >= 2


def test_what_cannot_run_here_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    assert can_run("wasm") == ""
    monkeypatch.setattr(speed, "can_run", lambda tier: "no such thing" if tier == "wasm" else "")
    found = ladder("sieve", ["interpreter", "wasm"], seconds=0.01)
    assert found.missing == {"wasm": "no such thing"}
    assert [one.name for one in found.curves] == ["interpreter"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"program": "crc64", "tier": "wasm"}, "name = 'crc64'"),
        ({"program": "crc32", "tier": "qemu"}, "tier = 'qemu'"),
        ({"program": "crc32", "tier": "wasm", "seconds": 0}, "seconds = 0"),
        ({"program": "crc32", "tier": "wasm", "most": 0}, "most = 0"),
    ],
)
def test_what_cannot_be_measured_is_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        measure(**arguments)  # type: ignore[arg-type] # that is what is tried
