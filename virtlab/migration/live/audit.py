"""Was anything lost, was anything done twice? The database against what the clients know.

The clients' own notes say which payments were answered. The database that is left must hold each
of these exactly once, and its balances must be what these payments make of them. It is read by
Python's own SQLite, which knows nothing of our memory: a file is a file.
"""

from __future__ import annotations

import math
import sqlite3
from collections import Counter
from typing import TYPE_CHECKING

from virtlab.migration.live.bank import OPENING_BALANCE
from virtlab.migration.live.outcome import Audit
from virtlab.migration.live.vfs import database_bytes, opened

if TYPE_CHECKING:
    from collections.abc import Iterable

    from virtlab.migration.live.clients import Payment
    from virtlab.migration.live.memory import OwnedMemory

__all__ = ["audit"]


def audit(memory: OwnedMemory, payments: Iterable[Payment]) -> Audit:
    """Hold the database in a memory against the clients' notes.

    Parameters
    ----------
    memory
        The machine's pages; no server runs on it any more.
    payments
        All that the clients have asked for.

    Returns
    -------
    Audit
        What is wrong, counted.

    Examples
    --------
    >>> from virtlab.migration.live.bank import Bank, found
    >>> from virtlab.migration.live.clients import Payment
    >>> from virtlab.migration.live.memory import OwnedMemory, memory_file
    >>> memory = OwnedMemory(memory_file(300))
    >>> found(memory, accounts=10, archive_mib=0, seed=1)
    >>> Bank(memory).answer("pay r1 3 4 250")
    'ok r1'
    >>> audit(memory, [Payment("r1", 3, 4, 250, 0.0, 0.1)]).clean
    True
    >>> audit(memory, [Payment("r2", 3, 4, 250, 0.0, 0.1)]).lost
    1
    """
    opened(memory).execute("select 1 from payment limit 1").fetchall()  # what is unfinished goes
    books = sqlite3.connect(":memory:")
    books.deserialize(database_bytes(memory))
    rows = books.execute("select request, payer, payee, amount from payment").fetchall()
    asked = {one.request: one for one in payments}
    answered = {name for name, one in asked.items() if not math.isnan(one.answered)}
    times = Counter(request for request, *_ in rows)
    audited = Audit(
        answered=len(answered),
        lost=len(answered - times.keys()),
        doubled=sum(1 for count in times.values() if count > 1),
        wrong_balances=_wrong_balances(books, [asked[name] for name in times if name in asked]),
        unknown=len(times.keys() - asked.keys()),
        integrity=books.execute("pragma integrity_check").fetchone()[0],
    )
    books.close()
    return audited


def _wrong_balances(books: sqlite3.Connection, payments: Iterable[Payment]) -> int:
    """Count the accounts whose balance is not what the payments, each done once, make of it."""
    expected = dict.fromkeys(
        (number for (number,) in books.execute("select number from account")), OPENING_BALANCE
    )
    for one in payments:
        expected[one.payer] -= one.amount
        expected[one.payee] += one.amount
    held = books.execute("select number, balance from account")
    return sum(1 for number, balance in held if expected[number] != balance)
