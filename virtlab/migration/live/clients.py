"""Clients of the database: each asks, waits for the answer, and writes down when it came.

A client numbers its requests. While its connection lasts it asks each once. If the connection
breaks, as a host was killed, it connects again and asks again *with the same number*, until it is
answered; the server then knows whether it has executed that before.
"""

from __future__ import annotations

import socket
import threading
import time
from dataclasses import dataclass

import numpy as np

__all__ = ["Client", "Payment"]

_RETRY_S = 0.02


@dataclass
class Payment:
    """A payment, as its client knows it.

    Attributes
    ----------
    request
        Its number.
    payer, payee, amount
        Who pays how much to whom.
    sent, answered
        When, on the clock that all processes share, s; nan if there was no answer.
    """

    request: str
    payer: int
    payee: int
    amount: int
    sent: float
    answered: float = float("nan")


class Client(threading.Thread):
    """A client, in a thread of its own.

    Parameters
    ----------
    name
        Beginning of its requests' numbers.
    address
        Of the server.
    accounts
        How many there are.
    think_s
        From an answer, or the time it was due, to the next request, s.
    seed
        Of what it asks.

    Attributes
    ----------
    payments
        What it has asked for.
    reconnects
        How often it has had to connect again.
    refused
        Answers other than ok.

    Examples
    --------
    >>> Client("c0", ("127.0.0.1", 1), 10, 0.01, seed=1).payments
    []
    """

    def __init__(
        self, name: str, address: tuple[str, int], accounts: int, think_s: float, *, seed: int
    ) -> None:
        super().__init__(name=name, daemon=True)
        self.payments: list[Payment] = []
        self.reconnects = -1  # the first connection is none again
        self.refused: list[str] = []
        self._address, self._accounts, self._think_s = address, accounts, think_s
        self._rng = np.random.default_rng(seed)
        self._leave, self._hurry = threading.Event(), threading.Event()
        self._socket: socket.socket | None = None

    def leave(self) -> None:
        """Ask no more; wait for the answer that is due.

        Examples
        --------
        >>> Client("c0", ("127.0.0.1", 1), 10, 0.01, seed=1).leave()
        """
        self._leave.set()

    def give_up(self) -> None:
        """Do not wait for any answer.

        Examples
        --------
        >>> Client("c0", ("127.0.0.1", 1), 10, 0.01, seed=1).give_up()
        """
        self._leave.set()
        self._hurry.set()

    def run(self) -> None:
        """Work until told to leave."""
        due = time.monotonic() + float(self._rng.uniform(0, self._think_s))
        while not self._leave.wait(max(0.0, due - time.monotonic())):
            payment = self._next()
            self.payments.append(payment)
            self._ask(payment)
            due = max(due + self._think_s, time.monotonic())
        if self._socket is not None:
            self._socket.close()

    def _next(self) -> Payment:
        payer, payee = self._rng.choice(self._accounts, 2, replace=False).tolist()
        amount = int(self._rng.integers(1, 100))
        number = f"{self.name}-{len(self.payments) + 1:06}"
        return Payment(number, payer, payee, amount, time.monotonic())

    def _ask(self, payment: Payment) -> None:
        line = f"pay {payment.request} {payment.payer} {payment.payee} {payment.amount}\n"
        while not self._hurry.is_set():
            try:
                answer = self._once(line)
            except OSError:
                if self._socket is not None:
                    self._socket.close()
                self._socket = None
                time.sleep(_RETRY_S)
                continue
            if answer == f"ok {payment.request}":
                payment.answered = time.monotonic()
            else:
                self.refused.append(answer)
            return

    def _once(self, line: str) -> str:
        """Send a line and return the answer, over the connection there is or a new one."""
        if self._socket is None:
            self._socket = socket.create_connection(self._address, timeout=_RETRY_S * 10)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket.settimeout(0.5)
            self.reconnects += 1
        self._socket.sendall(line.encode())
        answer = b""
        while not answer.endswith(b"\n"):
            try:
                got = self._socket.recv(4096)
            except TimeoutError:
                if self._hurry.is_set():
                    raise
                continue  # a pause is none of its business
            if not got:
                raise ConnectionError("the server is gone")
            answer += got
        return answer.decode().rstrip("\n")
