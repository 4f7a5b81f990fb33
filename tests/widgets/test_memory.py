"""Widgets of a host's memory: each control changes picture and words, and nothing breaks them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from virtlab.memory.host.simulation import run
from virtlab.memory.tax import targets
from virtlab.widgets import memory

if TYPE_CHECKING:
    from collections.abc import Callable

    from virtlab.widgets.app import App

APPS: dict[str, Callable[[], App[Any]]] = {
    "admission": memory.admission,
    "tax": memory.tax,
    "sampler": memory.sampler,
}


@pytest.fixture(scope="module")
def host() -> memory.HostPlayer:
    return memory.reallocation().set(time=50)


def _told(app: App[Any]) -> tuple[bytes, str, str]:
    return app.picture.png, app.picture.alt, app.answer.sentence + app.answer.table


@pytest.mark.parametrize("name", APPS)
def test_each_control_changes_the_picture_and_the_words(name: str) -> None:
    for which in APPS[name]().controls:
        app = APPS[name]()
        if name == "admission":
            app.set(minimum=50)
        control, before, version = app.controls[which], _told(app), app.picture.version
        ends = (control.min, control.max) if hasattr(control, "max") else (control.value + 1,)
        told = [_told(app.set(**{which: end})) for end in ends]
        assert app.picture.version == version + len(ends)
        assert any(words != before[-1] for *_, words in told), which
        if which != "swap":  # it is no memory: it stands in the words
            assert any(png != before[0] for png, *_ in told), which


@pytest.mark.parametrize("name", APPS)
def test_no_setting_is_out_of_range(name: str) -> None:
    app = APPS[name]()
    ends = {n: (c.min, c.max) for n, c in app.controls.items() if hasattr(c, "min")}
    for first in (0, 1):
        app.set(**{n: end[first] for n, end in ends.items()})
        for which, end in ends.items():
            app.set(**{which: end[1 - first]})
            app.set(**{which: end[first]})


def test_admission_opens_on_the_slides_host() -> None:
    app = memory.admission()
    told = app.result.summary()
    assert (told["talk_mib"], told["guide_mib"]) == (2036.2, 2047.7)
    assert "both fit" in app.answer.sentence
    app.set(vms=4)
    assert "VM4 doesn't: it lacks 472 MB of memory" in app.answer.sentence
    assert app.set(minimum=50).result.admitted.all()


def test_the_bottles_are_the_formula() -> None:
    app = memory.tax().set(active1=100, shares2=2000, minimum1=40, tax_rate=0.5)
    expected = targets(344.5, [1000, 2000], [100, 200.4], [40, 0], 256, tax_rate=0.5)
    np.testing.assert_array_equal(app.result.target, expected.target)


# --- the live host -------------------------------------------------------------------------------


def _anew(host: memory.HostPlayer, time: int) -> None:
    host.set(seed=2).set(seed=1, time=time)


@pytest.mark.parametrize(
    "change",
    [
        {"shares4": 5120},
        {"maximum4": 64},
        {"minimum1": 96},
        {"minimum2": 0},
        {"tax_rate": 0.0},
        {"controller": "pressure"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_the_host_answers_at_the_moment_shown(
    host: memory.HostPlayer, change: dict[str, float]
) -> None:
    _anew(host, 46)
    before, second = _told(host), host.result.second
    host.set(**change)
    assert host.result.second == second
    assert all(old != new for old, new in zip(before, _told(host), strict=True))
    (name,) = change
    host.set(time=45)
    assert host.controls[name].value != change[name]  # it did not hold then
    host.set(time=47)
    assert host.controls[name].value == change[name]
    straight = run(host.session.scenario)
    seen = host.session.run()
    for what, values in seen.of_vm.items():
        np.testing.assert_array_equal(values, straight.of_vm[what][: seen.seconds], err_msg=what)


def test_the_four_slides_come_in_order(host: memory.HostPlayer) -> None:
    _anew(host, 45)
    host.set(seed=3)
    assert host.controls["time"].value == 0
    _anew(host, 39)
    assert len(host.result.to_frame()) == 3
    assert host.result.summary()["ballooned_mib"] == 0
    taken = []
    for time in (41, 45, 60):
        host.set(time=time)
        taken.append(float(host.result.summary()["ballooned_mib"]))
    assert taken[0] < min(taken[1:])
    assert "At the minimum: VM2." in host.answer.sentence
    host.set(time=159)
    assert host.result.summary()["ballooned_mib"] == 0


def test_what_can_not_be_promised_springs_back(host: memory.HostPlayer) -> None:
    _anew(host, 50)
    host.set(minimum1=128).set(minimum2=128)
    assert "VM2's minimum can't be 128 MiB" in host.answer.sentence
    assert host.controls["minimum2"].value == 80
    host.set(time=51)
    assert "can't" not in host.answer.sentence


def test_a_fourth_vm_is_refused_if_minimums_leave_no_room(host: memory.HostPlayer) -> None:
    _anew(host, 10)
    host.set(minimum1=128).set(minimum2=128).set(time=41)
    assert host.session.run().log[-1] == (200, "VM4 is refused: 13.75 MiB of memory are lacking")
    assert len(host.set(time=159).result.to_frame()) == 3


def test_keys_step_and_play_and_reset(host: memory.HostPlayer) -> None:
    player = host.controls["time"]
    host.set(time=20)
    player.step()
    assert host.result.second == 21 * memory.STEP_S
    player.step(-1)
    assert host.result.second == 20 * memory.STEP_S
    player.reset()
    assert host.result.second == 0


def test_in_a_kernel_the_time_to_come_is_computed_ahead() -> None:
    async def look() -> int:
        host = memory.reallocation()
        for _ in range(200):
            await asyncio.sleep(0.05)
            if host.session.known_s >= 60:
                break
        known = host.session.known_s
        if host.pending is not None:
            host.pending.cancel()
        return known

    assert asyncio.run(look()) >= 60


def test_where_no_kernel_runs_there_is_a_picture_and_words(host: memory.HostPlayer) -> None:
    data, metadata = host._repr_mimebundle_()
    assert host.result.explain() in repr(host)
    assert "<img" in data["text/html"]
    assert "<table" in data["text/html"]
    assert "Stacked bars" in metadata["image/png"]["alt"]


@pytest.mark.parametrize("tax_rate", [0.0, 0.5, 0.75])
@pytest.mark.parametrize("part", [0.6, 1.0, 1.1])
def test_a_level_that_is_dragged_is_found_again(tax_rate: float, part: float) -> None:
    app = memory.tax().set(tax_rate=tax_rate, available=300)
    level = next(grip["value"] for grip in app.picture.grips if grip["name"] == "level")
    app.picture.gripped = {"name": "level", "value": part * level, "time": 1}
    again = next(grip["value"] for grip in app.picture.grips if grip["name"] == "level")
    assert again == pytest.approx(part * level, rel=0.01)


def test_the_neck_sets_the_tax_rate() -> None:
    app = memory.tax()
    app.picture.gripped = {"name": "tax_rate", "value": 0.52, "time": 1}
    assert app.values["tax_rate"] == 0.5
