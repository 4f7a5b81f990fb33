"""The published tables, within what the course promises."""

from __future__ import annotations

import numpy as np
import pytest

from virtlab.migration.published import CLARK, HINES, replay, replay_hines
from virtlab.validate import InvalidInputError

SEEDS = (0, 1, 2)
TWENTY = range(20)


@pytest.mark.parametrize("seed", TWENTY)
def test_specweb(seed: int) -> None:
    said = replay("specweb", seed).summary()
    assert said["downtime_ms"] == pytest.approx(210, rel=0.25)
    assert said["total_s"] == pytest.approx(71, rel=0.05)
    assert float(said["sent_mb"]) / 800 == pytest.approx(1.20, rel=0.05)
    assert 6 <= int(said["rounds"]) <= 12  # 6 to 10 of most: chance ends it; see below


def test_specweb_as_the_course_shows_it_takes_the_published_rounds() -> None:
    said = replay("specweb").summary()
    assert said["rounds"] == said["published_rounds"] == 8


def test_specweb_stops_when_chance_has_a_round_send_more_than_the_last() -> None:
    rounds = [int(replay("specweb", seed).summary()["rounds"]) for seed in TWENTY]
    assert sum(6 <= count <= 10 for count in rounds) >= 15
    assert 8 <= np.median(rounds) <= 9.5
    for seed in TWENTY:
        *_, before, last, _paused = replay("specweb", seed).rounds_mb
        assert last > before


def test_specweb_leaves_out_as_much_as_the_published_run_did() -> None:
    """Which one constant was chosen on: how often a page is written at most."""
    parts: list[float] = []
    off: list[float] = []
    for seed in TWENTY:
        rounds = replay("specweb", seed).run.rounds
        dirty, sent = (rounds[name].to_numpy() for name in ("dirty_pages", "full_pages"))
        parts.append(float(np.mean(sent[4:8] / dirty[3:7])))
        curve = 33e6 / 4096 * rounds["seconds"].to_numpy() ** 0.41
        off.extend(np.log(dirty[5:8] / curve[5:8]).tolist())
    assert 0.59 < np.mean(parts) < 0.66  # published 0.627, 0.645, 0.643, 0.651
    assert 0.08 < np.std(off) < 0.13  # published 0.10


def test_specweb_round_by_round() -> None:
    frame = replay("specweb").to_frame().dropna()
    ratio = frame["ours_mb"] / frame["published_mb"]
    assert np.exp(np.median(np.abs(np.log(ratio.to_numpy())))) < 1.25
    assert ratio.iloc[0] == pytest.approx(1, abs=0.02)  # what is left out of the first pass


@pytest.mark.parametrize("seed", SEEDS)
def test_quake(seed: int) -> None:
    said = replay("quake", seed).summary()
    assert said["downtime_ms"] == pytest.approx(60, abs=20)
    assert said["total_s"] == pytest.approx(7, rel=0.15)
    assert said["sent_mb"] == pytest.approx(88, rel=0.15)
    assert int(said["rounds"]) == pytest.approx(10, abs=2)


def test_mmuncher() -> None:
    said = replay("mmuncher").summary()
    assert int(said["rounds"]) + 1 <= 4
    assert 3000 <= float(said["downtime_ms"]) <= 4000
    assert said["sent_mb"] == pytest.approx(638, rel=0.05)
    assert said["total_s"] == pytest.approx(28, rel=0.05)


@pytest.mark.parametrize("name", CLARK)
def test_a_replay_says_both(name: str) -> None:
    both = replay(name)
    frame = both.to_frame()
    assert frame["published_mb"].sum() == pytest.approx(CLARK[name].sent_mb, rel=0.02)
    assert frame["round"].iloc[-1] == "paused"
    assert frame["ours_mb"].iloc[-1] == both.rounds_mb[-1]
    assert CLARK[name].title in both.explain()
    assert both.run.wrong_pages == 0


def test_hines_order_of_pages_and_times() -> None:
    frame = replay_hines().to_frame()
    post, pre = (frame[frame["algorithm"] == name] for name in ("post-copy", "pre-copy"))
    assert (post["pages"].to_numpy() < pre["pages"].to_numpy()).all()
    assert (post["total_s"].to_numpy() < pre["total_s"].to_numpy()).all()
    assert post["pages"].tolist() == [row.pages[0] for row in HINES]  # each page exactly once
    wanted = [row.pages[1] for row in HINES]
    assert pre["pages"].tolist() == pytest.approx(wanted, rel=0.05)


def test_hines_total_times_but_for_one() -> None:
    frame = replay_hines().to_frame()
    off = (frame["total_s"] / frame["published_total_s"] - 1).abs()
    assert off.median() < 0.15
    worst = frame.iloc[int(off.to_numpy().argmax())]
    assert (worst["workload"], worst["algorithm"]) == ("kernel compile", "pre-copy")
    assert "kernel compile" in replay_hines().explain()


def test_unknown_runs_are_named() -> None:
    with pytest.raises(InvalidInputError, match="name = 'doom'"):
        replay("doom")
