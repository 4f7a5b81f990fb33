"""What tests of the guest computer share."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def wasmtime() -> None:
    """Skip where translated code cannot run."""
    pytest.importorskip("wasmtime", reason="wasmtime, of the extra machine, is not installed")


@pytest.fixture(scope="session")
def llvmlite(wasmtime: None) -> None:
    """Skip where there is no LLVM; what is not hot runs in wasmtime there."""
    pytest.importorskip("llvmlite", reason="llvmlite, of the extra llvm, is not installed")
