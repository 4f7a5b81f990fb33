"""How fast two on one core are, beside what others say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab.resources.cpu import (
    Contention,
    Cores,
    CpuVM,
    schedule_threads,
)
from virtlab.resources.cpu.contention import KINDS, PUBLISHED
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Callable


TWO, FOUR = Cores(1), Cores(2)


def alike(count: int, **settings: object) -> list[CpuVM]:
    return [CpuVM(f"vm{i}", **settings) for i in range(count)]  # type: ignore[arg-type] # any


# --- the contention factors, beside what others say -----------------------------------------------


def test_the_speeds_lie_in_what_is_published() -> None:
    table = Contention()
    low, high = PUBLISHED["each of two, VMware KB 326271"]
    assert low <= table.speed("compute", "compute") <= high
    low, high = PUBLISHED["two together, VMware KB 326271"]
    assert low <= 2 * table.speed("compute", "compute") <= high
    low, _ = PUBLISHED["beside self-modifying code, vSphere 5.0"]
    for kind in KINDS:
        assert table.speed(kind, "self-modifying") == low
        assert table.speed(kind) == 1


def test_cache_suffers_more_than_compute_and_two_do_less_than_one() -> None:
    table = Contention()
    assert table.speed("cache", "cache") < table.speed("cache", "compute")
    assert table.speed("cache", "compute") < table.speed("compute", "compute")
    assert 2 * table.speed("cache", "cache") < 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("beside", KINDS)
def test_what_two_get_done_is_what_the_table_says(kind: str, beside: str) -> None:
    pair = [CpuVM("a", kind=kind), CpuVM("b", kind=beside)]
    run = schedule_threads(pair, TWO, seconds=2)
    expected = [Contention().speed(kind, beside), Contention().speed(beside, kind)]
    assert run.work_s == pytest.approx([2 * speed for speed in expected])
    assert run.charged_s == pytest.approx([1, 1])
    assert run.run_s == pytest.approx([2, 2])


def test_two_that_share_a_cache_may_do_less_than_one_and_two_that_compute_do_more() -> None:
    """What each kind is for: hyperthreads help compute, and a busy cache they do not."""
    together = {
        kind: schedule_threads([CpuVM("a", kind=kind), CpuVM("b", kind=kind)], TWO, seconds=1)
        for kind in KINDS
    }
    done = {kind: float(run.work_s.sum()) for kind, run in together.items()}
    in_turns = schedule_threads(
        [CpuVM("a", sharing="none", kind="cache"), CpuVM("b", kind="cache")], TWO, seconds=1
    )
    assert done["compute"] > 1 > done["cache"] > done["self-modifying"]
    assert in_turns.work_s.sum() == pytest.approx(1)
    assert in_turns.work_s.sum() > done["cache"], "then 'none' is what one wants"


def test_a_table_of_ones_own_is_taken() -> None:
    table = Contention(((0.7, 0.6, 0.2), (0.5, 0.4, 0.2), (0.9, 0.8, 0.2)))
    machine = Cores(1, contention=table)
    run = schedule_threads([CpuVM("a"), CpuVM("b", kind="cache")], machine, seconds=1)
    assert run.work_s == pytest.approx([0.6, 0.5])
    assert table.matrix.tolist() == [
        [700, 600, 200, 1000],
        [500, 400, 200, 1000],
        [900, 800, 200, 1000],
    ]


@given(st.integers(1, 1000), st.sampled_from(KINDS), st.sampled_from(KINDS))
def test_a_speed_is_kept_to_the_thousandth(grains: int, kind: str, beside: str) -> None:
    table = Contention(((grains / 1000,) * 3,) * 3)
    assert table.grains(kind, beside) == grains
    assert table.speed(kind, beside) == grains / 1000
    assert table.grains(kind) == 1000


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Contention(((0.5, 0.5, 0),) * 3), r"speeds\[compute\]\[self-modifying\] = 0"),
        (lambda: Contention(((0.5, 0.5),) * 3), "three rows of three numbers"),
        (lambda: Contention().speed("idle"), "kind = 'idle'"),
        (lambda: Contention().speed("cache", "idle"), "beside = 'idle'"),
        (lambda: Cores(0), "cpus = 0"),
        (lambda: Cores(1, 3), "threads = 3"),
        (lambda: Cores(1, 1.5), "threads = 1.5"),  # type: ignore[arg-type] # that is the test
    ],
)
def test_bad_input_is_named(make: Callable[[], object], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        make()
