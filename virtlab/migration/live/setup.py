"""What is moved, who uses it meanwhile, and over which link: the input of a live migration."""

from __future__ import annotations

import importlib.util
import os
import socket
from dataclasses import dataclass

from virtlab.validate import integer, number

__all__ = ["Fault", "LiveSetup", "why_not_live"]

_PAYMENT_BYTES = 200  # with its place in the index, twice over
_MOST_PAYMENTS_A_SECOND = 10_000


@dataclass(frozen=True)
class LiveSetup:
    """A database server, its clients, and a link.

    Attributes
    ----------
    clients
        How many, each with a connection of its own.
    seconds
        For how long they work at least, s; they also work until the migration is over.
    archive_mib
        What is in memory and never changes, MiB.
    accounts
        What changes: nine accounts on a page, each payment changes two.
    think_ms
        How long a client waits from one request to the next, ms.
    link_mib_s
        Bandwidth between the hosts, MiB/s; 0 for all there is.
    downtime_limit_ms
        Pre-copy stops its rounds when what is left takes no longer, ms.
    most_rounds
        Or after so many rounds.
    patience_s
        After how long without a sign a host counts as dead, s.

    Examples
    --------
    >>> LiveSetup(archive_mib=8, accounts=900).pages
    5681
    >>> LiveSetup(clients=0)
    Traceback (most recent call last):
    virtlab.validate.InvalidInputError: clients = 0: must be a whole number from 1 to 100
    """

    clients: int = 4
    seconds: float = 5.0
    archive_mib: float = 24.0
    accounts: int = 6000
    think_ms: float = 2.0
    link_mib_s: float = 64.0
    downtime_limit_ms: float = 10.0
    most_rounds: int = 12
    patience_s: float = 10.0

    def __post_init__(self) -> None:
        """Check every field."""
        integer("clients", self.clients, minimum=1, maximum=100)
        number("seconds", self.seconds, minimum=0.2, maximum=3600)
        number("archive_mib", self.archive_mib, minimum=0, maximum=1024)
        integer("accounts", self.accounts, minimum=2, maximum=1_000_000)
        number("think_ms", self.think_ms, minimum=0, maximum=60_000)
        number("link_mib_s", self.link_mib_s, minimum=0)
        number("downtime_limit_ms", self.downtime_limit_ms, minimum=0)
        integer("most_rounds", self.most_rounds, minimum=1, maximum=1000)
        number("patience_s", self.patience_s, minimum=0.1, maximum=3600)

    @property
    def pages(self) -> int:
        """Size of the machine's memory, pages: what is in it at first, and room for payments.

        Zeros are not sent, so there may be plenty.
        """
        a_second = min(1000 * self.clients / max(self.think_ms, 0.1), _MOST_PAYMENTS_A_SECOND)
        payments = a_second * (self.seconds + self.patience_s) * _PAYMENT_BYTES / 4096
        return 2048 + round(257 * self.archive_mib) + self.accounts // 8 + round(payments)


@dataclass(frozen=True)
class Fault:
    """A signal that hits a host at a step of the migration.

    Attributes
    ----------
    host
        source or target.
    step
        One of `SOURCE_STEPS` or `TARGET_STEPS`.
    how
        Number of the signal: 9 kills, 19 (SIGSTOP) makes silent.

    Examples
    --------
    >>> Fault("target", "claimed").how
    9
    """

    host: str
    step: str
    how: int = 9


def why_not_live() -> str:
    """Return why this machine can't do it, or nothing if it can.

    Returns
    -------
    str
        A sentence, or ''.

    Examples
    --------
    >>> why_not_live() in ("", "The package apsw is missing: python -m pip install apsw")
    True
    """
    if not hasattr(socket, "send_fds") or not hasattr(os, "symlink") or os.name == "nt":
        return "This system can't hand an open connection to another process; Linux and macOS can."
    if importlib.util.find_spec("apsw") is None:
        return "The package apsw is missing: python -m pip install apsw"
    return ""
