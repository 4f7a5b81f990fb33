"""The client speaks to a QEMU of our own making, which also errs, interrupts, and dies."""

from __future__ import annotations

import json
import socket
import threading
from typing import TYPE_CHECKING

import pytest

from virtlab.migration.lab.qmp import Qmp, QmpClosedError, QmpError, QmpRefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

GREETING = {"QMP": {"version": {"qemu": {"major": 9, "minor": 1, "micro": 0}}, "capabilities": []}}
STOP = {"event": "STOP", "timestamp": {"seconds": 100, "microseconds": 250_000}}
MOVED = {
    "event": "MIGRATION",
    "data": {"status": "active"},
    "timestamp": {"seconds": 100, "microseconds": 0},
}

Script = list[tuple[str, list[object]]]  # what we expect to be asked, and what we then say


def encoded(message: object) -> bytes:
    return message if isinstance(message, bytes) else json.dumps(message).encode() + b"\r\n"


class Played:
    """The other end of a connection: greets, answers by a script, then closes."""

    def __init__(self, script: Script, *, greeting: object = GREETING, stays: bool = False) -> None:
        self.ours, self.theirs = socket.socketpair()
        self.heard: list[dict[str, object]] = []
        self.done = threading.Event()
        self.script: Script = [("qmp_capabilities", [{"return": {}}]), *script]
        self.greeting = greeting
        self.stays = stays
        self.thread = threading.Thread(target=self.play, daemon=True)
        self.thread.start()

    def play(self) -> None:
        self.theirs.sendall(encoded(self.greeting))
        lines = self.theirs.makefile("rb")
        for expected, answers in self.script:
            line = lines.readline()
            if not line:
                break
            self.heard.append(json.loads(line))
            assert self.heard[-1]["execute"] == expected
            for answer in answers:
                self.theirs.sendall(encoded(answer))
        if self.stays:
            self.done.wait(5)
        lines.close()
        self.theirs.close()

    def connect(self, timeout_s: float = 5) -> Qmp:
        return Qmp(self.ours, timeout_s=timeout_s)

    def end(self) -> None:
        self.done.set()
        self.ours.close()
        self.thread.join(5)


@pytest.fixture
def played() -> Iterator[Callable[..., Played]]:
    """Make players, and end them."""
    all_of_them: list[Played] = []

    def make(script: Script, **how: object) -> Played:
        all_of_them.append(Played(script, **how))  # type: ignore[arg-type]  # passed on as it is
        return all_of_them[-1]

    yield make
    for each in all_of_them:
        each.end()


def test_it_greets_then_asks(played: Callable[..., Played]) -> None:
    player = played([("query-status", [{"return": {"running": True}}])])
    qmp = player.connect()
    assert qmp.version == "9.1.0"
    assert qmp.execute("query-status") == {"running": True}
    assert player.heard == [{"execute": "qmp_capabilities"}, {"execute": "query-status"}]


def test_arguments_have_the_names_that_qemu_knows(played: Callable[..., Played]) -> None:
    player = played([("migrate-set-parameters", [{"return": {}}])])
    player.connect().execute("migrate-set-parameters", max_bandwidth=2**26, downtime_limit=300)
    assert player.heard[-1]["arguments"] == {"max-bandwidth": 2**26, "downtime-limit": 300}


def test_events_between_question_and_answer_are_kept_in_order(
    played: Callable[..., Played],
) -> None:
    player = played([("query-migrate", [MOVED, STOP, {"return": {"status": "active"}}])])
    qmp = player.connect()
    assert qmp.execute("query-migrate") == {"status": "active"}
    assert [(event.name, event.time_s) for event in qmp.events] == [
        ("MIGRATION", 100.0),
        ("STOP", 100.25),
    ]
    assert qmp.events[0].data == {"status": "active"}


def test_an_event_is_waited_for_and_one_that_has_come_is_found(
    played: Callable[..., Played],
) -> None:
    player = played([("migrate", [{"return": {}}, MOVED, STOP])], stays=True)
    qmp = player.connect()
    qmp.execute("migrate", uri="tcp:127.0.0.1:1")
    stopped = qmp.wait_for("STOP", timeout_s=5)
    assert stopped is not None
    assert stopped.time_s == 100.25
    assert qmp.wait_for("MIGRATION", timeout_s=0) == qmp.events[0]
    assert qmp.wait_for("MIGRATION", timeout_s=0.01, since=1) is None


def test_waiting_in_vain_ends_and_what_comes_after_is_not_lost(
    played: Callable[..., Played],
) -> None:
    player = played([("query-status", [STOP, {"return": {}}])], stays=True)
    qmp = player.connect()
    assert qmp.wait_for("RESUME", timeout_s=0.05) is None
    assert qmp.execute("query-status") == {}
    assert qmp.events[0].name == "STOP"


def test_an_answer_in_pieces_is_put_together(played: Callable[..., Played]) -> None:
    pieces: list[object] = [b'{"retu', b'rn": {"status"', b': "active"}}\r', b"\n"]
    assert played([("query-migrate", pieces)]).connect().execute("query-migrate") == {
        "status": "active"
    }


def test_two_messages_in_one_piece_are_two(played: Callable[..., Played]) -> None:
    both = encoded(STOP) + encoded({"return": 1})
    player = played([("a", [both]), ("b", [{"return": 2}])])
    qmp = player.connect()
    assert (qmp.execute("a"), qmp.execute("b")) == (1, 2)


def test_a_refusal_names_the_command_and_the_reason(played: Callable[..., Played]) -> None:
    refusal = {"error": {"class": "GenericError", "desc": "Bandwidth is too small"}}
    player = played([("migrate-set-parameters", [refusal]), ("query-status", [{"return": {}}])])
    qmp = player.connect()
    with pytest.raises(QmpRefusedError, match="migrate-set-parameters: Bandwidth is") as caught:
        qmp.execute("migrate-set-parameters")
    assert (caught.value.kind, caught.value.text) == ("GenericError", "Bandwidth is too small")
    assert qmp.execute("query-status") == {}  # the connection is as good as before


def test_a_qemu_that_dies_in_the_middle_of_an_answer_is_said_to_be_gone(
    played: Callable[..., Played],
) -> None:
    qmp = played([("query-migrate", [b'{"return": {"sta'])]).connect()
    with pytest.raises(QmpClosedError, match="QEMU is gone"):
        qmp.execute("query-migrate")
    with pytest.raises(QmpClosedError, match="gone"):
        qmp.execute("query-migrate")
    with pytest.raises(QmpClosedError, match="gone"):
        qmp.wait_for("STOP", timeout_s=1)


def test_a_qemu_that_says_nothing_is_not_waited_for_for_ever(played: Callable[..., Played]) -> None:
    qmp = played([("query-migrate", [])], stays=True).connect(timeout_s=0.1)
    with pytest.raises(QmpClosedError, match=r"query-migrate is unanswered after 0\.1 s"):
        qmp.execute("query-migrate")


@pytest.mark.parametrize(
    "greeting", [b"SSH-2.0-OpenSSH\r\n", b"[1]\r\n", {"QMP": {}}, {"return": {}}, {"QMP": None}]
)
def test_what_is_no_qemu_is_told_from_one(played: Callable[..., Played], greeting: object) -> None:
    with pytest.raises(QmpError, match="no QEMU answers, but"):
        played([], greeting=greeting).connect()


def test_where_nobody_listens_is_said_after_the_time(tmp_path: Path) -> None:
    with pytest.raises(QmpClosedError, match="no QEMU listens at"):
        Qmp.connect(tmp_path / "qmp", timeout_s=0.1)


def test_it_waits_for_the_socket_to_appear(tmp_path: Path) -> None:
    path = tmp_path / "qmp"

    def appear() -> None:
        server = socket.socket(socket.AF_UNIX)
        server.bind(str(path))
        server.listen()
        connection, _ = server.accept()
        connection.sendall(encoded(GREETING))
        connection.recv(1000)
        connection.sendall(encoded({"return": {}}))
        connection.close()
        server.close()

    later = threading.Timer(0.1, appear)
    later.start()
    with Qmp.connect(path, timeout_s=5) as qmp:
        assert qmp.version == "9.1.0"
    later.join(5)


def test_a_listener_that_hangs_up_does_not_leave_a_socket(tmp_path: Path) -> None:
    path = tmp_path / "qmp"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()

        def hang_up() -> None:
            server.accept()[0].close()

        hanging_up = threading.Thread(target=hang_up)
        hanging_up.start()
        with pytest.raises(QmpClosedError, match="gone"):
            Qmp.connect(path, timeout_s=1)
        hanging_up.join(5)
