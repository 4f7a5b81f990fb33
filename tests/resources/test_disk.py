"""The disk queue: what theory promises holds on random runs; nothing is lost, nothing is idle."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from virtlab.resources import allocate
from virtlab.resources.disk import Change, Disk, DiskLoad, serve
from virtlab.resources.disk_policies import Fifo, Policy, Request, RoundRobin, StartTimeFair, Units
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

POLICIES = (StartTimeFair, Fifo, RoundRobin)

# --- the talk's case -----------------------------------------------------------------------------


def test_the_talks_numbers_come_about() -> None:
    run = serve([DiskLoad()] * 3, changes=[Change(5, vm=1, shares=2000)], seconds=10)
    frame = run.to_frame()
    before, after = frame[frame.from_s == 0], frame[frame.from_s == 5]
    one_request = 0.25 / 5  # MB/s: a request of 256 KB in 5 s
    assert before["mb_per_s"].to_numpy() == pytest.approx([160 / 3] * 3, abs=one_request)
    assert after["mb_per_s"].to_numpy() == pytest.approx([40, 80, 40], abs=2 * one_request)
    assert after["entitled_mb_per_s"].tolist() == [40, 80, 40]
    assert run.summary()["busy_percent"] == pytest.approx(100)


def test_changed_shares_take_effect_at_once() -> None:
    run = serve([DiskLoad()] * 3, changes=[Change(5, vm=1, shares=2000)], seconds=10)
    windows = run.throughput(0.1)
    vm2 = windows[windows.name == "VM2"].set_index("from_s")["mb_per_s"]
    a_request = 0.25 / 0.1
    assert vm2[:4.85].to_numpy() == pytest.approx(160 / 3, abs=a_request)
    assert vm2[5.05:].to_numpy() == pytest.approx(80, abs=2 * a_request)


def test_an_idle_vms_part_goes_to_the_others_at_once_and_comes_back() -> None:
    loads = [DiskLoad(1000), DiskLoad(2000), DiskLoad(1000, busy=((0, 4), (6, math.inf)))]
    run = serve(loads, seconds=10)
    got = {
        (float(row["from_s"]), str(row["name"])): float(row["mb_per_s"])
        for row in run.throughput(0.5).to_dict(orient="records")
        if row["from_s"] != 4  # requests issued before 4 s are still served just after
    }
    for (start, name), rate in got.items():
        idle = 4 < start < 6
        due = {"VM1": 160 / 3 if idle else 40, "VM2": 320 / 3 if idle else 80}
        assert rate == pytest.approx(due.get(name, 0 if idle else 40), abs=1.1), (start, name)
    assert run.summary()["busy_percent"] == pytest.approx(100)


def test_who_comes_back_has_saved_up_nothing() -> None:
    """After a long idle time VM1 gets its part, not all that it missed."""
    run = serve([DiskLoad(busy=((8, math.inf),)), DiskLoad()], seconds=10)
    assert run.throughput(2).query("from_s == 8")["mb_per_s"].to_numpy() == pytest.approx(
        [80, 80], abs=0.3
    )


def test_different_outstanding_requests_do_not_matter_to_fair_queueing_but_to_fifo() -> None:
    loads = [DiskLoad(outstanding=1), DiskLoad(outstanding=16)]
    fair = serve(loads, seconds=4).mb_per_s
    first = serve(loads, seconds=4, policy=Fifo).mb_per_s
    assert fair == pytest.approx([80, 80], abs=0.2)
    assert first == pytest.approx([160 / 17, 160 * 16 / 17], abs=2)


def test_round_robin_gives_more_to_larger_requests() -> None:
    loads = [DiskLoad(sizes_kb=(64,)), DiskLoad(sizes_kb=(192,))]
    assert serve(loads, policy=RoundRobin).mb_per_s == pytest.approx([40, 120], abs=0.2)


# --- units against bytes -------------------------------------------------------------------------


def test_units_give_another_byte_split_than_bytes() -> None:
    loads = [DiskLoad(sizes_kb=(4,)), DiskLoad(sizes_kb=(256,))]
    in_bytes = serve(loads, seconds=4, units=Units(per_command=0))
    assert in_bytes.mb_per_s == pytest.approx([80, 80], abs=0.3)
    in_units = serve(loads, seconds=4)  # 4 KB cost 1.0625 units, 256 KB cost 5
    per_unit = np.array([4 / 1.0625, 256 / 5])
    assert in_units.mb_per_s == pytest.approx(160 * per_unit / per_unit.sum(), abs=0.3)
    by_units = in_units.to_frame()["by_units_mb_per_s"].to_numpy()
    assert in_units.mb_per_s == pytest.approx(by_units, abs=0.3)


def test_units_are_fair_in_disk_time_where_a_command_costs_what_a_unit_moves() -> None:
    unit_s = 64 / 1024 / 160
    disk = Disk(command_us=unit_s * 1e6)
    run = serve([DiskLoad(sizes_kb=(4,)), DiskLoad(sizes_kb=(256,))], disk=disk)
    vm, size = run.served[:2]
    time = [sum(disk.seconds(s) for s in size[vm == i]) for i in (0, 1)]
    assert time == pytest.approx([5, 5], abs=0.01)


@pytest.mark.parametrize("command_us", [0, 500])
def test_mixed_sizes_follow_the_units(command_us: float) -> None:
    loads = [DiskLoad(1000, (4, 64, 256)), DiskLoad(3000, (8, 512)), DiskLoad(500, (64,))]
    run = serve(loads, disk=Disk(command_us=command_us), seconds=40, seed=1)
    by_units = run.entitled_by_units(run.phases[0])
    assert run.mb_per_s == pytest.approx(by_units, rel=0.06)
    assert run.mb_per_s.sum() == pytest.approx(by_units.sum(), rel=0.03)


# --- properties on random runs -------------------------------------------------------------------

_sizes = st.lists(st.sampled_from([16.0, 64.0, 256.0, 1024.0]), min_size=1, max_size=3)
_busy = st.lists(st.floats(0, 0.4), min_size=2, max_size=6, unique=True).map(
    lambda ends: tuple(itertools.pairwise(sorted(ends)))[::2]
)
_loads = st.builds(
    DiskLoad,
    shares=st.sampled_from([500.0, 1000.0, 2000.0, 7000.0]),
    sizes_kb=_sizes.map(tuple),
    outstanding=st.integers(1, 5),
    busy=st.one_of(st.just(((0.0, math.inf),)), _busy),
    think_ms=st.sampled_from([0.0, 0.0, 5.0, 50.0]),
)
_fleets = st.lists(_loads, min_size=1, max_size=4)
_units = st.sampled_from([Units(), Units(per_command=0), Units(per_command=4, kb_per_unit=512)])


@given(_fleets, _units, st.integers(0, 99))
@settings(max_examples=150, deadline=None)
def test_the_fairness_bound_holds_for_every_pair_and_interval(
    loads: list[DiskLoad], units: Units, seed: int
) -> None:
    run = serve(loads, seconds=0.4, units=units, seed=seed)
    for a, b in itertools.combinations(range(len(loads)), 2):
        gap, bound = run.gap_per_share(a, b)
        assert gap <= bound * (1 + 1e-9)


@pytest.mark.parametrize("policy", [Fifo, RoundRobin])
def test_other_policies_break_the_bound(policy: type[Policy]) -> None:
    """So the test above can fail."""
    loads = [DiskLoad(1000, outstanding=1), DiskLoad(4000, outstanding=8)]
    gap, bound = serve(loads, seconds=2, policy=policy).gap_per_share(0, 1)
    assert gap > 10 * bound


@given(_fleets, st.sampled_from(POLICIES), st.integers(0, 99))
@settings(max_examples=100, deadline=None)
def test_work_conserving_and_in_order(
    loads: list[DiskLoad], policy: type[Policy], seed: int
) -> None:
    run = serve(loads, seconds=0.4, policy=policy, seed=seed)
    vm, size, _, issued, started, done = run.served
    assert (started >= issued).all()
    assert done - started == pytest.approx(size / 1024 / 160, rel=1e-9)
    assert (started[1:] >= done[:-1]).all()  # one at a time
    gaps = started[1:] > done[:-1]
    # if the disk pauses, whoever is served next has only just come, and so has everyone after
    for first in np.flatnonzero(gaps) + 1:
        assert issued[first:].min() == started[first]
    for i in range(len(loads)):  # within a VM, requests keep their order
        assert (np.diff(issued[vm == i]) >= 0).all()


@given(_fleets, st.floats(0.01, 0.6), st.sampled_from([0.0, 300.0]))
@settings(max_examples=80, deadline=None)
def test_no_byte_is_lost(loads: list[DiskLoad], window_s: float, command_us: float) -> None:
    run = serve(loads, seconds=0.4, disk=Disk(command_us=command_us))
    frame = run.throughput(window_s)
    moved = (frame["mb_per_s"] * (frame["to_s"] - frame["from_s"])).sum()
    whole = run.served[1].sum() / 1024
    late = run.served[5] > 0.4  # at most the last request: only part of it moved in time
    part = sum(
        size / 1024 - 160 * max(0.0, min(done - 0.4, size / 1024 / 160))
        for size, done in run.served[:, late][[1, 5]].T
    )
    assert late.sum() <= 1
    assert moved == pytest.approx(whole - run.served[1, late].sum() / 1024 + part, rel=1e-9)


@given(_fleets)
@settings(max_examples=30, deadline=None)
def test_outstanding_is_never_exceeded(loads: list[DiskLoad]) -> None:
    run = serve(loads, seconds=0.2)
    for i, load in enumerate(loads):
        mine = run.served[:, run.served[0] == i]
        issued, done = mine[3], mine[5]
        alive = [int(((issued <= t) & (done > t)).sum()) for t in issued]
        assert max(alive, default=0) <= load.outstanding


@given(st.lists(st.sampled_from([500.0, 1000.0, 2000.0, 3000.0]), min_size=2, max_size=5))
@settings(max_examples=30, deadline=None)
def test_backlogged_vms_come_to_the_allocation(shares: list[float]) -> None:
    run = serve([DiskLoad(s, (64.0,)) for s in shares], seconds=2)
    off = np.abs(run.mb_per_s - allocate(160, shares).allocation)
    assert off.max() <= 2 * 64 / 1024 / 2 * len(shares)


def test_same_seed_same_run_other_seed_another() -> None:
    loads = [DiskLoad(sizes_kb=(4, 256)), DiskLoad(2000, (8, 64))]
    first, again, other = (serve(loads, seconds=1, seed=s).served for s in (1, 1, 2))
    assert np.array_equal(first, again)
    assert first.shape != other.shape or not np.array_equal(first, other)


# --- a student's policy --------------------------------------------------------------------------


class _FirstFirst(Policy):
    def choose(self, waiting: Mapping[int, Request], shares: Sequence[float]) -> int:
        del shares
        return min(waiting)


class _Broken(Policy):
    def choose(self, waiting: Mapping[int, Request], shares: Sequence[float]) -> int:
        del waiting, shares
        return 7


def test_a_policy_of_two_lines_plugs_in() -> None:
    run = serve([DiskLoad(), DiskLoad(9000)], policy=_FirstFirst, seconds=1)
    assert run.mb_per_s.tolist() == pytest.approx([160, 0])


def test_a_policy_that_chooses_nobody_is_told() -> None:
    with pytest.raises(InvalidInputError, match=r"_Broken.choose\(\) = 7: .*one of \[0, 1\]"):
        serve([DiskLoad(), DiskLoad()], policy=_Broken)


# --- edges ---------------------------------------------------------------------------------------


def test_nobody_asks() -> None:
    run = serve([DiskLoad(busy=())], seconds=1)
    assert run.served.shape == (6, 0)
    assert run.summary()["busy_percent"] == 0
    assert run.trace().empty
    assert run.mb_per_s.tolist() == [0]
    assert run.entitled_by_units(run.phases[0]).tolist() == [0]


def test_no_time() -> None:
    run = serve([DiskLoad()], seconds=0)
    assert run.mb_per_s.tolist() == [0]
    assert run.explain() == "No time has passed."
    assert run.summary()["worst_off_mb_per_s"] == 0
    assert run.to_frame().empty


def test_words_and_rows() -> None:
    run = serve(
        [DiskLoad(name="web"), DiskLoad(name="db", busy=((0, 5),))],
        changes=[Change(8, 0, 3000)],
    )
    assert run.explain().startswith(
        "Shares 1000:1000: web 80.0, db 80.0 MB/s. From 5 s (db idle): 1"
    )
    assert "From 8 s (web: 3000 shares): 160.0, 0.0." in run.explain()
    assert list(run.events) == [(5, "db idle"), (8, "web: 3000 shares")]
    assert [phase.shares[0] for phase in run.phases] == [1000, 1000, 3000]
    assert run.trace()["name"].unique().tolist() == ["web", "db"]
    assert run.to_json()["rows"][0]["entitled_mb_per_s"] == 80


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DiskLoad(0), "shares = 0"),
        (lambda: DiskLoad(sizes_kb=()), "sizes_kb"),
        (lambda: DiskLoad(sizes_kb=(4, 0)), "sizes_kb"),
        (lambda: DiskLoad(outstanding=0), "outstanding = 0"),
        (lambda: DiskLoad(busy=((5, 4),)), "busy"),
        (lambda: DiskLoad(busy=((0, math.nan),)), "busy"),
        (lambda: DiskLoad(think_ms=-1), "think_ms"),
        (lambda: Change(-1, 0, 1), "at_s"),
        (lambda: Change(1, 0, 0), "shares"),
        (lambda: Disk(0), "bandwidth_mb_s"),
        (lambda: Disk(command_us=-1), "command_us"),
        (lambda: Units(kb_per_unit=0), "kb_per_unit"),
        (lambda: Units(per_command=-1), "per_command"),
        (lambda: serve([]), "loads"),
        (lambda: serve([DiskLoad()], seconds=-1), "seconds"),
        (lambda: serve([DiskLoad()], changes=[Change(1, 1, 5)]), "change.vm = 1"),
        (lambda: serve([DiskLoad()], seconds=1).throughput(0), "window_s = 0"),
        (
            lambda: serve([DiskLoad()] * 2, changes=[Change(1, 1, 5)]).gap_per_share(0, 1),
            "none for these two VMs",
        ),
    ],
)
def test_errors(make: object, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        make()  # type: ignore[operator] # each is a lambda
