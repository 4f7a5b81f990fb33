"""The stored runs of the home lab agree with themselves: bytes, pages, times, and the grid."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from virtlab.datasets import data_path
from virtlab.migration.lab.cells import grid
from virtlab.migration.lab.record import read


@pytest.fixture(scope="module")
def runs() -> pd.DataFrame:
    return pd.DataFrame([vars(each) for each in read(data_path("lab_migrations.csv"))])


def test_they_are_the_two_grids_and_calm(runs: pd.DataFrame) -> None:
    cells = (*grid("full"), *grid("odd"))
    assert runs["run_id"].tolist() == [cell.run_id for cell in cells]
    assert all(each.calm for each in read(data_path("lab_migrations.csv")))
    assert set(runs["qemu_version"]) == {"7.2.22"}


def test_bytes_are_pages_with_headers_zeros_and_a_little(runs: pd.DataFrame) -> None:
    rest = runs["transferred_bytes"] - 4104 * runs["normal_pages"] - 9 * runs["duplicate_pages"]
    assert rest.between(0, 3000).all()
    parts = runs["precopy_bytes"] + runs["downtime_bytes"] + runs["postcopy_bytes"]
    assert (parts == runs["transferred_bytes"]).all()


def test_each_page_of_zeros_is_sent_once_and_the_others_at_least_once(runs: pd.DataFrame) -> None:
    unfilled = (runs["ram_mib"] - runs["fill_mib"]) * 256
    assert (runs["duplicate_pages"] - unfilled).between(0, 130).all()  # and some of the firmware's
    assert (runs["normal_pages"] >= runs["fill_mib"] * 256).all()
    still = runs[runs["dirty_writes_nominal_per_s"] == 0]
    assert (still["normal_pages"] - still["fill_mib"] * 256).max() < 100


def test_the_cap_held(runs: pd.DataFrame) -> None:
    seconds = (runs["total_time_ms"] - runs["downtime_qemu_ms"].fillna(0)) / 1e3
    assert (runs["precopy_bytes"] / seconds / runs["max_bandwidth_bytes_per_s"] < 1.03).all()


def test_times_follow_each_other(runs: pd.DataFrame) -> None:
    done = runs[runs["outcome"] == "completed"]
    assert len(done) == 78  # two were called off, four went over to post-copy
    assert (done["stop_at_ms"] < done["wall_migrate_to_end_ms"]).all()
    pause = done["stop_at_ms"] + done["downtime_qemu_ms"]
    assert np.allclose(pause, done["total_time_ms"], atol=25)
    assert (done["downtime_stop_to_resume_ms"] >= done["downtime_qemu_ms"] - 1.5).all()


def test_the_guests_kept_their_rate_before_meanwhile_and_after(runs: pd.DataFrame) -> None:
    wanted = runs["dirty_writes_nominal_per_s"]
    for when in ("measured_per_s", "during_migration_per_s"):
        assert np.allclose(runs[f"dirty_writes_{when}"], wanted, rtol=0.03), when
    alive = runs.loc[runs["outcome"] == "completed", "dest_alive_writes_per_s"]
    assert np.allclose(alive, wanted[alive.index], rtol=0.03)


def test_the_writers_stood_anywhere(runs: pd.DataFrame) -> None:
    in_turn = runs[runs["mode"] == "round_robin"]
    place = in_turn["writer_page_at_start"] / in_turn["working_set_pages"]
    assert place.between(0, 1).all()
    assert np.histogram(place, bins=3, range=(0, 1))[0].min() >= 3
    assert runs.loc[runs["mode"] != "round_robin", "writer_page_at_start"].isna().all()
