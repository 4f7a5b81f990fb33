"""What has been changed is put back, also when the person or the system ends the program.

Ctrl-C raises `KeyboardInterrupt`, so `finally` runs. SIGTERM and SIGHUP end a program at once and
nothing runs; inside `undoable` they raise `SystemExit` instead. Nothing helps against SIGKILL.
"""

from __future__ import annotations

import signal
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

__all__ = ["undoable"]


@contextmanager
def undoable() -> Iterator[None]:
    """Let SIGTERM and SIGHUP raise `SystemExit`, so that `finally` runs.

    Yields
    ------
    None
        The old handlers are back afterwards. In a thread, where Python forbids handlers, nothing
        changes.

    Examples
    --------
    >>> import signal
    >>> before = signal.getsignal(signal.SIGTERM)
    >>> with undoable():
    ...     signal.getsignal(signal.SIGTERM) is before
    False
    >>> signal.getsignal(signal.SIGTERM) is before
    True
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    known = [getattr(signal, name, None) for name in ("SIGTERM", "SIGHUP")]  # Windows has no SIGHUP
    # Only where the default holds: nohup ignores SIGHUP, and a program may have a handler.
    mine = [one for one in known if one is not None and signal.getsignal(one) == signal.SIG_DFL]
    for one in mine:
        signal.signal(one, _leave)
    try:
        yield
    finally:
        for one in mine:
            signal.signal(one, signal.SIG_DFL)


def _leave(number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + number)
