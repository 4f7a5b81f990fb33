"""What can be tried: checked where it is written, named so that no two are mixed up."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from virtlab.migration.lab.cells import MODES, Cell, grid
from virtlab.migration.lab.record import COLUMNS
from virtlab.validate import InvalidInputError

HOT = Cell(mode="hot+round_robin", hot_pages=2048, hot_write_pct=90)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("ram_mib", 16),
        ("ram_mib", 4096),
        ("fill_mib", 240),
        ("fill_mib", 0),
        ("mode", "zipf"),
        ("working_set_pages", 224 * 256 + 1),
        ("working_set_pages", 0),
        ("hot_pages", 10),
        ("dirty_writes_nominal_per_s", -1),
        ("dirty_writes_nominal_per_s", 0.5),
        ("max_bandwidth_bytes_per_s", 1000),
        ("downtime_limit_ms", 2_000_001),
        ("auto_converge", 2),
        ("postcopy_at_s", -1),
        ("max_postcopy_bandwidth_bytes_per_s", -1),
        ("rep", 0),
    ],
)
def test_a_bad_number_is_named(field: str, value: object) -> None:
    with pytest.raises(InvalidInputError, match=f"^{field} = "):
        replace(Cell(), **{field: value})  # type: ignore[arg-type]  # bad on purpose


@pytest.mark.parametrize(("field", "value"), [("hot_pages", 16_384), ("hot_write_pct", 101)])
def test_hot_pages_are_a_part_of_the_working_set(field: str, value: int) -> None:
    with pytest.raises(InvalidInputError, match=f"^{field} = "):
        replace(HOT, **{field: value})  # type: ignore[arg-type]  # bad on purpose


@st.composite
def cells(draw: st.DrawFn) -> Cell:
    mode = draw(st.sampled_from(MODES))
    hot = mode == "hot+round_robin"
    return Cell(
        rep=draw(st.integers(1, 3)),
        ram_mib=draw(st.sampled_from([128, 256])),
        fill_mib=draw(st.sampled_from([64, 96])),
        mode=mode,
        working_set_pages=draw(st.sampled_from([4096, 8192])),
        hot_pages=draw(st.sampled_from([16, 32])) if hot else 0,
        hot_write_pct=draw(st.sampled_from([50, 90])) if hot else 0,
        dirty_writes_nominal_per_s=draw(st.sampled_from([0, 1000])),
        max_bandwidth_bytes_per_s=draw(st.sampled_from([2**25, 2**25 + 2**19])),
        downtime_limit_ms=draw(st.sampled_from([30, 300])),
        auto_converge=draw(st.integers(0, 1)),
        postcopy_at_s=draw(st.sampled_from([None, 0.5, 5.0])),
    )


@given(cells(), cells())
def test_different_cells_have_different_names(one: Cell, other: Cell) -> None:
    assume(one != other)
    assert one.run_id != other.run_id


def test_the_parameters_are_columns_of_the_file() -> None:
    assert {field.name for field in fields(Cell)} <= set(COLUMNS)


def test_the_small_grid_takes_about_a_minute_and_has_every_order() -> None:
    small = grid("small")
    assert {cell.mode for cell in small} == set(MODES)
    copied_s = [cell.ram_mib * 2**20 / cell.max_bandwidth_bytes_per_s for cell in small]
    assert sum(copied_s) < 20  # twice that for rounds, and 4 s around each


def test_the_full_grid_has_what_was_asked_for_and_nothing_twice() -> None:
    full = grid("full")
    assert len({cell.run_id for cell in full}) == len(full) == 60
    assert {cell.max_bandwidth_bytes_per_s >> 20 for cell in full} == {32, 64, 128}
    assert {cell.dirty_writes_nominal_per_s for cell in full} == {0, 1000, 4000, 8000}
    assert {cell.downtime_limit_ms for cell in full} == {30, 300, 1000}
    assert {cell.mode for cell in full} == set(MODES)
    assert {cell.ram_mib for cell in full} == {128, 256, 384, 512}


def test_the_odd_grid_is_beside_the_full_one() -> None:
    names = {cell.run_id for cell in grid("odd")}
    assert len(names) == 24
    assert not names & {cell.run_id for cell in grid("full")}
    assert {cell.mode for cell in grid("odd")} == set(MODES)
    assert any(cell.postcopy_at_s for cell in grid("odd"))


def test_an_unknown_grid_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InvalidInputError, match="cells = 'huge': must be one of small, full, odd"):
        grid("huge")
