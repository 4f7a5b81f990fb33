"""Exercises of shares: right is right, and each mistake meets its hint."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import pytest

from virtlab.course import shares as ask
from virtlab.resources import allocate
from virtlab.resources.disk_policies import Fifo, Policy, RoundRobin, StartTimeFair


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        (ask.ratio, 240 * 1000 / 4000),
        (ask.idle, 150 / 3),
        (ask.vcpus, 6000 * 2000 / 4500),
        (ask.pools, 160 / 4 / 4),
        (ask.fifo, 160 * 6 / 8),
        (ask.units, 160 * (256 / 5) / (256 / 5 + 64 / 2)),
        (ask.doubled, "b"),
        (ask.zero, "b"),
    ],
)
def test_by_hand(question: Any, answer: object) -> None:
    assert question.judge(answer).outcome == "right"


@pytest.mark.parametrize("seed", range(20))
def test_variants_are_sound(seed: int) -> None:
    for name in ("ratio", "idle", "vcpus", "pools", "fifo", "units"):
        question = getattr(ask, name).problem(seed)
        assert question.right_answer > 0, question.text
        assert question.judge(question.right_answer).outcome == "right"


def _hint(question: Any, answer: object) -> str:
    verdict = question.judge(answer)
    assert verdict.outcome == "wrong"
    return repr(verdict)


# --- the division --------------------------------------------------------------------------------


def _fill(capacity: float, shares: list[float], maximum: list[float]) -> list[float]:
    got = [0.0] * len(shares)
    open_ = set(range(len(shares)))
    while open_:
        level = (capacity - sum(got)) / sum(shares[i] for i in open_)
        full = {i for i in open_ if level * shares[i] >= maximum[i]}
        for i in full or open_:
            got[i] = maximum[i] if full else level * shares[i]
        open_ = open_ - full if full else set()
    return got


def test_a_division_that_fills_vessels_is_right() -> None:
    assert ask.water.judge(_fill).outcome == "right"


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        (lambda c, s, _: [c * x / sum(s) for x in s], "more than the maximum"),
        (
            lambda c, s, m: [min(c * x / sum(s), y) for x, y in zip(s, m, strict=True)],
            "left that others could use",
        ),
        (lambda _c, _s, _m: None, "returned nothing"),
        (lambda _c, _s, _m: [1.0], "one number for each VM"),
        (lambda c, s, m: allocate(c, np.ones(len(s)), maximum=m).allocation, "by shares"),
    ],
)
def test_wrong_divisions_meet_their_hint(wrong: object, hint: str) -> None:
    assert hint in _hint(ask.water, wrong)


# --- the policy ----------------------------------------------------------------------------------


class _Bytes(Policy):
    def __init__(self) -> None:
        self.now = 0.0
        self.account: defaultdict[int, float] = defaultdict(float)

    def choose(self, waiting: Any, shares: Any) -> int:
        start: dict[int, float] = {vm: max(self.now, self.account[vm]) for vm in waiting}
        vm = min(start, key=start.__getitem__)
        self.now = start[vm]
        self.account[vm] = start[vm] + waiting[vm].size_kb / shares[vm]
        return vm


class _Saving(_Bytes):
    """Keeps accounts, but lets the idle save up."""

    def choose(self, waiting: Any, shares: Any) -> int:
        self.now = 0.0
        return super().choose(waiting, shares)


def test_a_policy_that_counts_bytes_is_right() -> None:
    assert ask.policy.judge(_Bytes).outcome == "right"


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        (Fifo, "Count `waiting[vm].size_kb`"),
        (RoundRobin, "wanted are 36, 107, 18"),
        (StartTimeFair, "Count `waiting[vm].size_kb`"),  # it counts units
        (_Saving, "nobody saves up while idle"),
    ],
)
def test_wrong_policies_meet_their_hint(wrong: object, hint: str) -> None:
    assert hint in _hint(ask.policy, wrong)
