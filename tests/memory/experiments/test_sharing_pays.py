"""The same VMs with and without sharing: nothing else may differ, and what does must add up."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from virtlab.memory.experiments import sharing_pays
from virtlab.plots import style
from virtlab.plots.sharing_pays import draw_sharing_pays

if TYPE_CHECKING:
    from virtlab.memory.experiments.sharing_pays import SharingPays


@pytest.fixture(scope="module")
def found() -> SharingPays:
    return sharing_pays.sharing_pays()


def test_nothing_but_sharing_differs() -> None:
    on, off = (sharing_pays.scenario(sharing=one) for one in (True, False))
    assert replace(on.host, sharing=False) == off.host
    assert (on.vms, on.seconds, on.seed) == (off.vms, off.seconds, off.seed)


def test_what_is_saved_need_not_be_taken(found: SharingPays) -> None:
    told = found.summary()
    spared = float(told["taken_off_mib"]) - float(told["taken_on_mib"])
    assert float(told["saved_mib"]) > 40
    assert spared == pytest.approx(float(told["saved_mib"]), abs=40)


def test_without_sharing_nothing_is_saved(found: SharingPays) -> None:
    assert found.off.of_host["saved_mib"].max() == 0
    assert found.off.of_vm["shared_mib"].max() == 0


def test_fewer_pages_come_from_disk_and_no_work_is_lost(found: SharingPays) -> None:
    told = found.summary()
    assert float(told["from_disk_on_s"]) < 0.7 * float(told["from_disk_off_s"])
    assert float(told["gain_percent"]) > -1


def test_rows_and_sentences(found: SharingPays) -> None:
    assert found.to_frame()["sharing"].tolist() == ["off", "on"]
    assert "Without sharing" in found.explain()


@pytest.mark.parametrize("width", [960, 380])
def test_the_figure_has_words_and_numbers(found: SharingPays, width: int) -> None:
    plate = draw_sharing_pays(found, style.plate(width))
    plate.png(scale=1)
    assert f"{found.summary()['saved_mib']:.0f} MiB are saved" in plate.alt
