"""A terminal that hands every key over at once, and gets its settings back whatever happens (S16).

Usually a terminal collects a line, lets it be corrected, echoes it, and turns Ctrl-C into a signal.
All that is for the guest to do when its console is here, so the terminal is made **raw** while it
runs. What it writes is left as it was: a guest that ends its lines with LF alone looks right.
"""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING, Any, Self

from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from types import FrameType, TracebackType

__all__ = ["Escape", "RawTerminal"]

_CTRL_A, _CTRL_BRACKET = 0x01, 0x1D


class Escape:
    r"""Finds the keys that are for us in what is typed.

    Examples
    --------
    >>> escape = Escape()
    >>> escape(b"ls\r")
    (b'ls\r', False)
    >>> escape(b"a\x01\x01b\x01")  # Ctrl-A twice is one for the guest; the last waits
    (b'a\x01b', False)
    >>> escape(b"x")
    (b'', True)
    >>> Escape()(b"y\x1dz")
    (b'y', True)
    """

    def __init__(self) -> None:
        self._began = False

    def __call__(self, came: bytes) -> tuple[bytes, bool]:
        """Return what is for the guest, and whether the person leaves.

        Parameters
        ----------
        came
            What was typed.
        """
        passed = bytearray()
        for byte in came:
            if self._began:
                self._began = False
                if byte in b"xX":
                    return bytes(passed), True
                passed += bytes([_CTRL_A] if byte == _CTRL_A else [_CTRL_A, byte])
            elif byte == _CTRL_BRACKET:
                return bytes(passed), True
            elif byte == _CTRL_A:
                self._began = True
            else:
                passed.append(byte)
        return bytes(passed), False


class RawTerminal:
    """Makes a terminal raw while it is open.

    Ends by a signal (SIGTERM, SIGHUP) too give the settings back; only SIGKILL does not.

    Parameters
    ----------
    descriptor
        Of the terminal.

    Raises
    ------
    InvalidInputError
        Where terminals are not POSIX's.

    Examples
    --------
    >>> import os, termios
    >>> ours, theirs = os.openpty()
    >>> with RawTerminal(theirs):
    ...     bool(termios.tcgetattr(theirs)[3] & termios.ECHO)
    False
    >>> bool(termios.tcgetattr(theirs)[3] & termios.ECHO)
    True
    """

    def __init__(self, descriptor: int) -> None:
        try:
            import termios
        except ModuleNotFoundError as error:
            raise InvalidInputError("--console", "no termios", "on Linux, macOS or BSD") from error
        self._termios: Any = termios
        self._descriptor = descriptor
        self._handlers: dict[int, Any] = {}

    def __enter__(self) -> Self:
        """Make it raw."""
        import tty

        self._before = self._termios.tcgetattr(self._descriptor)
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGHUP):
                self._handlers[number] = signal.signal(number, _end)
        tty.setraw(self._descriptor, self._termios.TCSADRAIN)
        mode = self._termios.tcgetattr(self._descriptor)
        mode[1] = self._before[1]  # what is written
        self._termios.tcsetattr(self._descriptor, self._termios.TCSADRAIN, mode)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give it back as it was."""
        self._termios.tcsetattr(self._descriptor, self._termios.TCSADRAIN, self._before)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)


def _end(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
