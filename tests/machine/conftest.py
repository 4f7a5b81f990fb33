"""What tests of the guest computer share."""

from __future__ import annotations

import pytest

from tests.machine.llvm_pool import LaterPool, short
from virtlab.machine.theorem.cost import TrapCost, trap_cost
from virtlab.machine.translation import llvm_host
from virtlab.machine.translation.tiers import TIERS

NEEDS = {"python": [], "wasm": ["wasmtime"], "llvm": ["wasmtime", "llvmlite"]}


@pytest.fixture(scope="session")
def wasmtime() -> None:
    """Skip where translated code cannot run."""
    pytest.importorskip("wasmtime", reason="wasmtime, of the extra machine, is not installed")


@pytest.fixture(scope="session")
def llvmlite(wasmtime: None) -> None:
    """Skip where there is no LLVM; what is not hot runs in wasmtime there."""
    pytest.importorskip("llvmlite", reason="llvmlite, of the extra llvm, is not installed")


@pytest.fixture(scope="session")
def kernel_cost() -> TrapCost:
    """Count the small kernel's instructions at ring 0, which takes seconds, once."""
    return trap_cost()


@pytest.fixture(scope="module", params=TIERS[1:])
def tier(request: pytest.FixtureRequest) -> str:
    """Each tier that translates; skip one that cannot run here."""
    name = str(request.param)
    for module in NEEDS[name]:
        pytest.importorskip(module, reason=f"{module} is not installed")
    return name


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> LaterPool:
    """Slices of some hundred instructions, and LLVM when the test says so."""
    found = LaterPool()
    monkeypatch.setattr(llvm_host, "_worker", lambda: found)
    short(monkeypatch)
    return found
