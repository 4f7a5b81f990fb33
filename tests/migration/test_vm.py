"""The machine that moves."""

from __future__ import annotations

import pytest

from virtlab.migration.vm import PAGE_BYTES, Vm
from virtlab.validate import InvalidInputError


def test_memory_is_counted_in_pages() -> None:
    vm = Vm(ram_mib=512, filled_mib=448)
    assert vm.pages == 512 * 256
    assert vm.filled_pages == 448 * 256
    assert Vm(ram_mib=3600).bitmap_bytes == 115_200  # 3.6 GB: 115 KiB, as worked out for the talk


def test_a_part_of_a_page_fills_it() -> None:
    assert Vm(ram_mib=1, filled_mib=(3 * PAGE_BYTES + 1) / 2**20).filled_pages == 4


def test_all_of_it_is_filled_if_nothing_else_is_said() -> None:
    assert Vm(ram_mib=1).filled_pages == Vm(ram_mib=1).pages == 256


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("ram_mib", 0),
        ("ram_mib", -1),
        ("ram_mib", 0.001),
        ("filled_mib", 513),
        ("device_state_kib", -1),
        ("resume_ms", float("nan")),
    ],
)
def test_bad_input_is_named(field: str, value: float) -> None:
    with pytest.raises(InvalidInputError, match=field):
        Vm(**{field: value})  # type: ignore[arg-type]
