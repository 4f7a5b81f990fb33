"""Widgets of shares: a control that moves changes picture, sentence and numbers."""

from __future__ import annotations

import numpy as np
import pytest

from virtlab.plots.shares import draw_vessels
from virtlab.resources import allocate
from virtlab.resources.disk_policies import Fifo, Units
from virtlab.widgets.shares import disk_app, shares_app


def test_it_opens_on_the_talks_case() -> None:
    app = shares_app()
    assert app.result.allocation.tolist() == [40, 80, 40]
    assert "VM1 gets 40, VM2 80, VM3 40 MB/s" in app.answer.sentence
    assert app.picture.alt.startswith("Bar chart of 160 MB/s")


def test_each_control_reaches_the_model() -> None:
    app = shares_app()
    app.set(capacity=200, shares1=500, minimum3=50, maximum2=60)
    expected = allocate(200, [500, 2000, 1000], [0, 0, 50], [320, 60, 320])
    assert app.result.allocation.tolist() == expected.allocation.tolist()


@pytest.mark.parametrize("vm", [1, 2, 3])
def test_an_idle_vm_gets_nothing_whatever_its_minimum(vm: int) -> None:
    app = shares_app().set(idle=vm, **{f"minimum{vm}": 50})
    assert app.result.allocation[vm - 1] == 0
    assert app.result.allocation.sum() == pytest.approx(160)


def test_no_setting_is_infeasible() -> None:
    app = shares_app()
    ends = {name: (c.min, c.max) for name, c in app.controls.items() if hasattr(c, "min")}
    for which in (0, 1):
        app.set(**{name: end[which] for name, end in ends.items()})
        app.set(capacity=ends["capacity"][0])
    assert sum(ends[f"minimum{i}"][1] for i in (1, 2, 3)) <= ends["capacity"][0]
    assert all(ends[f"minimum{i}"][1] <= ends[f"maximum{i}"][0] for i in (1, 2, 3))


def test_the_picture_can_be_vessels() -> None:
    app = shares_app()
    before = app.picture.png
    app.set(view=draw_vessels)
    assert app.picture.alt.startswith("Vessels as wide as the shares")
    assert app.picture.png != before
    assert app.set(shares2=1000).picture.alt.startswith("Vessels")


def test_the_queue_opens_on_the_talks_case() -> None:
    rows = disk_app().result.to_frame()
    later = rows[rows["from_s"] == 2]["mb_per_s"].to_numpy()
    assert np.round(later).tolist() == [40, 80, 40]


def test_time_moves_over_one_run() -> None:
    app = disk_app()
    run, alt = app.result, app.picture.alt
    app.set(time=45)
    assert app.result is run
    assert app.picture.alt != alt
    assert "Served from 4.5 s on: " in app.picture.alt


def test_each_setting_of_the_queue_changes_the_split() -> None:
    app = disk_app()
    seen = [app.result.mb_per_s.round(1).tolist()]
    for settings in (
        {"policy": Fifo},
        {"outstanding1": 16},
        {"size1": 1024.0},
    ):
        app.set(**settings)
        seen.append(app.result.mb_per_s.round(1).tolist())
    assert len({str(rates) for rates in seen}) == len(seen)


def test_bytes_or_units() -> None:
    app = disk_app().set(size1=64.0)
    by_units = app.result.mb_per_s[0]
    by_bytes = app.set(units=Units(per_command=0.0)).result.mb_per_s[0]
    assert by_bytes > 1.2 * by_units


def test_a_knob_moves_its_slider_by_whole_steps() -> None:
    app = shares_app()
    app.picture.gripped = {"name": "minimum3", "value": 22.4, "time": 1}
    assert app.values["minimum3"] == 20
    app.picture.gripped = {"name": "minimum3", "value": -900.0, "time": 2}
    assert app.values["minimum3"] == 0
    app.picture.gripped = {"name": "maximum3", "value": 9e9, "time": 3}
    assert app.values["maximum3"] == 320


@pytest.mark.parametrize("amount", [20.0, 53.0, 100.0])
def test_a_bar_that_is_pulled_finds_the_shares_that_it_takes(amount: float) -> None:
    app = shares_app()
    app.picture.gripped = {"name": "amount2", "value": amount, "time": 1}
    found = app.values["shares2"]
    assert found == pytest.approx(2000 * amount / (160 - amount), abs=50), "by hand"
    assert app.result.allocation[1] == pytest.approx(amount, abs=2)


def test_a_bar_cannot_be_pulled_beyond_what_shares_can_do() -> None:
    app = shares_app().set(maximum2=60)
    app.picture.gripped = {"name": "amount2", "value": 150.0, "time": 1}
    assert app.result.allocation[1] == 60


def test_a_moment_is_dragged_to_the_nearest_frame() -> None:
    app = disk_app()
    [grip] = app.picture.grips
    assert grip["value"] == pytest.approx(app.values["time"] * 0.1)
    app.picture.gripped = {"name": "time", "value": 3.27, "time": 1}
    assert app.values["time"] == 33
    app.picture.gripped = {"name": "time", "value": 99.0, "time": 2}
    assert app.values["time"] == app.controls["time"].max
