"""The database that moves: accounts, and payments between them.

A payment is one transaction: a row in `payment` and two balances. The client chooses its number
(`request`); a request that comes again, as its answer was lost, is answered and not executed again.
That makes **exactly once** out of "ask until answered". Nothing in the tables would hide a payment
that was executed twice (no unique index), so an audit can count.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import apsw

from virtlab.migration.live.vfs import opened
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from virtlab.migration.live.memory import OwnedMemory

__all__ = ["OPENING_BALANCE", "Bank", "found"]

OPENING_BALANCE = 1000
_ROW_BYTES = 400  # nine accounts a page
_ARCHIVE_BYTES = 4000  # one fills a page
_LINES = "pay REQUEST PAYER PAYEE AMOUNT, or balance REQUEST ACCOUNT"
_SCHEMA = """
create table account(number integer primary key, balance integer not null, details blob);
create table payment(request text, payer integer, payee integer, amount integer);
create index payment_request on payment(request);
create table archive(number integer primary key, document blob);
"""


def found(memory: OwnedMemory, accounts: int, archive_mib: float, seed: int) -> None:
    """Make the database in a memory of zeros.

    Parameters
    ----------
    memory
        Where.
    accounts
        How many; each starts with `OPENING_BALANCE`.
    archive_mib
        Old documents, which nobody changes, MiB.
    seed
        Of what is in the documents.

    Examples
    --------
    >>> from virtlab.migration.live.memory import OwnedMemory, memory_file
    >>> memory = OwnedMemory(memory_file(600))
    >>> found(memory, accounts=10, archive_mib=1, seed=1)
    >>> Bank(memory).answer("balance r1 3")
    'ok r1 1000'
    """
    import numpy as np

    rng = np.random.default_rng(seed)
    database = opened(memory)
    database.execute(_SCHEMA)
    documents = round(archive_mib * 2**20 / _ARCHIVE_BYTES)
    with database:
        database.executemany(
            "insert into account values (?, ?, ?)",
            ((i, OPENING_BALANCE, rng.bytes(_ROW_BYTES)) for i in range(accounts)),
        )
        database.executemany(
            "insert into archive values (?, ?)",
            ((i, rng.bytes(_ARCHIVE_BYTES)) for i in range(documents)),
        )
    database.close()


class Bank:
    """What the server does with a line from a client.

    Parameters
    ----------
    memory
        Where the database is; what was left unfinished there is rolled back.

    Examples
    --------
    >>> from virtlab.migration.live.memory import OwnedMemory, memory_file
    >>> memory = OwnedMemory(memory_file(300))
    >>> found(memory, accounts=10, archive_mib=0, seed=1)
    >>> bank = Bank(memory)
    >>> bank.answer("pay r1 3 4 250"), bank.answer("pay r1 3 4 250")
    ('ok r1', 'ok r1')
    >>> bank.answer("balance r2 3")
    'ok r2 750'
    >>> bank.answer("pay r3 3 99 1")
    'no r3 there is no account 99'
    """

    def __init__(self, memory: OwnedMemory) -> None:
        self._database = opened(memory)
        self._database.execute("select 1 from account limit 1").fetchall()  # it can be read

    def answer(self, line: str) -> str:
        """Execute a request, and say what to answer once it is committed.

        Parameters
        ----------
        line
            `pay REQUEST PAYER PAYEE AMOUNT` or `balance REQUEST ACCOUNT`.

        Returns
        -------
        str
            `ok REQUEST`, with the balance if that was asked; or `no REQUEST` and why.

        Examples
        --------
        See the class.
        """
        words = line.split()
        request = words[1] if len(words) > 1 else "?"
        try:
            return f"ok {request} {self._execute(words)}".rstrip()
        except InvalidInputError as error:
            return f"no {request} there is no account {error.value}"
        except apsw.FullError:
            return f"no {request} the machine's memory is full"
        except ValueError:
            return f"no {request} a line is {_LINES}"

    def _execute(self, words: list[str]) -> str:
        match words:
            case ["pay", request, payer, payee, amount]:
                self._pay(request, int(payer), int(payee), int(amount))
                return ""
            case ["balance", _, account]:
                return str(self._balance(int(account)))
        raise ValueError(words)

    def _balance(self, account: int) -> int:
        query = "select balance from account where number = ?"
        balance = self._database.execute(query, (account,)).get
        if balance is None:
            raise InvalidInputError("account", account, "one there is")
        return int(balance)

    def _pay(self, request: str, payer: int, payee: int, amount: int) -> None:
        execute = self._database.execute
        with self._database:  # one transaction: committed at the end, or rolled back
            if execute("select 1 from payment where request = ?", (request,)).get:
                return  # it came before, and its answer was lost
            execute("insert into payment values (?, ?, ?, ?)", (request, payer, payee, amount))
            for account, change in ((payer, -amount), (payee, amount)):
                query = "update account set balance = balance + ? where number = ?"
                execute(query, (change, account))
                if not self._database.changes():
                    raise InvalidInputError("account", account, "one there is")

    def close(self) -> None:
        """Close the database; the bytes stay where they are.

        Examples
        --------
        >>> Bank.close.__name__
        'close'
        """
        self._database.close()
