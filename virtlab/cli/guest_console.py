"""What `virtlab guest run` is plugged into: a console, keys from a file, a disk (S16)."""

from __future__ import annotations

import os
import shutil
import sys
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import typer

from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from virtlab.machine.computer import Computer
    from virtlab.machine.devices.wire import Key
    from virtlab.machine.guest_run import GuestRun
    from virtlab.machine.terminal import RawTerminal

__all__ = ["DiskFiles", "Wires"]

_DISK_LIMIT_MIB = 64
_LIMIT = 10_000_000  # instructions, of a run that nobody attends
_NO_LIMIT = 1 << 62
_HELLO = "The guest has your keys. Ctrl-A x or Ctrl-] ends it; Ctrl-A Ctrl-A sends Ctrl-A.\n"


@dataclass(frozen=True)
class DiskFiles:
    """A disk's files.

    Attributes
    ----------
    image, out
        Its contents; where to write them in the end.
    option
        Which option of the command line names it.

    Examples
    --------
    >>> DiskFiles().contents() is None
    True
    """

    image: Path | None = None
    out: Path | None = None
    option: str = "--disk"

    def check(self) -> None:
        """Refuse to write what is not there."""
        if self.out is not None and self.image is None:
            raise InvalidInputError(f"{self.option}-out", str(self.out), f"with {self.option}")

    def contents(self) -> bytes | None:
        """Read the disk's image; a size that is no disk's is refused before all of it is read."""
        if self.image is None:
            return None
        if not self.image.is_file():
            raise InvalidInputError(self.option, str(self.image), "a file that is there")
        size = self.image.stat().st_size
        if size > _DISK_LIMIT_MIB << 20:
            raise InvalidInputError(f"{self.option} bytes", size, f"at most {_DISK_LIMIT_MIB} MiB")
        return self.image.read_bytes()


@dataclass(frozen=True)
class Wires:
    """What a guest is plugged into.

    Attributes
    ----------
    console
        Whether terminal or pipe are its serial port.
    keys, record
        Files: what is typed; where to write what was typed.
    disks
        Files of its two disks.
    failed
        Options whose files could not be written.

    Examples
    --------
    >>> Wires().typed()
    ()
    """

    console: bool = False
    keys: Path | None = None
    record: Path | None = None
    disks: tuple[DiskFiles, DiskFiles] = (DiskFiles(), DiskFiles(option="--second-disk"))
    failed: list[str] = field(default_factory=list)

    def check(self, *, as_json: bool = False) -> None:
        """Refuse what does not go together, before anything runs.

        Parameters
        ----------
        as_json
            Whether JSON is to be printed.

        Raises
        ------
        InvalidInputError
            If so.
        """
        if self.console and as_json:
            allowed = "without --console: there the guest alone writes to the output"
            raise InvalidInputError("--json", as_json, allowed)
        if self.record is not None and not self.console:
            raise InvalidInputError("--record", str(self.record), "with --console")
        first, second = self.disks
        if second.image is not None and first.image is None:
            raise InvalidInputError(second.option, str(second.image), f"with {first.option}")
        outs = [("--record", self.record)]
        for disk in self.disks:
            disk.check()
            outs.append((f"{disk.option}-out", disk.out))
        for option, path in outs:
            if path is None:
                continue
            if not path.absolute().parent.is_dir() or (path.exists() and not path.is_file()):
                raise InvalidInputError(option, str(path), "a file in a folder that is there")

    def typed(self) -> Sequence[Key]:
        """Read the keys."""
        from virtlab.machine.key_script import parse_keys

        if self.keys is None:
            return ()
        if not self.keys.is_file():
            raise InvalidInputError("--keys", str(self.keys), "a file that is there")
        try:
            text = self.keys.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise InvalidInputError("--keys", str(self.keys), "a file of text") from error
        return parse_keys(text, "--keys")

    def run(self, computer: Computer, max_instructions: int | None) -> GuestRun:
        """Run a computer, and keep what is to be kept, however it ends.

        What can't be written is said and noted in `failed`: all else is kept all the same.

        Parameters
        ----------
        computer
            Which.
        max_instructions
            Of how many it is stopped; if not given ten million, or none with a console.

        Returns
        -------
        GuestRun
            What came of it.
        """
        from virtlab.machine.console import Console
        from virtlab.machine.key_script import write_keys

        if not self.console:
            try:
                return computer.run(max_instructions or _LIMIT, progress=True)
            finally:
                self._keep_disks(computer)
        source = sys.stdin.fileno()
        console = Console(source, sys.stdout.fileno(), escapes=os.isatty(source))
        try:
            with _raw(source):
                return computer.run(max_instructions or _NO_LIMIT, console=console)
        finally:
            self._keep_disks(computer)
            if self.record is not None:
                self._keep("--record", self.record, write_keys(console.typed).encode())

    def _keep_disks(self, computer: Computer) -> None:
        for files, disk in zip(self.disks, (computer.disk, computer.second_disk), strict=True):
            if files.out is not None and disk is not None:
                self._keep(f"{files.option}-out", files.out, disk.contents())

    def _keep(self, option: str, path: Path, data: bytes) -> None:
        """Write a file; note and say it if that can't be done: the run is not to be lost by it."""
        try:
            _write(path, data)
        except OSError as error:
            allowed = f"a file that can be written ({error.strerror}); it is as it was"
            typer.echo(f"virtlab: {InvalidInputError(option, str(path), allowed)}", err=True)
            self.failed.append(option)


def _raw(source: int) -> RawTerminal | nullcontext[None]:
    """Make it raw if it is a terminal, and say how to leave."""
    if not os.isatty(source):
        return nullcontext()
    from virtlab.machine.terminal import RawTerminal

    typer.echo(_HELLO, err=True)
    return RawTerminal(source)


def _write(path: Path, data: bytes) -> None:
    """Write a file that is whole at once; until then the one before stays."""
    path = path.resolve()  # a link goes on being one
    beside = path.with_name(f"{path.name}.part")
    try:
        with beside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            shutil.copymode(path, beside)
        beside.replace(path)
    except OSError:
        beside.unlink(missing_ok=True)
        raise
