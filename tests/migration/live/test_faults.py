"""A host is killed at each step: one of the two has the machine, and nothing is lost or doubled."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING

import pytest

from virtlab.migration.hot_migration import HotMigration, hot_migration
from virtlab.migration.live.room import Room
from virtlab.migration.live.setup import Fault, LiveSetup
from virtlab.migration.live.source import SOURCE_STEPS
from virtlab.migration.live.target import TARGET_STEPS

if TYPE_CHECKING:
    from collections.abc import Iterator

SMALL = LiveSetup(
    clients=3, seconds=0.4, archive_mib=1, accounts=200, link_mib_s=0, patience_s=30
)  # fmt: skip
IMPATIENT = LiveSetup(
    clients=2, seconds=0.4, archive_mib=1, accounts=200, link_mib_s=0, patience_s=1
)  # fmt: skip
# From here on the target has the machine, so its end is not the source's business any more.
CLAIMED = TARGET_STEPS[TARGET_STEPS.index("claimed") :]
GIVEN_AWAY = SOURCE_STEPS[SOURCE_STEPS.index("target runs") :]
STEPS = [("source", step) for step in SOURCE_STEPS] + [("target", step) for step in TARGET_STEPS]


def one_has_it_all(moved: HotMigration) -> None:
    """Check what must hold however it went: one has the machine, whole, and it serves."""
    assert moved.outcome in {"moved", "stayed"}
    assert moved.audit is not None
    assert moved.audit.clean, moved.audit
    assert moved.transactions > 0
    assert moved.audit.answered == moved.transactions == len(moved.payments.client)


@pytest.mark.parametrize(("host", "step"), STEPS)
def test_killed_at_any_step_of_precopy(host: str, step: str) -> None:
    moved = hot_migration(SMALL, "precopy", fault=Fault(host, step))
    one_has_it_all(moved)
    events = moved.events
    assert ((events["host"] == host) & (events["what"] == "dead")).any()
    if host == "target":
        assert moved.outcome == ("moved" if step in CLAIMED else "stayed")
        # The source's clients notice nothing when the target dies before it has the machine.
        assert moved.restarts == int(step in CLAIMED)
        assert (moved.reconnects > 0) == (step in CLAIMED)
    elif step in GIVEN_AWAY:
        assert (moved.outcome, moved.restarts, moved.reconnects) == ("moved", 0, 0)
    elif step != "descriptors sent":  # there the target may claim it, or not
        assert (moved.outcome, moved.restarts) == ("stayed", 1)


@pytest.mark.parametrize(
    ("host", "step"),
    [
        ("source", "quiesced"), ("source", "descriptors sent"), ("source", "deleted"),
        ("target", "in the first round"), ("target", "has all"), ("target", "claimed"),
    ],
)  # fmt: skip
def test_killed_in_stop_and_copy(host: str, step: str) -> None:
    one_has_it_all(hot_migration(SMALL, "stop", fault=Fault(host, step)))


@pytest.mark.parametrize("algorithm", ["deck", "postcopy"])
@pytest.mark.parametrize(
    ("host", "step", "outcome"),
    [
        ("source", "quiesced", "stayed"),
        ("source", "target runs", "lost"),
        ("target", "database open", "stayed"),
        ("target", "claimed", "lost"),
        ("target", "last page here", "moved"),
    ],
)
def test_pages_left_behind_are_a_risk_and_the_result_says_so(
    algorithm: str, host: str, step: str, outcome: str
) -> None:
    slow = LiveSetup(clients=2, seconds=0.4, archive_mib=1, accounts=2000, link_mib_s=4)
    moved = hot_migration(slow, algorithm, fault=Fault(host, step))
    assert moved.outcome == outcome
    if outcome == "lost":
        assert moved.audit is None
        assert "lost" in moved.explain()
        assert moved.summary()["lost"] == moved.transactions
    else:
        one_has_it_all(moved)


@pytest.mark.parametrize(
    ("host", "step", "outcome"),
    [
        ("source", "round sent", "stayed"),
        ("source", "descriptors sent", "moved"),
        ("target", "database open", "stayed"),
        ("target", "claimed", "moved"),
    ],
)
def test_a_host_that_falls_silent_is_settled_too(host: str, step: str, outcome: str) -> None:
    moved = hot_migration(IMPATIENT, "precopy", fault=Fault(host, step, signal.SIGSTOP))
    one_has_it_all(moved)
    assert moved.outcome == outcome


@pytest.fixture(params=[("source", 0.01), ("source", 0.2), ("target", 0.05), ("target", 0.3)])
def killed_by_the_clock(request: pytest.FixtureRequest) -> Iterator[None]:
    """Kill a host some time after the migration was ordered, wherever it is by then."""
    host, seconds = request.param
    move = Room.move

    def move_and_kill(room: Room, algorithm: str) -> str:
        timer = threading.Timer(seconds, lambda: kill(room, host))
        timer.start()
        try:
            return move(room, algorithm)
        finally:
            timer.cancel()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Room, "move", move_and_kill)
        yield


def kill(room: Room, host: str) -> None:
    if host in room._hosts:
        room._hosts[host].popen.kill()


@pytest.mark.usefixtures("killed_by_the_clock")
def test_killed_at_any_moment() -> None:
    one_has_it_all(hot_migration(SMALL, "precopy"))
