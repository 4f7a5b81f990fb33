"""Exercises of processor scheduling: right is right, and each mistake meets its hint."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from virtlab.course import cpu as ask
from virtlab.resources.cpu import CpuVM, Lottery, Policy, RoundRobin, Stride, schedule

NUMBERS = (
    "turn", "changed", "added", "removed", "console", "admission", "clients", "lottery",
    "waste", "job",
)  # fmt: skip


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        (ask.turn, 9),  # A B A A B A A B C: with passes 1/5 1/3 2/5 3/5 2/3 4/5 1 1 1
        (ask.changed, [20, 60, 20]),
        (ask.added, [100 / 6, 200 / 6, 100 / 6, 200 / 6]),
        (ask.removed, 70),
        (ask.console, 50),
        (ask.admission, 20),
        (ask.clients, 50),
        (ask.lottery, 100 * math.sqrt(0.9 / (900 * 0.1))),
        (ask.waste, 75),
        (ask.mends, "b"),
        (ask.job, 62 / 0.62),
        (ask.bind, "b"),
    ],
)
def test_by_hand(question: Any, answer: object) -> None:
    assert question.judge(answer).outcome == "right"


@pytest.mark.parametrize("seed", range(20))
def test_variants_are_sound(seed: int) -> None:
    for name in NUMBERS:
        question = getattr(ask, name).problem(seed)
        assert np.min(question.right_answer) > 0, question.text
        assert question.judge(question.right_answer).outcome == "right"
        for mistake in question.mistakes:
            assert question.judge(mistake.gives()).outcome == "wrong", question.text


def test_what_is_asked_of_parts_is_what_the_scheduler_gives() -> None:
    run = schedule([CpuVM("VM1", 1000), CpuVM("VM2", 3000), CpuVM("VM3", 1000)], seconds=20)
    assert ask.changed.judge(run.percent.tolist()).outcome == "right"
    guide = schedule([CpuVM("vm", 3000, 20, 50), CpuVM("console", 1000, 30)], seconds=20)
    assert ask.console.judge(float(guide.percent[0])).outcome == "right"


def test_the_lottery_varies_by_the_formula() -> None:
    vms = [CpuVM("one", 100), CpuVM("rest", 900)]
    got = [schedule(vms, seconds=9, policy=Lottery(), seed=seed).percent[0] for seed in range(300)]
    measured = 100 * np.std(got) / np.mean(got)
    assert measured == pytest.approx(ask.lottery.right_answer, rel=0.15)


def hint(question: Any, answer: object) -> str:
    verdict = question.judge(answer)
    assert verdict.outcome == "wrong"
    return repr(verdict)


# --- settings that starve ------------------------------------------------------------------------


def _three(*bounds: tuple[float, float]) -> list[CpuVM]:
    return [CpuVM(f"VM{i}", 1000, *bound) for i, bound in enumerate(bounds, 1)]


def test_minimums_starve_a_vm() -> None:
    all_reserved = _three((50, 100), (50, 100), (0, 100))
    assert ask.starve.judge(lambda: all_reserved).is_right
    assert ask.starve.judge(lambda: _three((97, 100), (0, 100), (0, 100))).outcome == "wrong"


def test_other_ways_to_starve_get_a_hint() -> None:
    assert "1000 shares" in hint(ask.starve, lambda: [CpuVM(n, 1) for n in ("VM1", "VM2", "VM3")])
    assert "No maximum" in hint(ask.starve, lambda: _three((0, 100), (0, 100), (0, 0.5)))
    assert "VM3 gets 33 %" in hint(ask.starve, lambda: _three((0, 100), (0, 100), (0, 100)))
    assert "list of three" in hint(ask.starve, lambda: 3)
    assert "in this order" in hint(ask.starve, lambda: [CpuVM("VM3")])
    assert "lacking" in hint(ask.starve, lambda: _three((80, 100), (80, 100), (0, 100)))


# --- a policy of one's own -----------------------------------------------------------------------


class Greedy(Policy):
    """Divides by shares, but who slept has saved up."""

    def choose(self, waiting: Any) -> Any:
        return min(waiting, key=lambda vcpu: vcpu.used_us / vcpu.shares)


class Fair(Policy):
    """The notebook's solution: who comes back starts where the others are."""

    def start(self, quantum_us: int, rng: np.random.Generator) -> None:
        super().start(quantum_us, rng)
        self.missed: dict[int, float] = {}

    def place(self, vcpu: Any) -> float:
        return float(vcpu.used_us / vcpu.shares + self.missed.get(vcpu.index, 0))

    def add(self, vcpu: Any, *, woke: bool) -> None:
        if woke and self.clients:
            behind = min(map(self.place, self.clients)) - self.place(vcpu)
            self.missed[vcpu.index] = self.missed.get(vcpu.index, 0) + max(behind, 0)
        super().add(vcpu, woke=woke)

    def choose(self, waiting: Any) -> Any:
        return min(waiting, key=self.place)


def test_policies() -> None:
    assert ask.policy.judge(Fair).is_right
    assert ask.policy.judge(Stride).is_right
    assert "1000:3000:500" in hint(ask.policy, RoundRobin)
    assert "saves up while asleep" in hint(ask.policy, Greedy)
    assert "derives from `Policy`" in hint(ask.policy, lambda: 3)
