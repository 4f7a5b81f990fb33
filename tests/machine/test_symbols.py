"""Symbols: which names are kept, and each lie of the tables."""

from __future__ import annotations

import re

import pytest

from tests.machine.elves import Elf
from virtlab.machine.symbols import Symbol
from virtlab.validate import InvalidInputError

AT = 0x100000
MAIN = (1, AT, 4, 2, 1)  # name, address, size, STT_FUNC, STB_GLOBAL


def refused(elf: Elf, text: str) -> None:
    with pytest.raises(InvalidInputError, match="^" + re.escape(text)):
        elf.image()


def test_functions_data_and_labels_are_kept_by_name() -> None:
    elf = Elf(
        names=b"\0main\0table\0loop\0file.c\0",
        symbols=[(17, 0, 0, 4, 0), (0, AT, 0, 3, 0), MAIN, (6, AT + 8, 12, 1, 0),
                 (12, AT + 2, 0, 0, 0)],
    )  # fmt: skip
    assert elf.image().symbols == {
        "main": Symbol("main", AT, 4, "function"),
        "table": Symbol("table", AT + 8, 12, "data"),
        "loop": Symbol("loop", AT + 2, 0, "label"),
    }


def test_of_two_with_one_name_the_global_one_is_kept() -> None:
    local, other = (1, AT + 4, 0, 2, 0), (1, AT + 8, 0, 2, 0)
    for symbols in ([local, MAIN], [MAIN, local], [local, MAIN, other]):
        assert Elf(symbols=symbols).image().symbols["main"].address == AT
    assert Elf(symbols=[local, other]).image().symbols["main"].address == AT + 4


def test_a_function_is_named_before_a_label_at_its_address() -> None:
    names = b"\0main\0begin\0"
    for symbols in ([MAIN, (6, AT, 0, 0, 0)], [(6, AT, 0, 0, 0), MAIN]):
        image = Elf(names=names, symbols=symbols).image()
        assert (image.where(AT), image.where(AT + 3), image.where(AT + 4)) == (
            "main", "main+0x3", "0x100004",
        )  # fmt: skip


def test_symbols_can_not_be_changed() -> None:
    symbols = Elf(symbols=[MAIN]).image().symbols
    with pytest.raises(TypeError):
        symbols["main"] = symbols["main"]  # type: ignore[index]  # what must fail


def test_a_name_that_is_no_text_is_shown_all_the_same() -> None:
    assert list(Elf(names=b"\0\xffmain\0", symbols=[MAIN]).image().symbols) == ["\\xffmain"]


def test_names_that_end_nowhere_or_never() -> None:
    refused(Elf(names=b"\0main", symbols=[MAIN]), "symbol 1 st_name = 1: must be where a name of")
    for start in (6, 7, 2**32 - 1):
        refused(Elf(symbols=[(start, AT, 0, 2, 1)]), f"symbol 1 st_name = {start}: must be where a")
    longest = b"\0" + b"n" * 1024 + b"\0"
    assert len(next(iter(Elf(names=longest, symbols=[MAIN]).image().symbols))) == 1024
    longer = b"\0" + b"n" * 1025 + b"\0"
    refused(Elf(names=longer, symbols=[MAIN]), "symbol 1 st_name = 1: must be where a name of at")


@pytest.mark.parametrize(
    ("number", "changed", "text"),
    [
        (1, {"sh_entsize": 24}, "section 1 sh_entsize = 24: must be 16"),
        (1, {"sh_entsize": 0}, "section 1 sh_entsize = 0: must be 16"),
        (1, {"sh_size": 17}, "section 1 sh_size = 17: must be a multiple of 16"),
        (1, {"sh_size": 2**20 + 16}, "section 1 sh_size = 1048592: must be at most 1048576 (65536"),
        (1, {"sh_size": 4096}, "section 1 sh_offset + sh_size = 0x"),
        (1, {"sh_offset": 2**32 - 1}, "section 1 sh_offset + sh_size = 0x10000001f"),
        (1, {"sh_link": 0}, "section 1 sh_link = 0: must be a section's number, from 1 to 2"),
        (1, {"sh_link": 3}, "section 1 sh_link = 3: must be a section's number, from 1 to 2"),
        (1, {"sh_link": 1}, "section 1 sh_type = 2: must be 3 (SHT_STRTAB)"),
        (2, {"sh_type": 1}, "section 2 sh_type = 1: must be 3 (SHT_STRTAB)"),
        (2, {"sh_type": 2}, "symbol tables = 2: must be at most 1"),
        (2, {"sh_size": 2**32 - 1}, "section 2 sh_offset + sh_size = 0x1000000"),
        (2, {"sh_offset": 2**32 - 1}, "section 2 sh_offset + sh_size = 0x100000005"),
    ],
)
def test_a_table_that_lies(number: int, changed: dict[str, int], text: str) -> None:
    refused(Elf(symbols=[MAIN], section={number: changed}), text)


def test_a_file_without_a_symbol_table_has_no_symbols() -> None:
    assert Elf(section={1: {"sh_type": 8}}).image().symbols == {}
