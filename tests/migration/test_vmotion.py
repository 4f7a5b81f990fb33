"""Moving a machine: whatever the algorithm, the workload and the link do, no byte is lost."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from virtlab.migration.algorithms import (
    Algorithm,
    Clark,
    Deck,
    Hybrid,
    PostCopy,
    QemuPreCopy,
    StopAndCopy,
)
from virtlab.migration.faults import Fault
from virtlab.migration.link import MIB, Link
from virtlab.migration.move import Move
from virtlab.migration.vm import Vm
from virtlab.migration.vmotion import migrate, run_of
from virtlab.migration.workloads import Curve, HotCold, RoundRobin, Trace, Uniform, Workload, Zipf
from virtlab.validate import InvalidInputError

ALGORITHMS: list[Algorithm] = [
    Deck(),
    StopAndCopy(),
    Clark(min_mbit_s=20, max_mbit_s=80),
    Clark(min_mbit_s=20, max_mbit_s=80, stop="xen"),
    Clark(min_mbit_s=20, max_mbit_s=80, peek=False),
    QemuPreCopy(),
    QemuPreCopy(auto_converge=True),
    PostCopy(),
    PostCopy(push="in order"),
    PostCopy(push="none", patience_s=0.5),
    Hybrid(),
    Hybrid(rounds=2, push="in order"),
]
SMALL = Vm(ram_mib=2, filled_mib=1.5, device_state_kib=16)
SLOW = Link(bandwidth_mib_s=8)


def name_of(algorithm: Algorithm) -> str:
    return repr(algorithm).replace(" ", "")


workloads: st.SearchStrategy[Workload] = st.one_of(
    st.builds(RoundRobin, st.integers(1, 512), st.floats(0, 3000), phase=st.floats(0, 1)),
    st.builds(Uniform, st.integers(1, 512), st.floats(0, 3000)),
    st.builds(HotCold, st.integers(60, 512), st.floats(0, 3000), hot_pages=st.integers(1, 60)),
    st.builds(Zipf, st.integers(1, 512), st.floats(0, 3000)),
    st.builds(Curve, st.floats(0, 300), st.floats(0.2, 0.8), st.integers(1, 512)),
    st.builds(
        lambda n: Trace.of(np.random.default_rng(n).random((9, 512)) < 0.1), st.integers(0, 9)
    ),
)
link_faults = st.lists(
    st.builds(
        Fault,
        st.just("link"),
        at_s=st.floats(0, 2),
        for_s=st.floats(0, 1),
        speed=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
        damaged=st.sampled_from([0.0, 0.05, 0.5]),
    ),
    max_size=3,
)
links = st.builds(
    Link,
    bandwidth_mib_s=st.floats(4, 100),
    cap_mib_s=st.one_of(st.none(), st.floats(3, 50)),
    latency_ms=st.floats(0, 3),
    quantum_ms=st.floats(5, 100),
)


@pytest.mark.parametrize("algorithm", ALGORITHMS, ids=name_of)
@settings(max_examples=25, deadline=None)
@given(workload=workloads, link=links, faults=link_faults, seed=st.integers(0, 99))
def test_the_target_is_the_last_image_of_the_source(
    algorithm: Algorithm, workload: Workload, link: Link, faults: list[Fault], seed: int
) -> None:
    move = Move(SMALL, workload, link, seed=seed, faults=faults, give_up_s=12)
    run = run_of(move, algorithm)
    assert run.wrong_pages == 0
    assert run.outcome in {"moved", "stayed"}
    if run.outcome == "moved":
        assert run.announcements == 1
        assert move.deleted
        assert move.target.version.tolist() == move.ideal.version.tolist()
        assert not move.lacking.any()
    else:  # only a pre-copy that does not converge is given up
        assert algorithm.name.startswith("pre-copy")
        assert run.announcements == 0
        assert not run.converged


@pytest.mark.parametrize("algorithm", ALGORITHMS, ids=name_of)
@settings(max_examples=10, deadline=None)
@given(workload=workloads, seed=st.integers(0, 99))
def test_bytes_on_the_wire_are_those_of_what_was_sent(
    algorithm: Algorithm, workload: Workload, seed: int
) -> None:
    run = migrate(SMALL, workload, SLOW, algorithm, seed=seed, give_up_s=12)
    full, zero = int(run.rounds["full_pages"].sum()), int(run.rounds["zero_pages"].sum())
    assert full + zero == run.page_copies
    rest = run.sent_mib * MIB - full * 4104 - zero * 9
    has_bitmap = isinstance(algorithm, (Deck, Hybrid))
    if run.outcome == "moved":
        assert rest == SMALL.device_state_bytes + has_bitmap * SMALL.bitmap_bytes
    assert run.rounds["sent_bytes"].sum() == pytest.approx(run.sent_mib * MIB)
    assert run.total_s >= run.sent_mib / SLOW.bandwidth_mib_s * 0.97  # the line is never faster


@pytest.mark.parametrize("algorithm", ALGORITHMS, ids=name_of)
def test_real_pages_move_like_their_stand_ins(algorithm: Algorithm) -> None:
    workload = HotCold(300, 2000, hot_pages=30)
    small = migrate(SMALL, workload, SLOW, algorithm, seed=3, give_up_s=9)
    real = migrate(SMALL, workload, SLOW, algorithm, seed=3, give_up_s=9, real_bytes=True)
    assert real.wrong_pages == 0
    assert real.summary() == small.summary()


def test_time_goes_on_and_the_guest_never_runs_ahead() -> None:
    for algorithm in ALGORITHMS:
        history = migrate(SMALL, Uniform(500, 900), SLOW, algorithm, give_up_s=9).history
        steps = np.diff(history[:, :3], axis=0)
        assert (steps >= -1e-12).all()
        assert (steps[:, 1] <= steps[:, 0] + 1e-9).all()


def test_the_same_seed_gives_the_same_run_and_another_does_not() -> None:
    runs = [migrate(SMALL, Uniform(500, 900), SLOW, Deck(), seed=seed) for seed in (1, 1, 2)]
    assert runs[0].history.tolist() == runs[1].history.tolist()
    assert runs[0].history.tolist() != runs[2].history.tolist()


def test_a_machine_that_writes_nothing_moves_once_over_the_wire() -> None:
    for algorithm in ALGORITHMS:
        run = migrate(SMALL, RoundRobin(1, 0), SLOW, algorithm)
        assert (run.page_copies, run.network_faults) == (512, 0)


def test_an_algorithm_of_your_own_takes_ten_lines() -> None:
    class OneRound:
        name = "one round"

        def run(self, move: Move) -> None:
            move.create_target()
            move.send(move.all_pages)
            move.pause()
            move.send(move.sync())
            move.send_state()
            move.resume()
            move.delete_source()
            move.announce()

    run = migrate(SMALL, Uniform(500, 900), SLOW, OneRound())
    assert (run.outcome, run.wrong_pages, run.announcements) == ("moved", 0, 1)


def test_an_algorithm_that_forgets_pages_is_found_out() -> None:
    class Hasty:
        name = "hasty"

        def run(self, move: Move) -> None:
            move.send(move.all_pages)
            move.pause()
            move.resume()

    run = migrate(SMALL, RoundRobin(512, 400), SLOW, Hasty())
    assert run.wrong_pages == int(run.history[-1, 3]) > 0
    assert "never sent" in run.explain()


@pytest.mark.parametrize(
    ("steps", "words"),
    [(["pause"], "one that resumes"), (["resume"], "a paused machine"), ([], "one that resumes")],
)
def test_an_algorithm_that_does_not_finish_is_told_so(steps: list[str], words: str) -> None:
    class Odd:
        name = "odd"

        def run(self, move: Move) -> None:
            for step in steps:
                getattr(move, step)()

    with pytest.raises(InvalidInputError, match=words):
        migrate(SMALL, RoundRobin(1, 0), SLOW, Odd())


def test_announcing_twice_is_an_error() -> None:
    move = Move(SMALL, RoundRobin(1, 0), SLOW)
    move.announce()
    with pytest.raises(InvalidInputError, match="announce"):
        move.announce()


def test_pages_beyond_memory_are_named() -> None:
    with pytest.raises(InvalidInputError, match="workload = 513"):
        migrate(SMALL, RoundRobin(513, 1), SLOW)


def test_bad_seed_and_time_are_named() -> None:
    with pytest.raises(InvalidInputError, match="seed"):
        migrate(SMALL, RoundRobin(1, 1), seed=-1)
    with pytest.raises(InvalidInputError, match="give_up_s"):
        migrate(SMALL, RoundRobin(1, 1), give_up_s=-1)


def test_a_run_says_what_happened_in_rows_numbers_and_words() -> None:
    run = migrate(SMALL, Uniform(400, 900), SLOW)
    assert run.to_json()["outcome"] == "moved"
    assert set(run.to_frame()["phase"]) == {"running", "paused", "fetching"}
    assert f"{run.downtime_ms:.0f} ms" in run.explain()
    assert f"{run.network_faults} times" in run.explain()
    assert [event.step for event in run.events] == [1, 2, 3, 3, 3, 4, 5, 6, 7]


def test_a_move_can_be_taken_by_hand() -> None:
    move = Move(SMALL, RoundRobin(512, 100), SLOW)
    rest = move.send(move.all_pages, seconds=0.05)
    assert move.now_s == pytest.approx(0.05, abs=0.005)
    assert 512 - rest.size == pytest.approx(0.05 * 8 * MIB / 4104, abs=2)
    assert move.join(np.array([3, 1]), np.array([1, 7])).tolist() == [1, 3, 7]
