"""Co-scheduling: the example of the waste, skew, idle virtual processors, and what always holds."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from virtlab.resources.cpu.coscheduling import Smp, coschedule
from virtlab.validate import InvalidInputError

PAIR = [Smp("four", 4), Smp("two", 2)]


def test_a_quarter_is_wasted_by_strict_rules_and_nothing_by_relaxed_ones() -> None:
    strict = coschedule(PAIR, cpus=4)
    assert strict.utilization_percent == 75
    assert strict.percent.tolist() == [200, 100]
    assert strict.ran[:2].tolist() == [[4, 0], [0, 2]]
    assert strict.skew.tolist() == [0, 0]
    relaxed = coschedule(PAIR, cpus=4, mode="relaxed")
    assert relaxed.utilization_percent == 100
    assert relaxed.percent.sum() == pytest.approx(400)


def test_a_threshold_lets_strict_rules_waste_less() -> None:
    used = [coschedule(PAIR, threshold=skew).utilization_percent for skew in (0, 3)]
    assert 75 == used[0] < used[1] <= 100


def test_idle_virtual_processors_count_as_getting_on() -> None:
    run = coschedule([Smp("four", 4, busy=2), Smp("two", 2)], cpus=4)
    assert run.utilization_percent == 100
    assert run.percent.tolist() == [200, 200]
    assert coschedule([Smp("idle", 4, busy=0)]).utilization_percent == 0


def test_single_processors_never_stop_for_each_other() -> None:
    run = coschedule([Smp(f"vm{i}") for i in range(3)], cpus=2, slots=300)
    assert run.utilization_percent == 100
    assert run.percent == pytest.approx([200 / 3] * 3)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 4), st.integers(1, 4)), min_size=1, max_size=5),
    st.integers(4, 6),
    st.integers(0, 4),
    st.sampled_from(["strict", "relaxed"]),
)
def test_what_always_holds(
    sizes: list[tuple[int, int]], cpus: int, threshold: int, mode: str
) -> None:
    vms = [Smp(f"vm{i}", n, min(n, busy)) for i, (n, busy) in enumerate(sizes)]
    run = coschedule(vms, cpus, 120, mode=mode, threshold=threshold)
    assert (run.ran.sum(axis=1) <= cpus).all()
    assert (run.ran <= [vm.busy for vm in vms]).all()
    assert (run.ran.sum(axis=0) > 0).all(), "nobody starves"
    assert (run.skew <= threshold + 1).all()
    if mode == "strict" and threshold == 0:
        assert ((run.ran == 0) | (run.ran == [vm.busy for vm in vms])).all()


def test_words_rows_and_bad_input() -> None:
    run = coschedule(PAIR)
    assert "uses 75 % of them; percent of one: four 200, two 100." in run.explain()
    assert run.to_frame()["largest_skew_slots"].tolist() == [0, 0]
    assert run.summary()["utilization_percent"] == 75
    with pytest.raises(InvalidInputError, match=r"four\.busy = 4: must be at most 2"):
        coschedule(PAIR, cpus=2)
    with pytest.raises(InvalidInputError, match="mode = 'loose'"):
        coschedule(PAIR, mode="loose")
    with pytest.raises(InvalidInputError, match=r"a\.shares"):
        Smp("a", shares=0)
