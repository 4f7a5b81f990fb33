"""What tests of the llvm tier share: LLVM at once, or when a test says so."""

from __future__ import annotations

from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from tests.machine.translated import eager
from virtlab.machine.translation import llvm_host
from virtlab.machine.translation.llvm_host import LlvmHost

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from virtlab.machine.computer import Computer

LOOP = "b9a0860100 49 75fd f4"  # mov ecx, 100000; dec ecx; jnz; hlt


def host(computer: Computer) -> LlvmHost:
    assert computer.translator is not None
    assert isinstance(computer.translator.host, LlvmHost)
    return computer.translator.host


def at_once(computer: Computer) -> Computer:
    """Let a computer translate all code the first time, and LLVM have it at once."""
    if computer.translator is not None:
        eager(computer)
        if isinstance(computer.translator.host, LlvmHost):
            computer.translator.host.in_background = False
    return computer


class LaterPool:
    """A worker that works when a test says so."""

    def __init__(self) -> None:
        self.jobs: list[tuple[Future[Any], Callable[..., Any], tuple[Any, ...]]] = []

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.jobs.append((future, function, arguments))
        return future

    def work(self) -> int:
        """Do all jobs that were not cancelled; return how many."""
        jobs = [job for job in self.jobs if job[0].set_running_or_notify_cancel()]
        for future, function, arguments in jobs:
            future.set_result(function(*arguments))
        self.jobs.clear()
        return len(jobs)


def short(monkeypatch: pytest.MonkeyPatch, size: int = 300) -> None:
    for name in ("SHORTEST", "WAITING", "LONGEST"):
        monkeypatch.setattr(llvm_host, name, size)
    monkeypatch.setattr(llvm_host, "WORTH", 0)
