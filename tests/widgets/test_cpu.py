"""Widgets of shared processors: what is moved becomes an event at the moment shown."""

from __future__ import annotations

import html
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from virtlab.resources.cpu import Add, Change, Lottery, Policy, Remove, RoundRobin, Session
from virtlab.validate import InvalidInputError
from virtlab.widgets.cpu import cores, live, together
from virtlab.widgets.cpu_live import WORK, LivePlayer


def turns(player: LivePlayer) -> Any:
    return np.frombuffer(player.view.turns, "<i4").reshape(-1, 4)


def test_it_opens_with_three_vms_and_all_that_is_said_is_there() -> None:
    player = live()
    assert player.moment.entitled == pytest.approx({f"VM{i}": 100 / 3 for i in (1, 2, 3)})
    assert "Nothing has been changed yet" in player.answer.sentence
    assert [row["on"] for row in player.view.rows] == [True, True, True, False]
    assert player.view.alt.startswith(
        "At 2.0 s each VM is within 0.7 quanta of its part. VM1: 1000"
    )
    assert "received %" in player.answer.table
    assert set(turns(player)[:, 0]) == {0, 1, 2}


def test_what_is_moved_becomes_an_event_at_the_moment_shown() -> None:
    player = live().set(time=40, vm="VM2", shares=2000).set(time=65).press("Add VM4")
    player.set(vm="VM1", time=90).press("Remove VM1")
    kinds = [(type(event), event.at_s, event.name) for event in player.session.events]
    assert kinds == [(Change, 4.0, "VM2"), (Add, 6.5, "VM4"), (Remove, 9.0, "VM1")]
    assert [words for _, words in player.view.events] == [
        "VM2: 2000", "+ VM4", "\N{MINUS SIGN} VM1",
    ]  # fmt: skip
    rows = turns(player)
    assert 6_500_000 <= rows[rows[:, 0] == 3, 2].min() < 6_700_000
    assert rows[rows[:, 0] == 0, 3].max() <= 9_000_000
    assert "Nothing is wasted" in player.answer.sentence


@pytest.mark.parametrize(
    "change",
    [
        {"cpus": 2},
        {"shares": 3000},
        {"minimum": 60},
        {"maximum": 20},
        {"policy": RoundRobin, "shares": 3000},
        {"quantum": 50.0},
        *({"work": work} for work in list(WORK.values())[1:]),
    ],
    ids=str,
)
def test_each_control_makes_another_run(change: dict[str, Any]) -> None:
    player = live()
    before, version = turns(player).tolist(), player.view.version
    assert turns(player.set(**change)).tolist() != before
    assert player.view.version > version


def test_the_seed_counts_where_there_is_chance() -> None:
    player = live("lottery")
    before = turns(player).tolist()
    assert turns(player.set(seed=9)).tolist() != before


def test_controls_follow_time_and_the_vm_that_is_chosen() -> None:
    player = live().set(time=40, vm="VM2", shares=2000, minimum=10).set(time=30)
    assert player.controls["shares"].value == 1000
    assert player.set(time=50).controls["shares"].value == 2000
    assert player.controls["minimum"].value == 10
    assert player.set(vm="VM3").controls["shares"].value == 1000
    assert len(player.session.events) == 1  # looking is no change


def test_what_is_refused_is_said_and_the_slider_goes_back() -> None:
    player = live().set(vm="VM1", minimum=70).set(vm="VM2", minimum=50)
    assert player.controls["minimum"].value == 0
    assert "Refused: a minimum of 50 % for VM2 does not fit" in player.answer.sentence
    player.set(vm="VM4", minimum=60).press("Add VM4")
    assert "30 are lacking" in player.answer.sentence
    assert len(player.moment.running) == 3
    player.set(cpus=2).press("Add VM4").set(cpus=1)
    assert player.controls["cpus"].value == 2
    assert "cannot keep all minimums" in player.answer.sentence


def test_buttons_say_what_they_do() -> None:
    player = live()
    power = player.controls["power"]
    assert power.labels == ["Add VM4", "Remove VM2", "Forget all"]
    assert power.enabled == [True, True, False]
    player.press("Add VM4")
    assert power.labels[:2] == ["Add a VM", "Remove VM4"]
    assert power.enabled == [False, True, True]
    player.press("Forget all")
    assert player.session.events == ()
    assert power.labels[1] == "Remove VM4"
    assert power.enabled == [True, False, False]


def test_one_may_point_at_a_row_or_a_moment() -> None:
    player = live()
    player.view.asked = {"row": 2, "time": 1}
    assert player.chosen == "VM3"
    player.view.asked = {"at_s": 7.31, "time": 2}
    assert player.session.at_s == 7.3
    assert player.controls["time"].value == 73


def test_words_follow_now_and_then_while_it_plays() -> None:
    player = live().set(time=40, shares=2000).set(time=30)
    player.controls["time"].playing = True
    said = []
    for frame in range(31, 46):
        player.controls["time"].value = frame
        said.append(player.answer.version)
    spoken = [frame for frame, (a, b) in enumerate(pairwise(said), 32) if a != b]
    assert spoken == [35, 40, 45]
    assert player.session.at_s == 4.5


def test_speed_and_window_change_the_view_alone() -> None:
    player = live()
    before = player.session.run
    player.set(speed=1000, window=6.0)
    assert player.controls["time"].interval_ms == 1000
    assert player.view.window_s == 6
    assert player.session.run is before


def test_a_policy_of_ones_own_is_on_the_list() -> None:
    class Last(Policy):
        def choose(self, waiting: Any) -> Any:
            return waiting[-1]

    player = live(Last)
    assert player.controls["policy"].label == "Last"
    assert set(turns(player)[:, 0]) == {2}  # who has just run came last: the others never run
    assert player.set(policy=Lottery).session.host.policy is Lottery
    with pytest.raises(InvalidInputError, match="policy"):
        live("fifo")
    with pytest.raises(InvalidInputError, match="control = 'shares9'"):
        player.set(shares9=1)


def test_without_a_kernel_there_are_picture_sentence_and_table() -> None:
    player = live().set(time=40, shares=2000)
    data, metadata = player._repr_mimebundle_()
    assert "VM2's shares 1000 become 2000" in html.unescape(data["text/html"])
    assert "<table" in data["text/html"]
    assert data["image/png"]
    assert metadata["image/png"]["alt"].startswith("Processor time of 3 VMs")
    assert "VM2: 2000 shares" in repr(player)
    assert "VM2: 2000 shares" in repr(player.view)


def test_what_the_view_is_told_is_what_the_session_has() -> None:
    player = live().set(time=40, shares=2000).set(time=80).press("Remove VM2")
    session: Session = player.session
    due = np.frombuffer(player.view.due, "<f4").reshape(-1, 4)
    assert due[-1] == pytest.approx(
        [session.run.entitled_s(k, np.array([20.0]))[0] for k in range(3)] + [0], abs=1e-3
    )
    rows = turns(player)
    for slot in range(3):
        ran = (rows[rows[:, 0] == slot, 3] - rows[rows[:, 0] == slot, 2]).sum() / 1e6
        assert ran == pytest.approx(session.run.run_s[slot])


def test_together_opens_on_the_waste_and_each_control_counts() -> None:
    app = together()
    assert app.result.summary()["strict_utilization_percent"] == 75
    assert "leaves 25" in app.picture.figure.texts[0].get_text().replace("\n", " ")
    seen = [app.answer.table]
    for change in (
        {"cpus": 6}, {"busy1": 3}, {"vcpus1": 2}, {"vcpus2": 3}, {"vcpus3": 2}, {"threshold": 3},
    ):  # fmt: skip
        app.set(**change)
        seen.append(app.answer.table)
    assert len(set(seen)) == len(seen)


def test_no_setting_of_together_is_refused() -> None:
    app = together()
    for which in ("max", "min"):
        for name in ("cpus", "vcpus1", "busy1", "vcpus2", "vcpus3", "threshold"):
            app.set(**{name: getattr(app.controls[name], which)})
            assert app.result.strict.utilization_percent > 0


def test_the_core_map_shows_the_talks_warning() -> None:
    app = cores().set(kind3="off")
    assert app.result.work_s.tolist() == pytest.approx([2, 2])
    app.set(bound1=(0, 0), bound2=(0, 1))
    assert app.result.work_s.tolist() == pytest.approx([1.24, 1.24])
    assert "Core 0: CPU 0 runs VM1 at speed 0.62, CPU 1 runs VM2" in app.picture.alt
    assert app.set(bound2=(1, 0)).result.work_s.tolist() == pytest.approx([2, 2])


@pytest.mark.parametrize(
    "change",
    [
        {"cores": 3},
        {"threads": 1},
        {"kind1": "cache"},
        {"kind3": "self-modifying"},
        {"sharing2": "none"},
        {"bound3": (1, 1)},
        {"kind3": "self-modifying", "quarantine": True},
    ],
    ids=str,
)
def test_each_control_of_the_core_map_counts(change: dict[str, Any]) -> None:
    app = cores()
    before = app.answer.table
    assert app.set(**change).answer.table != before


def test_time_moves_over_one_run_of_the_core_map() -> None:
    app = cores()
    run, alt = app.result, app.picture.alt
    app.set(time=30)
    assert app.result is run
    assert app.picture.alt != alt
    assert app.picture.alt.startswith("Core map at 0.6 s.")


def test_whoever_is_bound_to_a_half_that_is_not_there_has_the_core() -> None:
    app = cores().set(bound1=(0, 1), bound2=(1, 1), kind3="off", threads=1)
    assert app.result.work_s.tolist() == pytest.approx([2, 2])
