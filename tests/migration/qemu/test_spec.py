"""What a migration of QEMU is described by, and how a row of a file is read."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab.migration.qemu import QemuParameters
from virtlab.validate import InvalidInputError

ROW = {
    "ram_mib": 256,
    "fill_mib": 224,
    "mode": "hot+round_robin",
    "working_set_pages": 32768,
    "hot_pages": 2048,
    "hot_write_pct": 90,
    "dirty_writes_nominal_per_s": 8000,
    "max_bandwidth_bytes_per_s": 67108864,
    "link_rate_bytes_per_s": 0,
    "downtime_limit_ms": 300,
    "auto_converge": 0,
    "postcopy_at_s": math.nan,
    "max_postcopy_bandwidth_bytes_per_s": 0,
}


def test_a_row_is_read_in_our_units() -> None:
    spec = QemuParameters.from_row(ROW)
    assert (spec.ram_mib, spec.filled_mib, spec.pattern) == (256, 224, "hot")
    assert (spec.cap_mib_s, spec.link_mib_s, spec.postcopy_at_s) == (64, math.inf, math.inf)
    assert (spec.hot_pages, spec.hot_write_percent, spec.auto_converge) == (2048, 90, False)


def test_text_and_empty_cells_are_read_too() -> None:
    text = {name: "" if value != value else str(value) for name, value in ROW.items()}  # noqa: PLR0124 - NaN
    assert QemuParameters.from_row(text) == QemuParameters.from_row(ROW)
    assert QemuParameters.from_row({"ram_mib": "256", "fill_mib": "224", "mode": None}) == (
        QemuParameters(ram_mib=256, filled_mib=224, working_set_pages=0, head_start_s=2.05)
    )


def test_results_in_a_row_are_not_looked_at() -> None:
    spoilt = ROW | {"total_time_ms": "nonsense", "downtime_qemu_ms": -5, "outcome": "lost"}
    assert QemuParameters.from_row(spoilt) == QemuParameters.from_row(ROW)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("ram_mib", "much"),
        ("ram_mib", -1),
        ("fill_mib", 257),
        ("mode", "zigzag"),
        ("working_set_pages", 1.5),
        ("working_set_pages", 70000),
        ("hot_write_pct", 101),
        ("dirty_writes_nominal_per_s", -1),
        ("downtime_limit_ms", -1),
        ("max_bandwidth_bytes_per_s", -1),
    ],
)
def test_a_wrong_cell_is_named(column: str, value: object) -> None:
    with pytest.raises(InvalidInputError) as caught:
        QemuParameters.from_row(ROW | {column: value})
    assert str(caught.value).count("\n") == 0


def test_nan_and_infinity_are_no_memory() -> None:
    for value in (math.nan, math.inf):
        with pytest.raises(InvalidInputError, match="ram_mib"):
            QemuParameters(ram_mib=value)


@given(st.floats(1, 4096), st.floats(0, 1))
def test_pages_hold_the_memory(ram_mib: float, part: float) -> None:
    spec = QemuParameters(ram_mib=ram_mib, filled_mib=ram_mib * part, working_set_pages=0)
    assert spec.ram_pages * 4096 >= ram_mib * 2**20 > (spec.ram_pages - 1) * 4096


def test_numbers_of_numpy_are_numbers() -> None:
    assert QemuParameters.from_row(ROW | {"ram_mib": np.int64(256)}).ram_pages == 65536
