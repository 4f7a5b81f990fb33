"""Hot migration: a database server moves to another process, and its clients notice a pause (S46).

The talk's demo moved a running database server with no service and no transaction stopped. Here it
is again, small but real: SQLite, with its pages in a memory that we own; clients over TCP; two
processes; the pages over a socket between them; then the clients' connections, handed over. What
the clients see is a **pause**, from the last answer of the source to the first of the target:

    pause = pages left at the end * 4104 B / bandwidth + hand-over

Pre-copy makes the first term small, post-copy and the talk's steps make it nothing and pay later,
page by page; stop and copy pays for all of the memory. The hand-over (open the database on the
copy, claim the machine, go on) is the same for all, a few ms here.

After the run the books are audited: each payment that a client was told is done must be in the
database once (`virtlab.migration.live.audit`). A host may be killed at any step
(`virtlab.migration.live.room` says who then has the machine).

Left out: a guest's operating system, its devices and its disk (on shared storage it would not move,
S44); two real machines, where the address moves and not file descriptors.

Sources: S46; C. Clark et al., *Live Migration of Virtual Machines*, NSDI 2005; M. Hines, K.
Gopalan, *Post-copy based live virtual machine migration*, VEE 2009.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NoReturn

import numpy as np
import pandas as pd
from tqdm import tqdm

from virtlab.memory.live.interrupts import undoable
from virtlab.migration.live.outcome import Audit, HotMigration, Payments
from virtlab.migration.live.setup import Fault, LiveSetup, why_not_live
from virtlab.validate import integer, one_of

if TYPE_CHECKING:
    from virtlab.migration.live.clients import Client
    from virtlab.migration.live.room import Room

__all__ = ["ALGORITHM_NAMES", "HotMigration", "Payments", "hot_migration"]

ALGORITHM_NAMES = ("precopy", "stop", "deck", "postcopy")
_BEFORE, _AFTER = 0.3, 0.2  # parts of the time that clients work before and after


def hot_migration(
    setup: LiveSetup | None = None,
    algorithm: str = "precopy",
    *,
    seed: int = 1,
    fault: Fault | None = None,
) -> HotMigration:
    """Move a running database server, while clients use it.

    Parameters
    ----------
    setup
        What moves, who uses it, over which link.
    algorithm
        precopy, stop, deck (the talk's steps) or postcopy.
    seed
        Of the database's contents and of what the clients ask.
    fault
        A host is to be hit by a signal at a step.

    Returns
    -------
    HotMigration
        What the hosts did, what the clients saw, what the books say.

    Raises
    ------
    InvalidInputError
        If there is no such algorithm or step.
    PermissionError
        If this system can't do it; it says why.

    Examples
    --------
    >>> small = LiveSetup(clients=2, seconds=0.5, archive_mib=1, accounts=50, link_mib_s=0)
    >>> if not why_not_live():
    ...     moved = hot_migration(small)
    ...     print(moved.outcome, moved.summary()["lost"], moved.summary()["doubled"])
    moved 0 0
    """
    setup = setup or LiveSetup()
    one_of("algorithm", algorithm, ALGORITHM_NAMES)
    seed = integer("seed", seed, minimum=0)
    if why_not_live():
        raise PermissionError(why_not_live())
    _check(fault)
    from virtlab.migration.live.audit import audit
    from virtlab.migration.live.room import Room

    with undoable(), Room(setup, seed, fault) as room:
        clients = _clients(room, setup, seed)
        try:
            ordered, outcome = _work(room, clients, setup, algorithm)
        finally:
            for client in clients:
                client.give_up()
        books = None
        if outcome != "lost":
            host = "target" if outcome == "moved" else "source"
            room.end(host)
            asked = [one for client in clients for one in client.payments]
            books = audit(room.memory(host), asked)
        return _result(room, clients, setup, algorithm, outcome, ordered, books)


def _check(fault: Fault | None) -> None:
    from virtlab.migration.live.source import SOURCE_STEPS
    from virtlab.migration.live.target import TARGET_STEPS

    if fault is not None:
        steps = {"source": SOURCE_STEPS, "target": TARGET_STEPS}
        one_of("fault", fault.step, steps[one_of("fault", fault.host, tuple(steps))])


def _clients(room: Room, setup: LiveSetup, seed: int) -> list[Client]:
    from virtlab.migration.live.clients import Client

    think_s = setup.think_ms / 1000
    clients = [
        Client(f"c{i + 1}", room.address, setup.accounts, think_s, seed=1000 * seed + i)
        for i in range(setup.clients)
    ]
    for client in clients:
        client.start()
    return clients


def _work(room: Room, clients: list[Client], setup: LiveSetup, algorithm: str) -> tuple[float, str]:
    """Let clients work, the machine move, and clients work on; return when it was ordered."""
    began = time.monotonic()
    words = f"{{elapsed}} of {setup.seconds:.0f} s"
    with tqdm(total=setup.seconds, bar_format=words, delay=2, disable=None) as bar:
        _wait(bar, setup.seconds * _BEFORE)
        ordered = time.monotonic()
        outcome = room.move(algorithm)
        left = began + setup.seconds - time.monotonic()
        _wait(bar, max(left, setup.seconds * _AFTER))
    for client in clients:
        if outcome == "lost":
            client.give_up()
        client.leave()
    for client in clients:
        client.join(60)
    return ordered, outcome


def _wait(bar: tqdm[NoReturn], seconds: float) -> None:
    while seconds > 0:
        time.sleep(min(seconds, 0.25))
        seconds -= 0.25
        bar.update(0.25)


def _result(
    room: Room,
    clients: list[Client],
    setup: LiveSetup,
    algorithm: str,
    outcome: str,
    ordered: float,
    books: Audit | None,
) -> HotMigration:
    """Put together what hosts, clients and books say; times count from the order."""
    payments = sorted(
        (one.answered - ordered, one.sent - ordered, number)
        for number, client in enumerate(clients)
        for one in client.payments
    )
    answered, sent, number = np.array(payments or np.empty((0, 3))).T
    told = {event.what: event.more for event in room.events}
    rounds = [event.more for event in room.events if event.what == "round"]
    return HotMigration(
        setup=setup,
        algorithm=algorithm,
        outcome=outcome,
        payments=Payments(number.astype(int), sent, answered),
        events=pd.DataFrame(
            [(event.host, event.what, event.time - ordered) for event in room.events],
            columns=["host", "what", "time_s"],
        ),
        rounds=pd.DataFrame({
            "round": [int(one["round"]) for one in rounds],
            "pages": [int(one["pages"]) for one in rounds],
            "start_s": [float(one["start"]) - ordered for one in rounds],
            "end_s": [float(one["end"]) - ordered for one in rounds],
            "paused": [bool(one["quiesced"]) for one in rounds],
        }),
        sent_bytes=int(told.get("sent", {}).get("bytes", 0)),
        left_pages=int(told.get("left", {}).get("pages", 0)),
        asked_pages=int(told.get("left", {}).get("asked", 0)),
        audit=books,
        restarts=room.restarts,
        reconnects=sum(max(client.reconnects, 0) for client in clients),
    )  # fmt: skip
