"""SIGTERM lets what was begun be undone."""

from __future__ import annotations

import os
import signal
import sys
import threading

import pytest

from virtlab.memory.live.interrupts import undoable

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of Unix")


def test_sigterm_becomes_an_exit_that_finally_sees() -> None:
    undone = []
    with pytest.raises(SystemExit) as ended, undoable():  # noqa: PT012 - the signal is the point
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            signal.sigtimedwait([], 5)
        finally:
            undone.append(True)
    assert ended.value.code == 128 + signal.SIGTERM
    assert undone == [True]
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_a_handler_that_is_there_stays() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with undoable():
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_in_a_thread_nothing_changes() -> None:
    seen = []

    def work() -> None:
        with undoable():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.SIG_DFL]
