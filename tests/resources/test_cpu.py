"""The processor scheduler: the thesis's laws, the guide's example, and what must always hold."""

from __future__ import annotations

import json
import math
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from virtlab.resources.cpu import (
    Add,
    Bursty,
    Change,
    CpuRun,
    CpuVM,
    Interactive,
    Lottery,
    OnOff,
    Policy,
    Remove,
    RoundRobin,
    Trace,
    Vcpu,
    Workload,
    admit,
    schedule,
)
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def clients(shares: Sequence[float]) -> list[CpuVM]:
    return [CpuVM(f"vm{i}", part) for i, part in enumerate(shares)]


def quanta(run: CpuRun) -> NDArray[np.int64]:
    """Return the VM that had each quantum of the first processor."""
    return np.array([ord(letter) - ord("A") for letter in run.letters()])


# --- the laws of the thesis -----------------------------------------------------------------------


def test_three_to_two_to_one_repeats_the_thesiss_order() -> None:
    assert schedule(clients([3, 2, 1]), seconds=0.6).letters() == "ABAABC" * 10


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(1, 50), min_size=2, max_size=8))
def test_no_pair_is_ever_off_by_more_than_a_quantum(shares: list[int]) -> None:
    order = quanta(schedule(clients(shares), seconds=3))
    for a, b in combinations(range(len(shares)), 2):
        of_a, of_b = np.cumsum(order == a), np.cumsum(order == b)
        ideal = (of_a + of_b) * shares[a] / (shares[a] + shares[b])
        assert np.abs(of_a - ideal).max() <= 1 + 1e-9


def test_the_thesiss_hundred_and_one_clients_are_off_by_fifty() -> None:
    run = schedule(clients([100] + [1] * 100), seconds=2)
    assert run.percent_between(0, 1)[0] == pytest.approx(100)
    assert run.error_quanta(0) == pytest.approx(50)
    assert run.percent[0] == pytest.approx(50)


@pytest.mark.parametrize("ratio", [1, 2, 10, 20])
def test_a_lottery_keeps_the_binomial_law(ratio: int) -> None:
    n, p = 4000, ratio / (ratio + 1)
    wins = [
        (quanta(schedule(clients([ratio, 1]), seconds=n / 100, policy=Lottery(), seed=seed)) == 0)
        for seed in range(12)
    ]
    totals = np.array([won.sum() for won in wins])
    assert np.abs((totals - n * p) / math.sqrt(n * p * (1 - p))).max() < 4
    blocks = np.concatenate(wins).reshape(-1, 100).sum(axis=1)  # 480 runs of 100 quanta
    assert blocks.std() / blocks.mean() == pytest.approx(math.sqrt((1 - p) / (100 * p)), rel=0.15)


def test_a_lotterys_first_win_is_geometric() -> None:
    p = 0.1
    won = np.concatenate(
        [
            quanta(schedule(clients([1, 9]), seconds=100, policy=Lottery(), seed=seed)) == 0
            for seed in range(4)
        ]
    )
    waits = np.diff(np.flatnonzero(won))
    error = math.sqrt((1 - p) / p**2 / len(waits))
    assert abs(waits.mean() - 1 / p) < 4 * error
    assert waits.var() == pytest.approx((1 - p) / p**2, rel=0.25)


# --- shares, minimum, maximum, the talk's three pictures ------------------------------------------


def test_the_guides_console() -> None:
    guide = [CpuVM("vm", 3000, 20, 50), CpuVM("console", 1000, 30)]
    assert schedule(guide, seconds=20).percent == pytest.approx([50, 50], abs=0.2)
    third = CpuVM("other", 0, 30, 30)  # leaves 70: the console is at its minimum
    assert schedule([*guide, third], seconds=20).percent == pytest.approx([40, 30, 30], abs=0.2)
    # inside its bounds the VM gets three times the console's share
    free = [CpuVM("vm", 3000, 20, 90), CpuVM("console", 1000, 8)]
    assert schedule(free, seconds=20).percent == pytest.approx([75, 25], abs=0.2)


def test_a_share_is_changed_a_vm_added_and_removed() -> None:
    events: list[Change | Add | Remove] = [
        Change(10, "vm1", shares=2000),
        Add(20, CpuVM("vm3", 1000)),
        Remove(30, "vm0"),
    ]
    run = schedule(clients([1000, 1000, 1000]), seconds=40, events=events)
    for from_s, expected in (
        (0, [100 / 3, 100 / 3, 100 / 3, 0]),
        (10, [25, 50, 25, 0]),
        (20, [20, 40, 20, 20]),
        (30, [0, 50, 25, 25]),
    ):
        assert run.percent_between(from_s, from_s + 10) == pytest.approx(expected, abs=0.25)
    assert run.utilization_percent == pytest.approx(100)
    assert max(run.error_quanta(vm) for vm in range(4)) < 2


def test_zero_shares_get_the_minimum_and_no_more() -> None:
    alone = schedule([CpuVM("a", 0, 20)], seconds=10)
    assert alone.percent[0] == pytest.approx(20, abs=0.2)
    assert schedule([CpuVM("a", 0)], seconds=1).percent[0] == 0
    assert schedule([CpuVM("a", 0, 20), CpuVM("b")], seconds=10).percent == pytest.approx(
        [20, 80], abs=0.2
    )


def test_a_minimum_that_is_not_used_is_lent() -> None:
    vms = [CpuVM("a", 1000, 50, workload=OnOff(1, 4)), CpuVM("b", 1000)]
    run = schedule(vms, seconds=60)
    assert run.utilization_percent == pytest.approx(100)
    assert run.percent[1] > 60
    assert run.percent[0] == pytest.approx(100 / 6, abs=2)  # 2 s for 1 s of work, then 4 s


def test_power_on_is_refused_by_how_much() -> None:
    vms = [CpuVM("a", min_percent=80), CpuVM("b", min_percent=80)]
    with pytest.raises(InvalidInputError, match=r"b.min_percent = 80: .*60 are lacking"):
        schedule(vms, cpus=1)
    schedule(vms, cpus=2, seconds=1)
    with pytest.raises(InvalidInputError, match="50 are lacking"):
        schedule(vms, 2, 9, [Add(3, CpuVM("c", min_percent=90))])
    lower, higher = Change(2, "a", min_percent=10), Change(4, "a", min_percent=100)
    with pytest.raises(InvalidInputError, match=r"a\.min_percent = 100: must be at most 20"):
        schedule(vms[:1], 1, 9, [lower, Add(3, vms[1]), higher])
    with pytest.raises(InvalidInputError, match="lacking"):
        admit(CpuVM("big", min_percent=120, vcpus=2), [], cpus=1)


def test_changing_bounds_takes_effect() -> None:
    events = [Change(10, "vm0", max_percent=20), Change(20, "vm0", max_percent=0)]
    events += [Change(30, "vm0", max_percent=80), Change(40, "vm0", min_percent=80)]
    run = schedule(clients([1000, 1000]), seconds=50, events=events)
    got = [run.percent_between(t, t + 10)[0] for t in range(0, 50, 10)]
    assert got == pytest.approx([50, 20, 0, 50, 80], abs=1.0)


# --- many processors, several virtual ones, other policies ----------------------------------------


def test_a_vm_with_two_virtual_processors_has_up_to_two() -> None:
    run = schedule([CpuVM("two", vcpus=2), CpuVM("one")], cpus=4, seconds=1)
    assert run.percent == pytest.approx([200, 100])
    assert run.migrations.tolist() == [0, 0], "who can stay stays"
    tight = schedule([CpuVM("two", 2000, vcpus=2), CpuVM("one", 1000)], cpus=1, seconds=3)
    assert tight.percent == pytest.approx([200 / 3, 100 / 3], abs=0.5)


def test_three_on_two_processors_move_between_them() -> None:
    run = schedule(clients([1, 1, 1]), cpus=2, seconds=3)
    assert run.percent == pytest.approx([200 / 3] * 3, abs=0.7)
    assert run.migrations.sum() > 50
    assert run.utilization_percent == pytest.approx(100)


def test_round_robin_knows_no_shares() -> None:
    run = schedule(clients([3000, 1000]), seconds=2, policy=RoundRobin())
    assert run.percent == pytest.approx([50, 50])


class Greedy(Policy):
    """The first VM before all others."""

    def choose(self, waiting: Sequence[Vcpu]) -> Vcpu:
        return min(waiting, key=lambda vcpu: vcpu.index)


def test_a_policy_of_ones_own_starves_but_the_minimum_holds() -> None:
    run = schedule([*clients([1, 1]), CpuVM("safe", min_percent=25)], seconds=4, policy=Greedy())
    assert run.percent == pytest.approx([75, 0, 25], abs=0.5)


def test_a_trace_is_followed_and_what_is_late_is_done_later() -> None:
    trace = Trace((20, 60, 0, 40))
    run = schedule([CpuVM("t", workload=trace)], seconds=8)
    assert [run.percent_between(t, t + 1)[0] for t in range(4)] == pytest.approx([20, 60, 0, 40])
    held = schedule([CpuVM("t", max_percent=45, workload=trace)], seconds=8)
    assert held.percent[0] == pytest.approx(30, abs=0.5)
    assert held.ready_s[0] > 0.5


def test_interactive_load_waits_little_under_stride() -> None:
    vms = [CpuVM("user", workload=Interactive(5, 100)), *clients([1000] * 4)]
    stride = schedule(vms, seconds=60, seed=1)
    turns = schedule(vms, seconds=60, seed=1, policy=RoundRobin())
    assert stride.ready_s[0] < 0.6 * turns.ready_s[0]

    def at_once(run: CpuRun) -> float:
        """Return the part of the bursts that begin as soon as they are wanted."""
        mine, wants = (rows[rows[:, 0] == 0] for rows in (run.intervals, run.wants))
        return float(np.isin(wants[:, 1], mine[:, 2]).mean())

    assert at_once(stride) > 0.4
    assert at_once(turns) < 0.1


def test_who_wakes_pushes_out_who_is_ahead_and_the_rest_comes_later() -> None:
    vms = [CpuVM("user", workload=Trace((0, 0.3, 0, 0), step_s=1.003)), *clients([1000] * 2)]
    run = schedule(vms, seconds=2)
    begin, end = run.intervals[run.intervals[:, 0] == 0][0, 2:]
    assert (begin, end - begin) == (1_003_000, 3009), "in the middle of a quantum"
    other = run.intervals[run.intervals[:, 3] == begin][0]
    assert other[3] % 10_000 == 3000, "its quantum is broken off"
    assert run.percent[1:] == pytest.approx([49.85] * 2, abs=0.5)
    calm = schedule(vms, seconds=2, policy=RoundRobin())
    assert calm.intervals[calm.intervals[:, 0] == 0][0, 2] % 10_000 == 0


class Polite(Policy):
    """The first VM pushes everyone out, at once; nobody else does."""

    def choose(self, waiting: Sequence[Vcpu]) -> Vcpu:
        return min(waiting, key=lambda vcpu: vcpu.index)

    def preempts(self, waking: Vcpu, running: Vcpu) -> bool:
        return waking.index == 0 and running.ran_us > 1000


def test_a_policy_of_ones_own_may_preempt() -> None:
    vms = [CpuVM("first", workload=Interactive(5, 20)), *clients([1, 1])]
    run = schedule(vms, seconds=20, policy=Polite())
    assert run.ready_s[0] < 0.3 * schedule(vms, seconds=20, policy=Greedy()).ready_s[0]
    assert run.utilization_percent == pytest.approx(100)


class Never(Workload):
    def burst(self, count: int, now_s: float, rng: np.random.Generator) -> tuple[float, float]:
        del count, rng
        return now_s, 0.0


# --- what a run says, and bad input ---------------------------------------------------------------


def test_a_run_in_words_rows_and_json() -> None:
    run = schedule(clients([1000, 3000]), seconds=4)
    assert "percent of one: vm0 25, vm1 75." in run.explain()
    assert "vm0 waited longest, 3 s." in run.explain()
    data = json.loads(json.dumps(run.to_json(), allow_nan=False))
    assert data["utilization_percent"] == pytest.approx(100)
    assert [row["name"] for row in data["rows"]] == ["vm0", "vm1"]
    assert data["rows"][1]["entitled_percent"] == pytest.approx(75)
    assert data["largest_error_quanta"] < 1.01
    trace = run.trace()
    assert (trace["to_s"] - trace["from_s"]).sum() == pytest.approx(4)
    assert run.switches.sum() == len(trace) - 1
    assert "Nobody waited" in schedule(clients([1]), seconds=1).explain()
    assert "and 4 more" in schedule(clients([1] * 10), seconds=1).explain()


def test_the_same_seed_gives_the_same_run() -> None:
    vms = [CpuVM(f"v{i}", workload=Bursty()) for i in range(5)]
    first, again, other = (schedule(vms, 2, 5, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first.intervals, again.intervals)
    assert not np.array_equal(first.intervals, other.intervals)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: schedule(clients([1]), cpus=0), "cpus = 0"),
        (lambda: schedule(clients([1]), seconds=0), "seconds = 0"),
        (lambda: schedule(clients([1]), quantum_ms=-1), "quantum_ms = -1"),
        (lambda: schedule([*clients([1]), *clients([1])]), "the name of one VM only"),
        (lambda: schedule(clients([1]), events=[Remove(1, "x")]), "name = 'x'.*one of vm0"),
        (lambda: schedule(clients([1]), seconds=1).percent_between(0, 2), "a stretch of 0 to 1"),
        (lambda: schedule([CpuVM("n", workload=Never())]), "one that has work now and then"),
        (lambda: CpuVM("a.b"), "a word without a dot"),
        (lambda: CpuVM("a", -1), "a.shares = -1"),
        (lambda: CpuVM("a", 1, 50, 40), "at most its max_percent, 40"),
        (lambda: CpuVM("a", vcpus=2, max_percent=201), "from 0 to 200"),
        (lambda: Add(-1, CpuVM("a")), "at_s = -1"),
        (lambda: OnOff(0), "on_s = 0"),
        (lambda: Interactive(0), "work_ms = 0"),
        (lambda: Bursty(think_ms=-1), "think_ms = -1"),
        (lambda: Trace(()), "one number or more"),
    ],
)
def test_bad_input_is_named(make: object, message: str) -> None:
    assert callable(make)
    with pytest.raises(InvalidInputError, match=message):
        make()
