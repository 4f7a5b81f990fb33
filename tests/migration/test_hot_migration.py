"""A database server moves while it is used: what the clients see, and what the books say."""

from __future__ import annotations

import gc
import math
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from virtlab.migration import hot_migration as topic
from virtlab.migration.hot_migration import (
    ALGORITHM_NAMES,
    HotMigration,
    Payments,
    hot_migration,
)
from virtlab.migration.live.algorithms import ALGORITHMS
from virtlab.migration.live.room import Room
from virtlab.migration.live.setup import Fault, LiveSetup
from virtlab.results import Result
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Callable

SMALL = LiveSetup(clients=3, seconds=0.6, archive_mib=2, accounts=900, link_mib_s=20)


@pytest.fixture(scope="module", params=ALGORITHM_NAMES)
def moved(request: pytest.FixtureRequest) -> HotMigration:
    return hot_migration(SMALL, request.param)


def test_none_lost_none_doubled_nobody_cut_off(moved: HotMigration) -> None:
    assert moved.outcome == "moved"
    assert moved.audit is not None
    assert moved.audit.clean, moved.audit
    assert moved.audit.answered == moved.transactions > 0
    assert (moved.reconnects, moved.restarts) == (0, 0)
    assert np.isfinite(moved.payments.latency_ms).all()
    assert (moved.payments.latency_ms > 0).all()


def test_each_way_sends_what_it_promises(moved: HotMigration) -> None:
    pages = moved.rounds["pages"]
    memory = moved.sent_bytes / 4104
    match moved.algorithm:
        case "stop":
            assert moved.rounds["paused"].tolist() == [True]
            assert moved.left_pages == 0
        case "precopy":
            assert moved.rounds["paused"].tolist() == [False] * (len(pages) - 1) + [True]
            assert pages.iloc[-1] < pages.iloc[0] / 2
            assert moved.left_pages == 0
        case "deck":
            assert moved.rounds["paused"].tolist() == [False]
            assert 0 < moved.left_pages < pages.iloc[0]
        case _:
            assert len(pages) == 0
            assert moved.left_pages > 512
    assert memory >= 512  # the archive alone
    if moved.left_pages:
        assert 0 <= moved.asked_pages <= moved.left_pages  # some may come before they are asked for


def test_answers_come_during_the_rounds_but_not_in_the_pause(moved: HotMigration) -> None:
    table = moved.to_frame()
    running = table[table["server"] == "runs"]
    if len(running):
        assert running["answers"].sum() > 0
    start, end = moved.pause_s
    inside = (moved.payments.answered_s > start) & (moved.payments.answered_s < end)
    assert not inside.any()
    assert moved.when("source", "quiesced") < end
    assert start < moved.when("target", "serving")


def test_the_steps_are_in_order(moved: HotMigration) -> None:
    steps = [
        ("source", "connected"), ("source", "quiesced"), ("target", "has all"),
        ("target", "descriptors here"), ("target", "database open"), ("target", "claimed"),
        ("target", "serving"), ("source", "deleted"),
    ]  # fmt: skip
    times = [moved.when(*step) for step in steps]
    assert times == sorted(times)
    assert math.isnan(moved.when("source", "goes on"))


def test_the_result_is_like_every_other(moved: HotMigration) -> None:
    assert isinstance(moved, Result)
    told = moved.to_json()
    assert told["outcome"] == "moved"
    assert (told["lost"], told["doubled"], told["wrong_balances"]) == (0, 0, 0)
    assert told["integrity"] == "ok"
    assert told["rounds"] == len(told["rows"])
    assert told["pause_ms"] > 0
    assert told["predicted_pause_ms"] > 0
    assert "none was lost and none was done twice" in moved.explain()


def test_there_are_as_many_names_as_ways() -> None:
    assert tuple(ALGORITHMS) == ALGORITHM_NAMES


def test_the_pause_is_the_longest_gap_while_the_server_stood() -> None:
    answered = np.array([0.0, 0.1, 0.5, 0.6, 2.0])
    events = [("source", "quiesced", 0.2), ("target", "serving", 0.4)]
    result = HotMigration(
        setup=SMALL, algorithm="precopy", outcome="moved",
        payments=Payments(np.zeros(5, dtype=int), answered - 0.01, answered),
        events=pd.DataFrame(events, columns=["host", "what", "time_s"]),
        rounds=pd.DataFrame({
            "round": [0, 1], "pages": [1000, 256], "start_s": [0.0, 0.2], "end_s": [0.2, 0.3],
            "paused": [False, True],
        }),
        sent_bytes=0, left_pages=0, asked_pages=0, audit=None, restarts=0, reconnects=0,
    )  # fmt: skip
    assert result.pause_s == (0.1, 0.5)
    assert result.server_pause_ms == pytest.approx(200)
    assert result.to_frame()["answers"].tolist() == [2, 0]
    # 256 pages of 4,104 bytes at 20 MiB/s; there is no hand-over in these events
    assert math.isnan(result.predicted_pause_ms)
    assert result.payments.longest_gap() == (0.6, 2.0)


def test_bad_input_is_named() -> None:
    with pytest.raises(InvalidInputError, match="algorithm = 'fly': must be one of precopy, stop"):
        hot_migration(algorithm="fly")
    with pytest.raises(InvalidInputError, match="fault = 'lunch': must be one of connected"):
        hot_migration(fault=Fault("source", "lunch"))
    with pytest.raises(InvalidInputError, match="seconds = -1"):
        LiveSetup(seconds=-1)


def test_where_it_can_not_be_done_it_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apsw", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(PermissionError, match="apsw is missing"):
        hot_migration()


def open_memories() -> int:
    """Count this process's descriptors of machines' memories."""
    gc.collect()
    links = Path("/proc/self/fd").glob("*")  # nothing where there is no /proc
    return sum("virtlab-machine" in str(one.readlink()) for one in links if one.is_symlink())


def test_a_room_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    memories = open_memories()
    started: list[subprocess.Popen[bytes]] = []
    listen = Room._listen

    def remember(room: Room, host: str, process: Any) -> None:
        started.append(process.popen)
        listen(room, host, process)

    monkeypatch.setattr(Room, "_listen", remember)
    monkeypatch.setattr(topic, "_wait", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        hot_migration(SMALL)
    assert started
    assert all(one.poll() is not None for one in started)
    assert open_memories() <= memories


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs Linux's list of processes")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_when_the_course_is_killed_its_hosts_end_too(how: signal.Signals) -> None:
    program = (
        "from virtlab.migration.hot_migration import LiveSetup, hot_migration\n"
        "hot_migration(LiveSetup(seconds=0.3, archive_mib=1, accounts=20, link_mib_s=0.2))"
    )
    course = subprocess.Popen(
        [sys.executable, "-c", program], stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        assert eventually(lambda: len(members(course.pid)) >= 3)  # itself, source and target
        course.send_signal(how)
        course.wait(30)
        assert eventually(lambda: not members(course.pid))
    finally:
        with suppress(ProcessLookupError):
            os.killpg(course.pid, signal.SIGKILL)
        course.wait()


def members(group: int) -> list[int]:
    """Return the processes of a group that have not ended."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, _parent, its_group = stat.read_text().rpartition(") ")[2].split()[:3]
            if int(its_group) == group and state != "Z":
                found.append(int(stat.parent.name))
    return found


def eventually(true: Callable[[], bool]) -> bool:
    """Wait until something is true, at most half a minute."""
    end = time.monotonic() + 30
    while not true():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True
