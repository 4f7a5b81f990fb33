"""Several migrations over one link."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from virtlab.migration.algorithms import Algorithm, Deck, PostCopy, QemuPreCopy, StopAndCopy
from virtlab.migration.link import MIB, Link
from virtlab.migration.together import Leaving, migrate_together
from virtlab.migration.vm import Vm
from virtlab.migration.vmotion import migrate
from virtlab.migration.workloads import RoundRobin, Uniform
from virtlab.validate import InvalidInputError

STILL = RoundRobin(1, 0)
LINK = Link(bandwidth_mib_s=20, latency_ms=0)


def still(ram_mib: float, shares: float = 1000, name: str = "VM") -> Leaving:
    return Leaving(Vm(ram_mib, device_state_kib=0, name=name), STILL, StopAndCopy(), shares)


def test_one_alone_has_the_link() -> None:
    alone = migrate_together([Leaving(Vm(16), Uniform(2000, 900), Deck())], LINK).runs[0]
    assert alone.summary() == migrate(Vm(16), Uniform(2000, 900), LINK).summary()


def test_two_by_hand() -> None:
    """8 and 24 MiB at 20 MiB/s: 10 each until 0.8 s, then 20; both are done when 32 MiB are."""
    both = migrate_together([still(8), still(24)], LINK)
    page = 4104 / 4096
    assert both.runs[0].total_s == pytest.approx(0.8 * page, rel=0.01)
    assert both.runs[1].total_s == pytest.approx(1.6 * page, rel=0.01)
    assert both.order == (0, 1)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 8), st.integers(100, 3000)), min_size=1, max_size=4))
def test_the_link_is_full_until_the_last_is_done(machines: list[tuple[int, int]]) -> None:
    all_of_them = migrate_together([still(ram, shares) for ram, shares in machines], LINK)
    sent = sum(run.sent_mib for run in all_of_them.runs)
    assert all_of_them.summary()["total_s"] == pytest.approx(sent / 20, rel=0.02)


def test_more_shares_are_done_sooner() -> None:
    plain = migrate_together([still(16), still(16)], LINK)
    favoured = migrate_together([still(16, 3000), still(16, 1000)], LINK)
    assert favoured.runs[0].total_s < plain.runs[0].total_s
    assert favoured.order == (0, 1)


def test_a_limiter_of_each_leaves_the_rest_of_the_link_unused() -> None:
    capped = Link(bandwidth_mib_s=20, cap_mib_s=4, latency_ms=0)
    together = migrate_together([still(8), still(8)], capped)
    alone = migrate(Vm(8, device_state_kib=0), STILL, capped, StopAndCopy())
    assert together.runs[0].total_s == pytest.approx(alone.total_s, rel=0.05)


def test_a_machine_that_writes_may_not_converge_in_company() -> None:
    busy = Leaving(Vm(16), RoundRobin(3000, 3000), QemuPreCopy(downtime_limit_ms=100))
    alone = migrate_together([busy], LINK).runs[0]
    company = migrate_together([busy, still(16), still(16)], LINK).runs[0]
    assert company.total_s > alone.total_s
    assert company.wrong_pages == 0
    assert company.sent_mib > alone.sent_mib


def test_each_is_whole_and_the_result_says_when() -> None:
    kinds: list[Algorithm] = [Deck(), PostCopy(), QemuPreCopy()]
    together = migrate_together(
        [Leaving(Vm(8, name=f"VM{n}"), Uniform(1000, 500), a) for n, a in enumerate(kinds, 1)], LINK
    )
    assert [run.wrong_pages for run in together.runs] == [0, 0, 0]
    frame = together.to_frame()
    assert frame["vm"].tolist() == ["VM1", "VM2", "VM3"]
    assert together.summary()["sent_mib"] == pytest.approx(frame["sent_mib"].sum())
    assert together.explain().startswith(together.runs[together.order[0]].vm.name)
    assert frame["sent_mib"].sum() * MIB >= 3 * 8 * 256 * 4104


def test_bad_input_is_named() -> None:
    with pytest.raises(InvalidInputError, match="leaving"):
        migrate_together([])
    with pytest.raises(InvalidInputError, match="shares"):
        Leaving(Vm(), STILL, Deck(), shares=0)
