"""Post-copy: every page once, whatever is written; what pushing is worth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab.migration.algorithms import (
    Bubbling,
    Clark,
    Hybrid,
    InOrder,
    NoPush,
    PostCopy,
    Pushing,
    QemuPreCopy,
)
from virtlab.migration.link import Link
from virtlab.migration.vm import Vm
from virtlab.migration.vmotion import MigrationRun, migrate
from virtlab.migration.workloads import RoundRobin, Uniform, Workload
from virtlab.validate import InvalidInputError

VM = Vm(ram_mib=64, device_state_kib=512)
LINK = Link(bandwidth_mib_s=60, latency_ms=0.2)
PUSHES = ("bubbling", "in order", "none")


def faults(workload: Workload, push: str) -> int:
    return migrate(VM, workload, LINK, PostCopy(push)).network_faults


@pytest.mark.parametrize("push", PUSHES)
@pytest.mark.parametrize("rate", [0, 500, 20_000])
def test_every_page_goes_exactly_once(push: str, rate: int) -> None:
    run = migrate(VM, Uniform(8000, rate), LINK, PostCopy(push, patience_s=0.3))
    assert run.page_copies == VM.pages
    assert run.most_copies == 1
    assert run.wrong_pages == 0


@pytest.mark.parametrize("push", PUSHES)
def test_the_pause_does_not_depend_on_what_is_written(push: str) -> None:
    pauses = [
        migrate(VM, Uniform(8000, rate), LINK, PostCopy(push, patience_s=0.1)).downtime_ms
        for rate in (0, 1000, 30_000)
    ]
    assert max(pauses) <= 1.1 * min(pauses)


def test_it_sends_fewer_pages_than_any_pre_copy_of_a_machine_that_writes() -> None:
    workload = Uniform(8000, 4000)
    post = migrate(VM, workload, LINK, PostCopy()).page_copies
    for pre in (QemuPreCopy(), Clark(min_mbit_s=200)):
        assert post < migrate(VM, workload, LINK, pre).page_copies


def test_bubbling_is_worth_three_faults_of_four_on_a_walk() -> None:
    walk = RoundRobin(6000, 15_000, first_page=8000)
    plain, bubbling = faults(walk, "in order"), faults(walk, "bubbling")
    assert plain >= 3 * bubbling > 0


def test_bubbling_does_not_help_where_pages_are_touched_at_random() -> None:
    anywhere = Uniform(VM.pages, 15_000)
    plain, bubbling = faults(anywhere, "in order"), faults(anywhere, "bubbling")
    assert bubbling == pytest.approx(plain, rel=0.1)


def test_on_demand_alone_every_touched_page_is_a_fault() -> None:
    run = migrate(VM, RoundRobin(1000, 3000), LINK, PostCopy("none", patience_s=60))
    assert run.network_faults == 1000
    round_trip_ms = 2 * LINK.latency_ms + 1000 * LINK.seconds(4104)
    assert run.stalled_ms == pytest.approx(1000 * round_trip_ms, rel=0.01)


def test_a_hybrid_waits_for_fewer_pages_than_post_copy() -> None:
    workload = Uniform(4000, 3000)
    hybrid, post = (migrate(VM, workload, LINK, a) for a in (Hybrid(), PostCopy()))
    assert hybrid.network_faults < post.network_faults
    assert hybrid.page_copies > post.page_copies


def test_time_lost_is_counted_where_it_is_lost() -> None:
    run: MigrationRun = migrate(VM, Uniform(8000, 8000), LINK, PostCopy())
    guest = float(run.history[-1, 1])
    lost = (run.downtime_ms + run.stalled_ms) / 1000
    assert run.total_s - guest == pytest.approx(lost, rel=1e-6)


@given(
    lacking=st.lists(st.booleans(), min_size=1, max_size=300),
    count=st.integers(1, 50),
    pivot=st.integers(0, 299),
)
def test_a_choice_is_distinct_pages_that_are_lacking(
    lacking: list[bool], count: int, pivot: int
) -> None:
    mask = np.array(lacking)
    pushing: Pushing
    for pushing in (InOrder(), Bubbling(), NoPush()):
        pushing.fault(min(pivot, mask.size - 1))
        pages = pushing.choose(mask, count)
        assert len(set(pages.tolist())) == pages.size <= count
        assert mask[pages].all()
        if not isinstance(pushing, NoPush):
            assert pages.size == min(count, mask.sum())


@given(st.lists(st.booleans(), min_size=5, max_size=300), st.data())
def test_bubbling_takes_the_nearest(lacking: list[bool], data: st.DataObject) -> None:
    mask = np.array(lacking)
    pivot = data.draw(st.integers(0, mask.size - 1))
    bubble = Bubbling()
    bubble.fault(pivot)
    for _ in range(6):
        pages = bubble.choose(mask, 7)
        left = np.flatnonzero(mask)
        nearest = sorted(left.tolist(), key=lambda page: (abs(page - pivot), page < pivot))
        assert pages.tolist() == nearest[:7]
        # A link that is full takes none of some, or the first ones; others may come damaged.
        came = data.draw(st.lists(st.booleans(), min_size=pages.size, max_size=pages.size))
        mask[pages[np.array(came, dtype=bool)]] = False


@given(st.lists(st.booleans(), min_size=5, max_size=300), st.data())
def test_in_order_is_in_order_whatever_the_link_takes(
    lacking: list[bool], data: st.DataObject
) -> None:
    mask, pushing = np.array(lacking), InOrder()
    for _ in range(6):
        pages = pushing.choose(mask, 7)
        assert pages.tolist() == np.flatnonzero(mask)[:7].tolist()
        came = data.draw(st.lists(st.booleans(), min_size=pages.size, max_size=pages.size))
        mask[pages[np.array(came, dtype=bool)]] = False


def test_bad_input_is_named() -> None:
    with pytest.raises(InvalidInputError, match="push"):
        PostCopy("wildly")
    with pytest.raises(InvalidInputError, match="push"):
        Hybrid(push="none")
    with pytest.raises(InvalidInputError, match="rounds"):
        Hybrid(rounds=0)
    with pytest.raises(InvalidInputError, match="patience_s"):
        PostCopy(patience_s=-1)
