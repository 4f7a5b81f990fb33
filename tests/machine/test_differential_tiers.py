"""Translated blocks beside Unicorn, a slice of the run for each tier; and mistakes that it sees."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.machine.small_guests import DECODER
from virtlab.machine.translation import python_values

if TYPE_CHECKING:
    from benchmarks.differential_tiers import TierDifferential


def beside_unicorn(tier: str, seed: int) -> TierDifferential:
    pytest.importorskip("unicorn", reason="Unicorn is not installed")
    pytest.importorskip("iced_x86", reason="iced-x86 is not installed")
    from benchmarks.differential_tiers import TierDifferential

    return TierDifferential(tier, seed, DECODER)


def test_random_blocks_in_loops(tier: str) -> None:
    tried = beside_unicorn(tier, seed=4)
    for rounds in (1, 40, 800, 40, 1500, 2, 800, 400):
        block = tried.block(20, rounds)
        assert not tried.compare(block), block.code.hex()
    tally = tried.tally
    assert tally.instructions > 20_000
    assert tally.translated > 0.9 * tally.instructions
    assert tally.counted > 2
    assert tally.blocks - tally.skipped > 6


def test_a_mistake_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A carry that is wrong for one sum in four billion would not be; one that is never set is."""
    monkeypatch.setitem(python_values._OTHERS, "INT_CARRY", lambda _op, _words: "0")
    monkeypatch.setitem(python_values._PLAIN, "INT_LESS", "<=")
    tried = beside_unicorn("python", seed=4)
    assert any(tried.compare(tried.block(30, 20)) for _ in range(10))


def test_a_wrong_count_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = beside_unicorn("python", seed=6)
    run = tried.ours.run

    def longer(limit: int) -> object:
        found = run(limit)
        object.__setattr__(found, "instructions", found.instructions + 1)
        return found

    monkeypatch.setattr(tried.ours, "run", longer)
    assert "instructions, theirs" in tried.compare(tried.block(10, 3))


def test_flags_that_are_undefined_are_never_read() -> None:
    """After each instruction that leaves one, a comparison defines them all."""
    tried = beside_unicorn("python", seed=1)
    for code, tail in (("c1e005", 12), ("f7e3", 12), ("01d8", 0), ("0fbcc3", 12), ("f7f3", 5)):
        assert len(tried._defined(bytes.fromhex(code))) == tail, code
