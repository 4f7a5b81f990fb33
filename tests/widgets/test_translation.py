"""The columns and their controls: what is seen follows the passes."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from virtlab.machine.registers import FLAGS
from virtlab.machine.translation.listing import listing
from virtlab.machine.translation.listing_rows import Listing, Operation, program_of
from virtlab.validate import InvalidInputError
from virtlab.widgets.columns import ColumnsView, alt_of, serves_flags, table_html_of, title_of
from virtlab.widgets.translation import FUNCTIONS, columns


def of(code: str) -> Listing:
    return listing(program_of(bytes.fromhex(code)))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_each_function_can_be_seen(name: str) -> None:
    app = columns(name)
    assert app.result.rows[0].name == FUNCTIONS[name][1]
    assert len(app.view.rows) == len(app.result.rows)
    assert app.view.alt.startswith("Bytes, instructions, p-code and wasm in columns.")


def test_flags_are_struck_out_until_the_pass_is_switched_off() -> None:
    app = columns("isPrime")
    test = next(row for row in app.view.rows if row["text"] == "TEST EDX,EDX")
    states = dict(test["flags"])
    assert states == {"CF": "put off", "OF": "put off", "SF": "put off", "ZF": "done",
                      "PF": "put off", "AF": "put off"}  # fmt: skip
    lines = len(test["lines"])
    app.set(flags=False)
    again = next(row for row in app.view.rows if row["text"] == "TEST EDX,EDX")
    assert set(dict(again["flags"]).values()) == {"done"}
    assert len(again["lines"]) > lines
    assert app.view.counts["put off"] == 0


def test_a_unit_of_twelve_at_most() -> None:
    app = columns("isPrime").set(regions=False, most=12)
    assert app.result.summary()["units"] == 5
    assert len({row["unit"] for row in app.view.rows}) == 5


def test_bytes_of_ones_own_are_shown_when_they_are_typed() -> None:
    app = columns()
    app.controls["code"].typed = "ef f4"
    assert [row["text"] for row in app.view.rows] == ["OUT DX,EAX", "HLT"]
    assert app.view.title == "0x1000: nothing to translate, 2 instructions for the VMM"
    app.controls["code"].typed = "nonsense"
    assert app.controls["code"].fault
    assert [row["text"] for row in app.view.rows] == ["OUT DX,EAX", "HLT"]
    app.set(function="isPrime")
    assert app.view.rows[0]["name"] == "isPrime"


def test_the_row_that_was_chosen_stays_where_its_address_is() -> None:
    app = columns("isPrime")
    app.view.chosen = 5
    at = app.view.rows[5]["at"]
    app.set(flags=False, regions=False)
    assert app.view.rows[app.view.chosen]["at"] == at
    app.set(function="Fibonacci")
    assert app.view.chosen == 0


def test_jumps_lead_to_rows() -> None:
    rows = columns("isPrime").view.rows
    jumps = {row["text"]: row["to"] for row in rows if row["to"]}
    assert jumps == {"JGE prime": "100231", "JZ notPrime": "100237", "JL nexti": "100223"}
    assert set(jumps.values()) <= {row["at"] for row in rows}


def test_what_makes_flags_only_is_told_from_the_rest() -> None:
    found = of("01d8 c3")  # add eax, ebx; ret
    serves = serves_flags(found.rows[0].operations)
    rest = [
        one.text
        for one, is_for_flags in zip(found.rows[0].operations, serves, strict=True)
        if not is_for_flags
    ]
    assert rest == ["EAX = INT_ADD EAX, EBX"]
    assert not any(serves_flags(found.rows[1].operations))
    both = ("t0 = INT_ADD EAX, 0x1", "ZF = INT_EQUAL t0, 0x0", "EAX = COPY t0")
    assert serves_flags(tuple(Operation(text, "done") for text in both)) == [False, True, False]


def test_words_for_those_who_do_not_see_it() -> None:
    found = of("f4 40 ebfd")
    assert title_of(found) == "0x1000: 1 unit, 2 instructions translated, 1 for the VMM"
    assert "For the VMM: HLT at 0x1000." in alt_of(found)
    assert "Control: JMP 0x1001 at 0x1002." in alt_of(found)
    view = ColumnsView()
    view.show(found)
    assert repr(view) == f"ColumnsView({view.alt!r})"


def test_where_nothing_runs_there_is_a_table() -> None:
    app = columns("isPrime")
    bundle = app._repr_mimebundle_()
    data = bundle[0] if isinstance(bundle, tuple) else bundle
    assert data["text/html"].count("<tr>") == 1 + len(app.result.rows)
    assert data["text/plain"].startswith("Bytes, instructions")
    struck = table_html_of(app.result).count("<del>")
    flags = sum(
        one.state != "done" and one.text.partition(" = ")[0] in FLAGS
        for row in app.result.rows
        for one in row.operations
    )
    assert struck == flags > 5


def test_a_control_that_is_not_there() -> None:
    with pytest.raises(InvalidInputError, match="control = 'flag'"):
        columns().set(flag=False)


def test_all_the_code_is_written_only_if_somebody_wants_to_see_it() -> None:
    app = columns("isPrime")
    assert app.view.whole == ""
    app.view.opened = True
    assert app.view.whole.startswith("(module")
    app.set(tier="python")
    assert app.view.whole.startswith("def at_00100218(")
    app.controls["code"].typed = "f4"
    assert app.view.whole == ""
    app.view.opened = False
    app.set(function="Fibonacci")
    assert app.view.whole == ""


def test_what_llvm_makes_of_it_is_a_choice() -> None:
    app = columns("isPrime").set(tier="assembly")
    lines = [line for row in app.view.rows for line in row["lines"]]
    if find_spec("llvmlite") is None:
        assert lines[0].startswith("no assembly: llvmlite")
        return
    assert any(line.split()[1:2] == ["idiv"] for line in lines)
    assert app.view.counts["bytes"] > 0
    assert "assembly in columns" in app.view.alt


def test_the_answer_counts_by_class_for_the_rows_stand_above() -> None:
    app = columns("a kernel sets its flags")
    for words in ("how many", "IDENT", "in-cache", "control"):
        assert words in app.answer.table
    assert "address" not in app.answer.table
    assert app.answer.table.count("<tr>") == 4
