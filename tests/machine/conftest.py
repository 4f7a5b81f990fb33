"""What tests of the guest computer share."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def wasmtime() -> None:
    """Skip where translated code cannot run."""
    pytest.importorskip("wasmtime", reason="wasmtime, of the extra machine, is not installed")
