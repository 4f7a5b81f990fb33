"""Exercises of memory: right by hand, sound in all variants, and each mistake meets its hint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from virtlab.course import memory as ask
from virtlab.memory.host.controllers import EsxLike, PressureLike, SwapOnly
from virtlab.memory.host.view import Orders

if TYPE_CHECKING:
    from virtlab.memory.host.view import View


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        (ask.guide, 24 + 192 + 1.06 * 8 * (512 + 54)),
        (ask.lacking, 24 + 192 + 3 * (256 + 54) - 1024),
        # 4 * P1 - 3 * 40 = 4 * P2 - 3 * 160 and P1 + P2 = 300
        (ask.bottle, (300 - 0.75 * 120) / 2),
        (ask.safety, 1024 * 0.04),
        (ask.giver, "b"),
        (ask.states, "b"),
    ],
)
def test_by_hand(question: Any, answer: object) -> None:
    assert question.judge(answer).outcome == "right"


@pytest.mark.parametrize("seed", range(20))
def test_variants_are_sound(seed: int) -> None:
    for name in ("guide", "lacking", "bottle", "safety"):
        question = getattr(ask, name).problem(seed)
        assert question.right_answer > 0, question.text
        assert question.judge(question.right_answer).outcome == "right"


def _hint(question: Any, answer: object) -> str:
    verdict = question.judge(answer)
    assert verdict.outcome == "wrong"
    return " ".join(repr(verdict).split())


@pytest.mark.parametrize(
    ("question", "answer", "hint"),
    [
        (ask.guide, 24 + 192 + 8 * (512 * 1.06 + 54), "the talk's way"),
        (ask.guide, 24 + 192 + 8 * (512 + 54), "where are the 6 %"),
        (ask.guide, 1.06 * 8 * (512 + 54), "VMkernel and console"),
        (ask.lacking, 24 + 192 + 3 * (384 + 54) - 1024, "needs swap"),
        (ask.lacking, 1024 - 216 - 2 * 310, "what is left before it asks"),
        (ask.bottle, 150, "shares alone"),
        (ask.bottle, 195, "VM2's"),
        (ask.bottle, 60, "taxed, not taken"),
        (ask.safety, 4, "in percent"),
        (ask.giver, "c", "uses nearly all"),
        (ask.states, "a", "not clearly"),
    ],
)
def test_mistakes_meet_their_hint(question: Any, answer: object, hint: str) -> None:
    assert hint in _hint(question, answer)


# --- admission -----------------------------------------------------------------------------------


def _starts(room: float, swap: float, vms: list[tuple[float, float, float]]) -> list[bool]:
    told = []
    for low, high, over in vms:
        fits = low + over <= room and high - low <= swap
        told.append(fits)
        if fits:
            room, swap = room - low - over, swap - (high - low)
    return told


def _without_swap(room: float, _swap: float, vms: list[tuple[float, float, float]]) -> list[bool]:
    return _starts(room, 1e9, vms)


def _stops(room: float, swap: float, vms: list[tuple[float, float, float]]) -> list[bool]:
    told = _starts(room, swap, vms)
    first = told.index(False) if False in told else len(told)
    return told[:first] + [False] * (len(told) - first)


def test_first_fit_is_right() -> None:
    assert ask.first_fit.judge(_starts).outcome == "right"


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        (_without_swap, "swap for what is above the minimum"),
        (_stops, "one that is refused takes nothing"),
        (lambda _r, _s, _v: None, "returned nothing"),
        (lambda _r, _s, v: [True] * len(v), "wanted is"),
        (lambda _r, _s, v: v[99], "IndexError"),
    ],
)
def test_wrong_admissions_meet_their_hint(wrong: object, hint: str) -> None:
    assert hint in _hint(ask.first_fit, wrong)


# --- the controller ------------------------------------------------------------------------------


class _Idle:
    """Take what lacks from who has most that is idle."""

    period_s = 1

    def control(self, view: View) -> Orders:
        idle = np.maximum(view.allocated - view.active, 1)
        lacks = view.aim - view.free
        return Orders(balloon=np.maximum(view.ballooned + lacks * idle / idle.sum(), 0))


class _Alike:
    period_s = 1

    def control(self, view: View) -> Orders:
        part = (view.ballooned.sum() + view.aim - view.free) / view.size.sum()
        return Orders(balloon=part * view.size)


class _Nothing:
    period_s = 1

    def control(self, view: View) -> Orders:
        return Orders(balloon=0 * view.size)


class _Much(_Nothing):
    def control(self, view: View) -> Orders:
        return Orders(balloon=0.6 * view.size)


class _Timeless(_Nothing):
    period_s = 0


@pytest.mark.parametrize("controller", [_Idle, EsxLike])
def test_controllers_that_take_what_is_idle_are_right(controller: object) -> None:
    assert ask.controller.judge(controller).outcome == "right"


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        (_Nothing, "Order larger balloons"),
        (PressureLike, "Order larger balloons"),
        (_Much, "VMs could have had it"),
        (SwapOnly, "still had to swap"),
        (_Alike, "take it where it is idle"),
        (_Timeless, "period_s"),
        (lambda: None, "period_s"),
    ],
)
def test_wrong_controllers_meet_their_hint(wrong: object, hint: str) -> None:
    assert hint in _hint(ask.controller, wrong)
