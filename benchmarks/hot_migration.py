"""How fast are pages sent, and payments made? Against the least work there is.

- Pages: `send_pages` (8 bytes of number and 4,096 of contents each) and a receiver that puts each
  in its place, beside `sendall` of the same bytes into a plain receiver, and a copy in memory.
  Goal: at least a quarter of the plain socket's speed; the course's link, 64 MiB/s, is far below.
- Payments: `Bank.answer` on our memory (each write seen, page by page), beside the same payments on
  SQLite's own `:memory:` through Python's `sqlite3`.

    python -m benchmarks.hot_migration
"""

from __future__ import annotations

import argparse
import socket
import sqlite3
import threading
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.harness import machine, race
from virtlab.migration.live.bank import Bank, found
from virtlab.migration.live.memory import PAGE_BYTES, OwnedMemory, memory_file
from virtlab.migration.live.target import Arrival
from virtlab.migration.live.tell import Teller
from virtlab.migration.live.wire import FRAME, Pace, receive, send_pages, send_word

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.harness import Race

_PAYMENTS = 200


def connected() -> tuple[socket.socket, socket.socket]:
    """Return two ends of a connection over the loopback."""
    with socket.create_server(("127.0.0.1", 0)) as port:
        here = socket.create_connection(port.getsockname())
        return here, port.accept()[0]


def both(first: Callable[[], object], second: Callable[[], object]) -> None:
    """Run two things at once, and wait for both."""
    other = threading.Thread(target=second)
    other.start()
    first()
    other.join()


def sending(mib: int) -> Race:
    """Race our stream against plain ones."""
    count = mib * 256
    source, target = (OwnedMemory(memory_file(count)) for _ in range(2))
    source.view[:] = np.random.default_rng(1).bytes(count * PAGE_BYTES)
    pages = np.arange(count)
    here, there = connected()
    quiet, _other = socket.socketpair()
    arrival = Arrival(target, there, Teller(quiet))
    plain = bytearray(count * PAGE_BYTES)

    def ours() -> None:
        def send() -> None:
            send_pages(here, source.view, pages, Pace(0))
            here.sendall(FRAME.pack(b"B", 0))
            receive(here, FRAME.size)

        both(send, arrival.receive)

    def socket_alone() -> None:
        def take() -> None:
            view = memoryview(plain)
            while view:
                view = view[there.recv_into(view) :]
            send_word(there, b"A")

        def send() -> None:
            here.sendall(source.view)
            receive(here, FRAME.size)

        both(send, take)

    from_here = np.frombuffer(source.view, dtype=np.uint8)
    to_there = np.frombuffer(plain, dtype=np.uint8)

    def copy() -> None:
        np.copyto(to_there, from_here)

    contenders = {"plain socket": socket_alone, "pages to their places": ours, "copy": copy}
    return race(f"Send {mib} MiB of pages", contenders, yardstick="plain socket", turns=9)


def paying(accounts: int) -> Race:
    """Race payments on our memory against payments on SQLite's own."""
    memory = OwnedMemory(memory_file(20_000))
    found(memory, accounts, archive_mib=1, seed=1)
    bank, rng = Bank(memory), np.random.default_rng(1)
    plain = sqlite3.connect(":memory:", isolation_level=None)
    plain.executescript(
        "create table account(number integer primary key, balance integer, details blob);"
        "create table payment(request text, payer integer, payee integer, amount integer);"
        "create index payment_request on payment(request);"
    )
    plain.executemany(
        "insert into account values (?, 1000, zeroblob(400))", ((i,) for i in range(accounts))
    )
    asked = 0

    def draw() -> tuple[str, int, int]:
        nonlocal asked
        asked += 1
        payer, payee = rng.integers(0, accounts, 2).tolist()
        return f"r-{asked}", payer, payee

    def ours() -> None:
        for _ in range(_PAYMENTS):
            request, payer, payee = draw()
            bank.answer(f"pay {request} {payer} {payee} 5")

    def sqlite_alone() -> None:
        for _ in range(_PAYMENTS):
            request, payer, payee = draw()
            plain.execute("begin")
            plain.execute("select 1 from payment where request = ?", (request,)).fetchone()
            plain.execute("insert into payment values (?, ?, ?, 5)", (request, payer, payee))
            for change, account in ((-5, payer), (5, payee)):
                plain.execute(
                    "update account set balance = balance + ? where number = ?", (change, account)
                )
            plain.execute("commit")

    contenders = {"sqlite3 :memory:": sqlite_alone, "Bank on our memory": ours}
    return race(f"{_PAYMENTS} payments", contenders, yardstick="sqlite3 :memory:", turns=9)


def main() -> None:
    """Print both races."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--mib", type=int, default=64, help="how much to send")
    mib = parser.parse_args().mib
    print(machine(), "\n")
    sent = sending(mib)
    print(sent)
    speed = mib / sent.median("pages to their places")
    print(f"{speed:.0f} MiB/s, {256 * speed:,.0f} pages a second\n")
    paid = paying(6000)
    print(paid)
    print(f"{_PAYMENTS / paid.median('Bank on our memory'):,.0f} payments a second")


if __name__ == "__main__":
    main()
