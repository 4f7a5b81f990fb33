"""`virtlab guest run --console`: at a terminal, through pipes, and what it leaves behind."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from virtlab.machine.guests import shell

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SHELL = str(shell())
MAIN = "from virtlab.cli import main; main()"
DISK = b"A" * 512 + b"B" * 512


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-c", MAIN, "guest", "run", SHELL, *arguments]


def run(text: bytes, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        command(*arguments), input=text, capture_output=True, timeout=120, check=False
    )


class Person:
    """Somebody at a terminal of their own."""

    def __init__(self, *arguments: str) -> None:
        self.ours, theirs = os.openpty()
        self.theirs = theirs
        self.termios: Any = pytest.importorskip("termios")
        self.before = self.termios.tcgetattr(theirs)
        self.guest = subprocess.Popen(command("--console", *arguments),
                                      stdin=theirs, stdout=theirs, stderr=theirs)  # fmt: skip
        self.seen = ""

    def reads(self, until: str) -> str:
        """Return what is new on the terminal up to some text."""
        before = len(self.seen)
        while until not in self.seen[before:]:
            ready, _, _ = select.select([self.ours], [], [], 30)
            assert ready, f"{until!r} does not come after {self.seen[before:]!r}"
            self.seen += os.read(self.ours, 1024).decode()
        return self.seen[before:]

    def types(self, text: bytes) -> None:
        os.write(self.ours, text)

    def settings(self) -> Any:
        return self.termios.tcgetattr(self.theirs)


@pytest.fixture
def person() -> Iterator[type[Person]]:
    people: list[Person] = []

    class Here(Person):
        def __init__(self, *arguments: str) -> None:
            super().__init__(*arguments)
            people.append(self)

    yield Here
    for one in people:
        if one.guest.poll() is None:
            one.guest.kill()
        one.guest.wait()
        os.close(one.ours)
        os.close(one.theirs)


@pytest.mark.parametrize("leave", [b"\x1d", b"\x01x"], ids=["Ctrl-]", "Ctrl-A x"])
def test_a_person_talks_to_it_and_leaves(person: type[Person], leave: bytes) -> None:
    one = person()
    said = one.reads("> ")
    assert "Ctrl-A x or Ctrl-] ends it" in said
    assert said.endswith("virtlab shell; try help\r\n> ")
    assert not one.settings()[3] & one.termios.ECHO
    one.types(b"calc 6*8")
    assert one.reads("calc 6*8") == "calc 6*8"  # once: the guest echoes, the terminal does not
    one.types(b"\x7f7\r\x03")  # Ctrl-C is a key that the shell does not know
    assert one.reads("> ") == "\b \b7\r\n42\r\n> "
    one.types(leave)
    assert "you left its console" in one.reads("It trapped")
    assert one.guest.wait(30) == 0
    assert one.settings() == one.before


def test_the_terminal_is_given_back_when_the_guest_ends(person: type[Person]) -> None:
    one = person()
    one.reads("> ")
    one.types(b"exit 4\r")
    assert "ended by itself with 4" in one.reads("It trapped")
    assert one.guest.wait(30) == 0
    assert one.settings() == one.before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_the_terminal_is_given_back_after_a_signal(
    person: type[Person], number: signal.Signals
) -> None:
    one = person()
    one.reads("> ")
    one.guest.send_signal(number)
    assert one.guest.wait(30) == 128 + number
    assert one.settings() == one.before


def test_a_person_who_thinks_costs_nothing(person: type[Person]) -> None:
    one = person()
    one.reads("> ")
    before = _seconds(one.guest.pid)
    time.sleep(1)
    assert _seconds(one.guest.pid) - before < 0.15
    one.types(b"\x1d")
    assert one.guest.wait(30) == 0


def _seconds(process: int) -> float:
    try:
        with open(f"/proc/{process}/stat", encoding="ascii") as file:  # noqa: PTH123 - of a process
            fields = file.read().rpartition(")")[2].split()
    except FileNotFoundError:
        pytest.skip("no /proc here to say how much a process has used")
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_pipes_disk_and_record_and_the_same_again(tmp_path: Path) -> None:
    image, keys, out = tmp_path / "image", tmp_path / "keys", tmp_path / "out"
    image.write_bytes(DISK)
    words = ("--disk", str(image))
    script = b"read 0\nwrite 1 mine\nread 1\nexit\n"
    done = run(script, "--console", *words, "--disk-out", str(out), "--record", str(keys))
    assert done.returncode == 0
    assert done.stdout.startswith(b"virtlab shell; try help\n> read 0\n41 41 ")
    assert b"ended by itself" in done.stderr
    assert b"Ctrl-A" not in done.stderr  # that is for people
    assert image.read_bytes() == DISK  # as it was
    assert out.read_bytes() == DISK[:512] + b"mine".ljust(512, b"\0")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["image", "keys", "out"]
    again = run(b"", *words, "--keys", str(keys))
    assert again.stdout.startswith(done.stdout)
    count = done.stderr.split(b"The guest did ")[1].split()[0]
    assert b"The guest did %s instructions" % count in again.stdout


def test_a_second_disk_is_read_and_written_to_its_own_file(tmp_path: Path) -> None:
    images, outs = [tmp_path / "one", tmp_path / "two"], [tmp_path / "1", tmp_path / "2"]
    words: list[str] = []
    for option, image, out in zip(("--disk", "--second-disk"), images, outs, strict=True):
        image.write_bytes(DISK if option == "--disk" else DISK[::-1])
        words += [option, str(image), f"{option}-out", str(out)]
    assert run(b"write 1 mine\nexit\n", "--console", *words).returncode == 0
    assert outs[0].read_bytes() == DISK[:512] + b"mine".ljust(512, b"\0")
    assert outs[1].read_bytes() == images[1].read_bytes() == DISK[::-1]


def test_the_image_itself_is_written_only_if_asked_and_stays_a_link(tmp_path: Path) -> None:
    image, link = tmp_path / "image", tmp_path / "link"
    image.write_bytes(DISK)
    image.chmod(0o640)
    link.symlink_to(image)
    words = ("--disk", str(link), "--disk-out", str(link))
    assert run(b"write 0 new\n", "--console", *words).returncode == 0  # the script ends, no exit
    assert link.is_symlink()
    assert image.read_bytes() == b"new".ljust(512, b"\0") + DISK[512:]
    assert image.stat().st_mode & 0o777 == 0o640


def test_a_guest_that_a_signal_ends_loses_nothing(person: type[Person], tmp_path: Path) -> None:
    image, keys = tmp_path / "image", tmp_path / "keys"
    image.write_bytes(DISK)
    one = person("--disk", str(image), "--disk-out", str(image), "--record", str(keys))
    one.reads("> ")
    one.types(b"write 1 kept\r")
    one.reads("> ")
    one.guest.terminate()
    assert one.guest.wait(30) == 128 + signal.SIGTERM
    assert image.read_bytes()[512:516] == b"kept"
    assert keys.read_text(encoding="utf-8").count("\n") == 1 + len("write 1 kept\r")


def test_a_disk_that_cannot_be_written_is_said_and_nothing_else_is_lost(tmp_path: Path) -> None:
    resource: Any = pytest.importorskip("resource")
    image, keys, out = tmp_path / "image", tmp_path / "keys", tmp_path / "out"
    image.write_bytes(DISK)
    out.write_bytes(b"before")
    words = ("--disk", str(image), "--disk-out", str(out), "--record", str(keys))
    done = subprocess.run(
        command("--console", *words), input=b"write 1 mine\nexit\n", capture_output=True,
        timeout=120, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (512, 512)),
    )  # fmt: skip
    assert done.returncode == 2
    says = f"virtlab: --disk-out = '{out}': must be a file that can be written (File too large)"
    assert says in done.stderr.decode()
    assert b"Traceback" not in done.stderr
    assert b"ended by itself" in done.stderr
    assert out.read_bytes() == b"before"
    assert keys.read_text(encoding="utf-8").count("\n") == 1 + len("write 1 mine\nexit\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["image", "keys", "out"]


def test_a_device_is_not_replaced_by_a_file(tmp_path: Path) -> None:
    image, pipe = tmp_path / "image", tmp_path / "pipe"
    image.write_bytes(DISK)
    os.mkfifo(pipe)  # as /dev/null would be
    done = run(b"", "--disk", str(image), "--disk-out", str(pipe))
    assert done.returncode == 2
    assert b"must be a file in a folder that is there" in done.stderr
    assert pipe.is_fifo()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--console", "--json"), "--json = True: must be without --console"),
        (("--record", "x"), "--record = 'x': must be with --console"),
        (("--disk-out", "x"), "--disk-out = 'x': must be with --disk"),
        (("--second-disk-out", "x"), "--second-disk-out = 'x': must be with --second-disk"),
        (("--second-disk", SHELL), "must be with --disk"),
        (("--console", "--record", "/no/such/x"), "a file in a folder that is there"),
        (("--keys", "/no/keys"), "--keys = '/no/keys': must be a file that is there"),
        (("--keys", SHELL), "--keys"),
        (("--keys", __file__), "--keys, line 1 = "),
    ],
)
def test_bad_input_is_one_line(arguments: tuple[str, ...], says: str) -> None:
    done = run(b"", *arguments)
    assert done.returncode == 2
    assert done.stdout == b""
    assert done.stderr.decode().startswith("virtlab: ")
    assert says in done.stderr.decode()
    assert done.stderr.count(b"\n") == 1
