"""The picture of a sweep says what the table says, and refuses what is no grid."""

from __future__ import annotations

import numpy as np
import pytest

from virtlab.migration.points import dirty_against_bandwidth, precopy_point
from virtlab.migration.sweep import SweepResult, sweep
from virtlab.plots.vmotion_sweep import draw_sweep
from virtlab.validate import InvalidInputError


@pytest.fixture(scope="module")
def swept() -> SweepResult:
    return sweep(dirty_against_bandwidth(12, 10), precopy_point)


def test_the_words_are_those_of_the_table(swept: SweepResult) -> None:
    frame = swept.to_frame()
    slower = frame["dirty_pages_s"] / 256 < frame["bandwidth_mib_s"]
    stuck = frame.loc[~frame["converged"].astype(bool), "downtime_ms"]
    alt = draw_sweep(swept).alt
    assert "120 migrations" in alt
    assert f"slower than the link, {frame['converged'][slower].mean():.0%} converge" in alt
    assert f"for {stuck.min() / 1000:.1f} to {stuck.max() / 1000:.1f} s" in alt


def test_cells_stand_where_their_numbers_are(swept: SweepResult) -> None:
    """The rows may come in any order."""
    mixed = SweepResult(tuple(reversed(swept.rows)))
    one, other = (draw_sweep(result) for result in (swept, mixed))
    assert one.png(scale=1) == other.png(scale=1)
    cells = one.axes[0].collections[0].get_array()
    assert cells is not None
    drawn = ~np.ma.getmaskarray(np.ma.masked_invalid(cells)).ravel()
    assert drawn.sum() == sum(bool(row["converged"]) for row in swept.rows)


def test_where_all_converge_nothing_is_hatched() -> None:
    points = [
        {"ram_mib": 512, "bandwidth_mib_s": link, "dirty_pages_s": dirty}
        for link in (500, 1000) for dirty in (256, 512)
    ]  # fmt: skip
    figure = draw_sweep(sweep(points, precopy_point))
    assert figure.alt.endswith("slower than the link, 100% converge.")
    assert len(figure.axes[0].collections) == 2


@pytest.mark.parametrize("drop", [slice(1, None), slice(0, 1), slice(0, 12)])
def test_a_table_with_holes_is_refused(swept: SweepResult, drop: slice) -> None:
    with pytest.raises(InvalidInputError, match="once"):
        draw_sweep(SweepResult(swept.rows[drop]))


def test_errors_and_other_tables_are_refused() -> None:
    bad = dirty_against_bandwidth(3, 3, ram_mib=-1)
    with pytest.raises(InvalidInputError, match="column"):
        draw_sweep(sweep(bad, precopy_point))
    half = dirty_against_bandwidth(3, 3)
    half[0]["working_set_pages"] = 10**9
    with pytest.raises(InvalidInputError, match="without errors"):
        draw_sweep(sweep(half, precopy_point))
