"""What every test may use: the checkout's folder, and the tests one has to ask for."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# One profile for all: the same examples on every run, and no deadline, as CI's cores are shared.
settings.register_profile(
    "house", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("house")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the flag without which no test changes a setting of the running system."""
    parser.addoption(
        "--ksm", action="store_true", help="also compare with the kernel's KSM (changes a setting)"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip what was not asked for."""
    if config.getoption("--ksm"):
        return
    skip = pytest.mark.skip(reason="changes a kernel setting: ask for it with --ksm")
    for item in items:
        if "ksm" in item.keywords:
            item.add_marker(skip)


@pytest.fixture(scope="session")
def root() -> Path:
    """Return the checkout's folder."""
    return Path(__file__).resolve().parents[1]
