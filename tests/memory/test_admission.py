"""Admission: the slide's sum and the guide's, overhead by size, and what a refusal says."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab.memory.admission import VmMemory, admit
from virtlab.memory.overhead import console_size_mib, overhead_mib
from virtlab.validate import InvalidInputError


def _slide() -> list[VmMemory]:
    return [VmMemory(f"VM{i}", 512, 512, 2) for i in (1, 2, 3)]


# --- published sums ------------------------------------------------------------------------------


def test_the_talks_slide_both_ways() -> None:
    result = admit(_slide(), host_mib=2048)
    assert result.talk_mib == pytest.approx(24 + 192 + 3 * 64 + 3 * 0.06 * 512 + 3 * 512)
    assert result.talk_mib == pytest.approx(2036.2, abs=0.05)
    assert result.guide_mib == pytest.approx(2047.7, abs=0.05)
    assert result.admitted.all()


def test_the_guides_example() -> None:
    result = admit([VmMemory(f"VM{i}", 256, 512) for i in range(8)], host_mib=4096)
    assert round(result.guide_mib) == 5016
    assert result.guide_mib == pytest.approx(24 + 192 + 1.06 * 8 * (512 + 54))
    assert round(result.needs_mib()) - 4096 == 920
    assert round(result.needs_mib(sharing=0.10)) - 4096 == 510
    assert round(result.needs_mib(sharing=0.25)) - 4096 == -104


@pytest.mark.parametrize(
    ("maximum", "vcpus", "expected"),
    [
        (512, 1, 54), (512, 2, 64), (2048, 1, 102), (2048, 2, 112), (0, 1, 54), (256, 2, 64),
        (1536, 1, 86), (513, 1, 54.03125), (3584, 2, 160),
    ],
)  # fmt: skip
def test_overhead(maximum: float, vcpus: int, expected: float) -> None:
    assert overhead_mib(maximum, vcpus) == expected


@pytest.mark.parametrize(
    ("vcpus", "expected"),
    [(0, 192), (8, 192), (9, 272), (16, 272), (17, 384), (32, 384), (33, 512), (80, 512)],
)
def test_the_console_grows_with_virtual_processors(vcpus: int, expected: float) -> None:
    assert console_size_mib(vcpus) == expected
    singles = [VmMemory(f"VM{i}", 1, 1) for i in range(vcpus)]
    assert admit(singles, host_mib=9000).console_mib == expected


# --- admission by hand ---------------------------------------------------------------------------


def test_minimum_and_overhead_in_memory_the_rest_in_swap() -> None:
    vms = [
        VmMemory("a", 200, 400),  # 254 of 808 MB, 200 of 500 MB swap
        VmMemory("b", 500, 512),  # 554: exactly the rest
        VmMemory("c", 0, 512),  # 54 lack, and 224 MB of swap
        VmMemory("d", 0, 0.5),  # 54 lack
    ]
    result = admit(vms, host_mib=24 + 192 + 808, swap_mib=500)
    assert result.admitted.tolist() == [True, True, False, False]
    assert result.lacks_ram_mib.tolist() == [0, 0, 54, 54]
    assert result.lacks_swap_mib.tolist() == [0, 0, 224, 0]
    text = result.explain()
    assert "a, b start: 808 of 808 MB" in text
    assert "c doesn't: it lacks 54 MB of memory and 224 MB of swap." in text
    assert "d doesn't: it lacks 54 MB of memory." in text
    assert "only the talk's fits" not in text
    assert "neither fits" in text


def test_who_is_refused_does_not_keep_the_next_from_asking() -> None:
    result = admit([VmMemory("big", 9000, 9000), VmMemory("small", 64, 64)], host_mib=1024)
    assert result.admitted.tolist() == [False, True]
    assert "small starts" in result.explain()


def test_swap_alone_may_lack() -> None:
    result = admit([VmMemory("a", 100, 512)], host_mib=1024, swap_mib=400)
    assert result.lacks_swap_mib.tolist() == [12]
    assert "No VMs start" in result.explain()
    assert "it lacks 12 MB of swap." in result.explain()


def test_the_host_of_2_gb_is_full_by_the_guide_to_the_last_megabyte() -> None:
    assert admit(_slide(), host_mib=2047).to_json()["guide_lacks_mib"] == pytest.approx(0.68)
    assert "only the talk's fits." in admit(_slide(), host_mib=2040).explain()
    assert "both fit." in admit(_slide(), host_mib=2048).explain()


def test_many_refusals_are_counted() -> None:
    text = admit([VmMemory(f"VM{i}", 500, 500) for i in range(20)], host_mib=1024).explain()
    assert "Nor do 16 more." in text
    assert len(text) < 500


def test_json_says_who_fits_and_what_lacks() -> None:
    result = admit([VmMemory("db", 900, 900), VmMemory("web", 64, 64)], 1024, swap_mib=10)
    data = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert data["fits"] == ["web"]
    assert data["lacks"] == [{"name": "db", "ram_mib": 158.125, "swap_mib": 0}]
    assert data["admitted"] == 1
    assert data["rows"][0]["admitted"] is False
    slide = admit(_slide(), 2048).to_json()
    assert (slide["talk_mib"], slide["guide_mib"]) == (2036.2, 2047.7)
    assert (slide["talk_fits"], slide["guide_fits"], slide["lacks"]) == (True, True, [])


def test_parts_add_up() -> None:
    result = admit(_slide(), host_mib=2048)
    parts = result.parts_mib
    assert list(parts) == ["VMkernel", "Service Console", "overhead", "kept free", "VMs"]
    assert parts["overhead"] == pytest.approx((192, 192))
    assert parts["kept free"] == pytest.approx((92.16, 103.68))


# --- properties ----------------------------------------------------------------------------------


@st.composite
def _vms(draw: st.DrawFn) -> list[VmMemory]:
    size = st.integers(0, 2000)
    rows = draw(st.lists(st.tuples(size, size, st.sampled_from([1, 2])), max_size=12))
    return [
        VmMemory(f"VM{i}", low, low + more + 1, vcpus) for i, (low, more, vcpus) in enumerate(rows)
    ]


@given(_vms(), st.integers(1000, 9000), st.integers(0, 9000))
def test_reservations_always_fit_and_refusals_are_true(
    vms: list[VmMemory], host: int, swap: int
) -> None:
    result = admit(vms, host, swap_mib=swap)
    ram_left, swap_left = host - 24 - result.console_mib, float(swap)
    for vm, starts, ram, room in zip(
        vms, result.admitted, result.lacks_ram_mib, result.lacks_swap_mib, strict=True
    ):
        needs, reserves = vm.min_mib + overhead_mib(vm.max_mib, vm.vcpus), vm.max_mib - vm.min_mib
        assert starts == (needs <= ram_left and reserves <= swap_left)
        if starts:
            ram_left, swap_left = ram_left - needs, swap_left - reserves
        else:  # with just what lacks, it would start
            assert max(needs - ram_left, 0) == pytest.approx(ram)
            assert max(reserves - swap_left, 0) == pytest.approx(room)
    assert ram_left >= 0
    assert swap_left >= 0


@given(_vms(), st.integers(1000, 9000), st.integers(0, 2000))
def test_a_larger_host_takes_whoever_the_first_that_was_refused_is(
    vms: list[VmMemory], host: int, more: int
) -> None:
    """In order of asking: all before the first refusal start on a larger host too."""
    before, after = admit(vms, host), admit(vms, host + more)
    first = int(np.argmin(np.append(before.admitted, False)))
    assert after.admitted[:first].all()


# --- errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ({"min_mib": 600}, "min_mib = 600: must be at most max_mib, 512"),
        ({"min_mib": -1}, "min_mib = -1"),
        ({"max_mib": 0}, "max_mib = 0: must be above 0"),
        ({"vcpus": 4}, "vcpus = 4: must be a whole number from 1 to 2"),
        ({"vcpus": 1.5}, "vcpus"),
    ],
)
def test_a_bad_vm_is_named(named: dict[str, float], message: str) -> None:
    given_values = {"min_mib": 256, "max_mib": 512, "vcpus": 1} | named
    with pytest.raises(InvalidInputError, match=message):
        VmMemory("web", **given_values)  # type: ignore[arg-type] # wrong values are the point


@pytest.mark.parametrize(
    ("host", "named", "message"),
    [
        (200, {}, "host_mib = 200: must be at least 216: VMkernel and console"),
        (-1, {}, "host_mib"),
        (2048, {"console_mib": 900}, "console_mib = 900: must be a number from 0 to 800"),
        (2048, {"swap_mib": -1}, "swap_mib"),
    ],
)
def test_a_bad_host_is_named(host: float, named: dict[str, float], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        admit(_slide(), host, **named)


def test_sharing_is_a_part() -> None:
    with pytest.raises(InvalidInputError, match="sharing = 10"):
        admit(_slide(), 2048).needs_mib(sharing=10)
