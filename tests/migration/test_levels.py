"""Four levels of one migration, and how well a curve foretells a replay."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab.migration.levels import Rounds, compare_levels, geometric_series, measured_curve
from virtlab.migration.link import MIB, Link
from virtlab.migration.replays import BUSY, replay_traces
from virtlab.migration.vm import Vm
from virtlab.migration.vmotion import migrate
from virtlab.migration.workloads import RoundRobin, Trace, Uniform
from virtlab.validate import InvalidInputError


@given(st.floats(1e3, 1e6), st.floats(0.01, 0.95), st.integers(1, 12))
def test_the_series_is_the_textbook_s(pages: float, ratio: float, rounds: int) -> None:
    rule = Rounds(threshold_mib=0, max_rounds=rounds)
    sizes = geometric_series(pages, ratio * 20_000, 20_000, rule)
    assert len(sizes) == rounds + 1
    assert sum(sizes) == pytest.approx(pages * (1 - ratio ** (rounds + 1)) / (1 - ratio))
    assert sizes[-1] == pytest.approx(pages * ratio**rounds)


def test_a_rate_above_the_link_sends_all_pages_each_round() -> None:
    assert geometric_series(1000, 9e9, 1000, Rounds(max_rounds=3)) == [1000] * 4


def test_levels_agree_where_they_should() -> None:
    """Round robin over much memory is what the series assumes: constant, each page new."""
    vm, link = Vm(ram_mib=64, device_state_kib=0), Link(bandwidth_mib_s=20, latency_ms=0)
    levels = compare_levels(vm, RoundRobin(16384, 1000), link, Rounds(threshold_mib=2))
    frame = levels.to_frame().set_index("level")
    exact = frame.loc["page level"]
    for name in ("geometric series", "measured curve"):
        assert frame.loc[name, "pages_sent"] == pytest.approx(exact["pages_sent"], rel=0.01)
        assert frame.loc[name, "total_s"] == pytest.approx(exact["total_s"], rel=0.01)
        assert frame.loc[name, "rounds"] == exact["rounds"]


def test_ram_by_bandwidth_is_what_stop_and_copy_sends() -> None:
    frame = compare_levels(Vm(ram_mib=64), Uniform(8192, 4000)).to_frame().set_index("level")
    assert frame.loc["RAM / bandwidth", "pages_sent"] == 64 * 256
    assert frame.loc["RAM / bandwidth", "total_s"] == pytest.approx(64 * 256 * 4104 / 125e6)


def test_the_curve_beats_the_series_where_pages_are_written_again() -> None:
    said = compare_levels(
        Vm(ram_mib=128), Trace.named("redis_set"), rule=Rounds(max_rounds=8)
    ).summary()
    curve, series = (abs(float(said[f"{n} off %"])) for n in ("measured curve", "geometric series"))
    assert curve < 10
    assert curve < series
    assert float(said["RAM / bandwidth off %"]) < -50


def test_curves_foretell_at_least_eight_of_nine_programs() -> None:
    replays = replay_traces()
    frame = replays.to_frame()
    assert list(frame["program"]) == list(BUSY)
    assert len(frame) == 9
    assert int((frame["error_percent"].abs() <= 10).sum()) >= 8
    assert (
        (frame["least_pages"] <= frame["replayed_pages"])
        & (frame["replayed_pages"] <= frame["most_pages"])
    ).all()
    assert f"{replays.summary()['within_10_percent']} of 9" in replays.explain()


def test_plain_rounds_stop_by_their_rule() -> None:
    run = migrate(
        Vm(ram_mib=16), Uniform(4096, 9000), Link(bandwidth_mib_s=20), Rounds(max_rounds=3)
    )
    assert (run.rounds["phase"] == "running").sum() == 3
    assert not run.converged
    assert run.rounds["sent_bytes"].sum() == pytest.approx(run.sent_mib * MIB)


@pytest.mark.parametrize(
    ("call", "field"),
    [
        (lambda: geometric_series(-1, 1, 1), "pages"),
        (lambda: geometric_series(1, -1, 1), "dirty_pages_s"),
        (lambda: geometric_series(1, 1, 0), "pages_s"),
        (lambda: measured_curve(1, RoundRobin(1, 1), 0), "pages_s"),
        (lambda: Rounds(threshold_mib=-1), "threshold_mib"),
        (lambda: Rounds(max_rounds=0), "max_rounds"),
        (lambda: replay_traces(["word"]), "programs"),
        (lambda: replay_traces(starts_s=[]), "starts_s"),
    ],
)
def test_bad_input_is_named(call: object, field: str) -> None:
    assert callable(call)
    with pytest.raises(InvalidInputError, match=field):
        call()
