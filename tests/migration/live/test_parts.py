"""The parts alone: server, wire, claim, clients, and an audit that finds what is wrong."""

from __future__ import annotations

import os
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from virtlab.migration.live.audit import audit
from virtlab.migration.live.bank import Bank, found
from virtlab.migration.live.claim import claim, owner
from virtlab.migration.live.clients import Client, Payment
from virtlab.migration.live.memory import PAGE_BYTES, OwnedMemory, memory_file
from virtlab.migration.live.server import Connection, Server
from virtlab.migration.live.target import Arrival
from virtlab.migration.live.tell import Teller
from virtlab.migration.live.vfs import opened
from virtlab.migration.live.wire import FRAME, Pace, receive, send_pages, send_word

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def new_memory(pages: int = 400) -> OwnedMemory:
    file = memory_file(pages)
    memory = OwnedMemory(file)
    os.close(file)
    return memory


@pytest.fixture
def bank() -> tuple[OwnedMemory, Bank]:
    memory = new_memory()
    found(memory, accounts=10, archive_mib=0, seed=1)
    return memory, Bank(memory)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made


def test_bad_lines_are_answered_and_change_nothing(bank: tuple[OwnedMemory, Bank]) -> None:
    memory, server = bank
    for line in ("", "pay", "pay r1 1 2", "pay r1 1 2 x", "pay r1 1 99 5", "balance r1 77", "drop"):
        assert server.answer(line).startswith("no "), line
    assert audit(memory, []).clean
    assert server.answer("balance r2 1") == "ok r2 1000"


PAID = Payment("r1", 1, 2, 5, 0.0, 0.1)


@pytest.mark.parametrize(
    ("damage", "wrong"),
    [
        ("delete from payment", {"lost": 1, "wrong_balances": 2}),
        ("insert into payment select * from payment", {"doubled": 1}),
        ("update account set balance = balance + 1 where number = 7", {"wrong_balances": 1}),
        ("insert into payment values ('r9', 1, 2, 5)", {"unknown": 1}),
    ],
)
def test_the_audit_finds_what_is_wrong(
    bank: tuple[OwnedMemory, Bank], damage: str, wrong: dict[str, int]
) -> None:
    memory, server = bank
    assert server.answer("pay r1 1 2 5") == "ok r1"
    assert audit(memory, [PAID]).clean
    server.close()
    opened(memory).execute(damage)
    told = audit(memory, [PAID])
    assert not told.clean
    assert {key: getattr(told, key) for key in wrong} == wrong


def test_a_payment_without_an_answer_may_be_there_or_not(bank: tuple[OwnedMemory, Bank]) -> None:
    memory, server = bank
    asked = Payment("r1", 1, 2, 5, 0.0)  # never answered
    assert audit(memory, [asked]).clean
    server.answer("pay r1 1 2 5")
    assert audit(memory, [asked]).clean


def test_of_many_claims_one_is_granted(tmp_path: Path) -> None:
    names = [f"host{i}" for i in range(8)]
    with ThreadPoolExecutor(8) as pool:
        granted = list(pool.map(lambda name: claim(tmp_path, name), names))
    assert granted.count(True) == 1
    assert owner(tmp_path) == names[granted.index(True)]
    assert claim(tmp_path, owner(tmp_path))


@settings(max_examples=30, deadline=None)
@given(st.sets(st.integers(0, 99), max_size=80), st.integers(0, 2**32 - 1))
def test_pages_come_to_their_places(chosen: set[int], seed: int) -> None:
    source, target = new_memory(100), new_memory(100)
    source.view[:] = np.random.default_rng(seed).bytes(100 * PAGE_BYTES)
    here, there = socket.socketpair()
    control, _other = socket.socketpair()
    with here, there, control, _other:
        taker = threading.Thread(target=Arrival(target, there, Teller(control)).receive)
        taker.start()
        pages = np.array(sorted(chosen), dtype=np.int64)
        pace = Pace(0)
        send_pages(here, source.view, pages, pace)
        send_word(here, b"B")
        assert FRAME.unpack(receive(here, FRAME.size)) == (b"H", 0)
        taker.join()
    assert pace.sent_bytes == len(chosen) * (PAGE_BYTES + 8)
    for page in range(100):
        place = slice(page * PAGE_BYTES, (page + 1) * PAGE_BYTES)
        expected = bytes(source.view[place]) if page in chosen else bytes(PAGE_BYTES)
        assert bytes(target.view[place]) == expected


def test_a_paced_link_is_not_faster_than_it_may_be() -> None:
    pace, start = Pace(10), time.monotonic()
    for _ in range(20):
        pace.wait(2**16)
    assert time.monotonic() - start > 0.1  # 1.25 MiB at 10 MiB/s, less 10 ms of credit


def test_a_quiesced_server_holds_requests_and_then_answers_each_once(
    listener: socket.socket,
) -> None:
    seen: list[str] = []

    def execute(line: str) -> str:
        seen.append(line)
        return line.upper()

    server = Server(listener, execute, threading.Lock())
    server.start()
    server.start()  # it runs already: nothing happens
    with socket.create_connection(listener.getsockname()) as client:
        client.sendall(b"one\n")
        assert client.recv(100) == b"ONE\n"
        server.quiesce()
        server.quiesce()  # it stands already
        client.sendall(b"two\nthr")
        client.settimeout(0.05)
        with pytest.raises(TimeoutError):
            client.recv(100)
        server.start()
        client.settimeout(10)
        client.sendall(b"ee\n")
        answers = b""
        while answers.count(b"\n") < 2:
            answers += client.recv(100)
    server.close()
    assert answers == b"TWO\nTHREE\n"
    assert seen == ["one", "two", "three"]


def test_what_was_under_way_on_a_connection_goes_on_elsewhere(listener: socket.socket) -> None:
    ours, theirs = socket.create_connection(listener.getsockname()), listener.accept()[0]
    under_way = Connection(theirs, asked=b"read before\nhal", answer=b"not sent yet\n")
    server = Server(listener, str.upper, threading.Lock(), [under_way])
    server.start()
    with ours:
        ours.sendall(b"f\n")
        answers = b""
        while answers.count(b"\n") < 3:
            answers += ours.recv(100)
    server.close()
    assert answers == b"not sent yet\nREAD BEFORE\nHALF\n"


def test_a_client_asks_again_with_the_same_number(listener: socket.socket) -> None:
    client = Client("c1", listener.getsockname(), 10, 0.001, seed=1)
    client.start()
    first, _ = listener.accept()
    with first:
        asked = receive(first, 8)
    again, _ = listener.accept()  # the first connection broke: it is back
    with again, again.makefile("rw") as lines:
        line = lines.readline()
        assert line.startswith(asked.decode())
        client.leave()
        lines.write(f"ok {line.split()[1]}\n")
        lines.flush()
        client.join(10)
    assert client.reconnects == 1
    assert [one.request for one in client.payments] == [line.split()[1]]
    assert client.payments[0].answered > client.payments[0].sent


def test_two_clients_with_one_seed_ask_for_the_same() -> None:
    one, other = (Client("c1", ("127.0.0.1", 1), 50, 0.0, seed=3) for _ in range(2))
    pairs = [(one._next(), other._next()) for _ in range(5)]
    for mine, theirs in pairs:
        assert (mine.payer, mine.payee, mine.amount) == (theirs.payer, theirs.payee, theirs.amount)
        assert mine.payer != mine.payee
