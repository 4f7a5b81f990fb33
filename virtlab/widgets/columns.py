"""Guest code and its translation, in columns that share an address (S18).

`ColumnsView` shows a `virtlab.machine.translation.listing_rows.Listing`: bytes, instructions,
p-code with what is not computed struck out, translated code. A row lights up in all columns; below
stands all that belongs to the row that is chosen, by pointing or with the arrow keys.

>>> from virtlab.machine.translation.listing import listing
>>> from virtlab.machine.translation.listing_rows import program_of
>>> view = ColumnsView()
>>> view.show(listing(program_of(bytes.fromhex("01d8 01c8 ebfe"))))
>>> view.title[:20], len(view.rows)
('0x1000: 1 unit, 3 in', 3)
"""

from __future__ import annotations

import html
import pathlib
import re
from typing import TYPE_CHECKING, Any

import anywidget
import traitlets

from virtlab.machine.registers import FLAGS

if TYPE_CHECKING:
    from collections.abc import Callable

    from virtlab.machine.translation.listing_rows import Listing, Operation, Row

__all__ = ["ColumnsView", "alt_of", "table_html_of", "title_of"]

_HERE = pathlib.Path(__file__).parent
_TEMPORARY = re.compile(r"\bt\d+\b")


class ColumnsView(anywidget.AnyWidget):
    """Four columns, and below them one row in full.

    Attributes
    ----------
    rows
        What the browser shows.
    chosen
        Number of the row that is shown in full.
    title, alt
        What is seen, in a line and in words.
    opened, whole
        Whether one wants to see all the code of the first unit, and that code if so.

    Examples
    --------
    See the module's example.
    """

    _esm = "\n".join(
        (_HERE / name).read_text(encoding="utf-8") for name in ("pagemap-paint.js", "columns.js")
    )
    _css = _HERE / "virtlab.css"

    version = traitlets.Int(0).tag(sync=True)
    rows: Any = traitlets.List().tag(sync=True)
    counts: Any = traitlets.Dict().tag(sync=True)
    tier = traitlets.Unicode("").tag(sync=True)
    title = traitlets.Unicode("").tag(sync=True)
    alt = traitlets.Unicode("").tag(sync=True)
    chosen = traitlets.Int(0).tag(sync=True)
    opened = traitlets.Bool(default_value=False).tag(sync=True)
    whole = traitlets.Unicode("").tag(sync=True)

    def __init__(self, **values: Any) -> None:
        super().__init__(**values)
        self._write: Callable[[], str] = str
        self.observe(self._opened, names="opened")

    def _opened(self, _change: object) -> None:
        self.whole = self._write() if self.opened else ""

    def show(self, listing: Listing, whole: Callable[[], str] = str) -> None:
        """Show a listing, in one message; the row that was chosen stays if its address does.

        Parameters
        ----------
        listing
            Which.
        whole
            Writes all the code of its first unit; asked only if somebody wants to see it.

        Examples
        --------
        See the module's example.
        """
        before = self.rows[self.chosen]["at"] if self.chosen < len(self.rows) else ""
        rows = [_as_json(row) for row in listing.rows]
        with self.hold_sync():
            self.rows, self.tier = rows, listing.tier
            self.chosen = next((k for k, row in enumerate(rows) if row["at"] == before), 0)
            self.counts = {
                **{state: listing.count(state) for state in ("done", "put off", "dead")},
                "bytes": listing.code_bytes,
            }
            self.title, self.alt = title_of(listing), alt_of(listing)
            self._write = whole
            self._opened(None)
            self.version += 1

    def __repr__(self) -> str:
        """Say it in words: traitlets would print all of it."""
        return f"ColumnsView({self.alt!r})"


def title_of(listing: Listing) -> str:
    """Say what became of the code, in a line.

    Parameters
    ----------
    listing
        Of some code.

    Returns
    -------
    str
        The finding.

    Examples
    --------
    >>> from virtlab.machine.translation.listing import listing
    >>> from virtlab.machine.translation.listing_rows import program_of
    >>> title_of(listing(program_of(bytes.fromhex("66ef f4"))))
    '0x1000: nothing to translate, 2 instructions for the VMM'
    """
    n = listing.summary()
    translated = int(n["instructions"]) - int(n["callouts"])
    for_vmm = f", {n['callouts']} for the VMM" if n["callouts"] else ""
    if not n["units"]:
        plural = "s" if n["callouts"] != 1 else ""
        return (
            f"{n['start']}: nothing to translate, {n['callouts']} instruction{plural} for the VMM"
        )
    units = f"{n['units']} unit{'s' if n['units'] != 1 else ''}"
    return f"{n['start']}: {units}, {translated} instructions translated{for_vmm}"


def alt_of(listing: Listing) -> str:
    """Say what is seen, in words.

    Parameters
    ----------
    listing
        Of some code.

    Returns
    -------
    str
        Columns, counts, and which instructions are of which class.

    Examples
    --------
    >>> from virtlab.machine.translation.listing import listing
    >>> from virtlab.machine.translation.listing_rows import program_of
    >>> alt_of(listing(program_of(bytes.fromhex("66ef f4"))))[-63:]
    'Control: none. For the VMM: OUT DX,AX at 0x1000, HLT at 0x1002.'
    """

    def those(kind: str) -> str:
        found = [f"{row.text} at {row.name or hex(row.address)}" for row in listing.rows
                 if row.kind == kind]  # fmt: skip
        return ", ".join(found) or "none"

    return (
        f"Bytes, instructions, p-code and {listing.tier} in columns. {listing.explain()} "
        f"Control: {those('control')}. For the VMM: {those('callout')}."
    )


def _as_json(row: Row) -> dict[str, Any]:
    """Write a row for the browser."""
    serves = serves_flags(row.operations)
    flags = {_target(one.text): one.state for one in row.operations if _target(one.text) in FLAGS}
    return {
        "at": f"{row.address:x}",
        "to": f"{row.to:x}" if row.to >= 0 else "",
        "name": row.name,
        "code": row.code.hex(" "),
        "text": row.text,
        "kind": row.kind,
        "sign": row.sign,
        "unit": row.unit,
        "main": [
            [one.text, one.state]
            for one, is_for_flags in zip(row.operations, serves, strict=True)
            if not is_for_flags
        ],
        "flags": [[name, state] for name, state in flags.items()],
        "all": [[one.text, one.state] for one in row.operations],
        "lines": list(row.lines),
    }


def _target(text: str) -> str:
    """Return where the result of an operation goes; '' if it has none."""
    return text.partition(" = ")[0] if " = " in text else ""


def serves_flags(operations: tuple[Operation, ...]) -> list[bool]:
    """Tell which operations are there for flags only.

    Parameters
    ----------
    operations
        Of an instruction.

    Returns
    -------
    list of bool
        For each: it makes a flag, or what only such operations read.

    Examples
    --------
    >>> from virtlab.machine.translation.listing_rows import Operation
    >>> texts = ["t0 = INT_AND EAX, 0xff", "PF = INT_EQUAL t0, 0x0", "EAX = INT_ADD EAX, 0x1"]
    >>> serves_flags(tuple(Operation(text, "done") for text in texts))
    [True, True, False]
    """
    found = [False] * len(operations)
    for at in range(len(operations) - 1, -1, -1):
        target = _target(operations[at].text)
        if target in FLAGS:
            found[at] = True
        elif _TEMPORARY.fullmatch(target):
            readers = [
                later
                for later in range(at + 1, len(operations))
                if target in _TEMPORARY.findall(operations[later].text.partition(" = ")[2])
            ]
            found[at] = bool(readers) and all(found[later] for later in readers)
    return found


def table_html_of(listing: Listing) -> str:
    """Write a listing as a table in HTML, for where nothing runs.

    Parameters
    ----------
    listing
        Of some code.

    Returns
    -------
    str
        What is not computed is struck out.

    Examples
    --------
    >>> from virtlab.machine.translation.listing import listing
    >>> from virtlab.machine.translation.listing_rows import program_of
    >>> "<del>CF</del>" in table_html_of(listing(program_of(bytes.fromhex("01d8 01c8 ebfe"))))
    True
    """
    heads = ("", "address", "bytes", "i386", "p-code", listing.tier)
    rows = ["<tr>" + "".join(f'<th style="text-align:left">{one}</th>' for one in heads) + "</tr>"]
    rows += [_html_row(row) for row in listing.rows]
    return f'<table border="0">{"".join(rows)}</table>'


def _html_row(row: Row) -> str:
    made = _as_json(row)

    def word(text: str, state: str) -> str:
        return html.escape(text) if state == "done" else f"<del>{html.escape(text)}</del>"

    code = "<br>".join(word(*one) for one in made["main"])
    flags = " ".join(word(*one) for one in made["flags"])
    cells = [
        row.sign,
        f"{row.name + ':<br>' if row.name else ''}{row.address:x}",
        row.code.hex(" "),
        html.escape(row.text),
        "<br>".join(part for part in (code, flags) if part),
        "<br>".join(map(html.escape, row.lines)),
    ]
    style = 'style="text-align:left;vertical-align:top;font-family:monospace"'
    return "<tr>" + "".join(f"<td {style}>{cell}</td>" for cell in cells) + "</tr>"
