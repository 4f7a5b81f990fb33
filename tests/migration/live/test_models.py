"""The pause predicted, the rehearsal, the film of a run, and the stored runs."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from virtlab.migration.hot_migration import ALGORITHM_NAMES, hot_migration
from virtlab.migration.live import stored as archive
from virtlab.migration.live.algorithms import ALGORITHMS, Steps, named
from virtlab.migration.live.predict import (
    Traffic,
    against_measured,
    dirty_pages,
    predict_pause,
)
from virtlab.migration.live.rehearsal import rehearse
from virtlab.migration.live.replay import moment
from virtlab.migration.live.setup import LiveSetup
from virtlab.validate import InvalidInputError

traffics = st.builds(
    Traffic,
    memory_mib=st.floats(0.5, 60),
    payments_s=st.floats(0, 20_000),
    accounts=st.integers(2, 50_000),
    link_mib_s=st.floats(2, 500),
    downtime_limit_ms=st.floats(0, 200),
    most_rounds=st.integers(1, 15),
)


@settings(max_examples=60, deadline=None)
@given(traffics, st.sampled_from(ALGORITHM_NAMES), st.integers(0, 5))
def test_every_way_brings_every_page(traffic: Traffic, name: str, seed: int) -> None:
    gone = rehearse(named(name), traffic, seed)
    assert gone.lost_pages == 0
    assert gone.pause_ms >= traffic.hand_over_ms - 1e-6
    assert len(gone.rounds) <= traffic.most_rounds + 1
    sent = sum(pages for pages, _ in gone.rounds) + gone.left_pages
    assert sent == gone.summary()["sent_pages"]
    assert sent >= round(traffic.memory_mib * 256)


class RunsOn:
    """The talk's steps as told: the source is not quiesced."""

    name = "told"

    def run(self, move: Steps) -> None:
        move.send(move.all_pages())
        move.hand_over(left=move.dirty())


def test_the_talks_steps_as_told_lose_writes() -> None:
    told = rehearse(RunsOn(), Traffic(accounts=60_000))
    assert told.lost_pages > 0
    assert "lost" in told.explain()
    assert rehearse(ALGORITHMS["deck"](), Traffic(accounts=60_000)).lost_pages == 0


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 3000), st.integers(10, 2000))
def test_dirty_pages_is_the_mean_of_throws(payments: int, pages: int) -> None:
    accounts = 9 * pages
    rng = np.random.default_rng(1)
    thrown = [np.unique(rng.integers(0, pages, 2 * payments)).size for _ in range(30)]
    ends = 9 + payments / 55 if payments else 0
    # thirty throws: within four standard errors of the mean, or a page
    spread = 4 * float(np.std(thrown)) / math.sqrt(30) + 1
    assert dirty_pages(payments, accounts) - ends == pytest.approx(np.mean(thrown), abs=spread)


def test_the_prediction_is_the_rehearsals_mean() -> None:
    traffic = Traffic(payments_s=3000, most_rounds=3, downtime_limit_ms=0)
    runs = [rehearse(named("precopy"), traffic, seed).rounds for seed in range(20)]
    second = float(np.mean([rounds[1][0] for rounds in runs]))
    # the rehearsal has no journal and no table that grows
    ends = 9 + 3000 * traffic.seconds(runs[0][0][0]) / 55
    assert predict_pause(traffic).rounds[1] - ends == pytest.approx(second, rel=0.02)


def test_more_bandwidth_is_never_a_longer_pause() -> None:
    for name in ("precopy", "stop", "deck"):
        pauses = [predict_pause(Traffic(link_mib_s=link), name).pause_ms for link in (8, 64, 512)]
        assert pauses == sorted(pauses, reverse=True)
    assert predict_pause(Traffic(), "deck").pause_ms == Traffic().hand_over_ms


def test_where_rounds_do_not_help_it_says_so() -> None:
    stuck = predict_pause(Traffic(payments_s=20_000, accounts=100_000, link_mib_s=16))
    assert "Rounds do not help" in stuck.explain()
    assert "Rounds do not help" not in predict_pause(Traffic(payments_s=10)).explain()
    with pytest.raises(InvalidInputError, match="algorithm = 'postcopy'"):
        predict_pause(Traffic(), "postcopy")


@pytest.mark.parametrize("name", ["precopy", "deck"])
def test_the_pages_of_measured_rounds_are_predicted(name: str) -> None:
    table = against_measured(archive.stored(name))
    assert len(table) >= 1
    # the first is a whole round of hundreds of payments; later ones are short
    error = (table["predicted"] / table["pages"] - 1).abs()
    assert error.iloc[0] < 0.1
    assert (table["predicted"] - table["pages"]).abs().max() < 40


@pytest.mark.parametrize("name", ALGORITHM_NAMES)
def test_stored_runs_are_whole(name: str) -> None:
    run = archive.stored(name)
    assert (run.algorithm, run.outcome, run.reconnects) == (name, "moved", 0)
    assert run.audit is not None
    assert run.audit.clean
    assert run.transactions == run.audit.answered > 1000
    listed = archive.repeats()
    same = listed[(listed["algorithm"] == name)]["pause_ms"]
    assert len(same) == 7
    start, end = run.pause_s
    assert 1000 * (end - start) == pytest.approx(float(same.median()), abs=0.01)


def test_every_measured_run_kept_the_books() -> None:
    listed = archive.repeats()
    assert listed[["lost", "doubled", "wrong_balances", "reconnects"]].to_numpy().sum() == 0
    assert set(listed["integrity"]) == {"ok"}
    stop = listed[listed["algorithm"] == "stop"]
    error = (stop["predicted_pause_ms"] / stop["pause_ms"] - 1).abs()
    assert float(error.median()) < 0.03  # bandwidth rules where everything is sent in the pause


def test_a_run_is_stored_and_read_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path_factory.mktemp("runs") / "one.npz"
    small = LiveSetup(clients=2, seconds=0.4, archive_mib=1, accounts=90, link_mib_s=0)
    run = hot_migration(small, "precopy", seed=5)
    archive.write(path, {"precopy": run}, [run.summary()])
    monkeypatch.setattr(archive, "data_path", lambda _: path)
    read = archive.stored.__wrapped__("precopy")
    assert read.setup == small
    assert read.audit == run.audit
    assert read.sent_bytes == run.sent_bytes
    assert np.allclose(read.payments.answered_s, run.payments.answered_s, atol=2e-6)
    assert read.to_frame()["pages"].tolist() == run.to_frame()["pages"].tolist()
    assert read.begin_s == pytest.approx(run.begin_s, abs=1e-5)


@pytest.mark.parametrize("name", ALGORITHM_NAMES)
def test_the_film_goes_through_its_stages_in_order(name: str) -> None:
    run = archive.stored(name)
    stages = [moment(run, at).stage for at in np.arange(-0.05, 0.8, 0.001)]
    order = list(dict.fromkeys(stages))
    wanted = ["before", "rounds", "pause", "fetching", "after"]
    assert order == [stage for stage in wanted if stage in order]
    assert {"before", "pause", "after"} <= set(order)
    last = moment(run, 3.0)
    assert last.summary()["sent_pages"] == run.rounds["pages"].sum()
    steps = last.to_frame()
    assert steps["at_ms"].is_monotonic_increasing
    assert len(steps) >= 9
    assert len(moment(run, -0.5).to_frame()) < len(steps)
    answered = [int(moment(run, at).summary()["answered"]) for at in (0, 0.2, 0.4, 0.8)]
    assert answered == sorted(answered)


def test_in_the_pause_clients_wait() -> None:
    run = archive.stored("stop")
    told = moment(run, 0.3)
    assert told.stage == "pause"
    assert told.summary()["waiting"] == run.setup.clients
    assert "stands still" in told.explain()
