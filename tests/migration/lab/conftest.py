"""A QEMU that is ours, in place of the real one."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def fake_qemu(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], None]:
    """Put our QEMU first in the path; what it is called with says what goes wrong."""
    folder = tmp_path_factory.mktemp("bin")
    program = folder / "qemu-system-x86_64"
    script = Path(__file__).with_name("fake_qemu.py")
    words = shlex.join([sys.executable, "-S", str(script)])
    program.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")

    def behave(how: str) -> None:
        monkeypatch.setenv("FAKE_QEMU", how)

    behave("")
    return behave
