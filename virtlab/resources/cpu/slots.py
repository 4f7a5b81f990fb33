"""Several processors, stride, and nothing else happens: quanta that end together (S21).

Where all processors begin and end their quanta at the same moments, and those that are next have
no maximum and enough work, a quantum of them all is one step: charge those that ran, take as many
as there are processors, and let who can stay where it was. `slots` does that in one loop, as
`virtlab.resources.cpu.stretch` does for one processor, and with the same schedule as the loop in
full.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from virtlab.resources.cpu.by_level import ByLevel
    from virtlab.resources.cpu.policies import Stride, Vcpu

__all__: list[str] = []


def slots(state: ByLevel, end_us: int) -> None:
    """Go on while whole quanta of all processors end before anything else happens."""
    moments, quantum, count = state.moments, state.quantum_us, len(state.runs)
    now = moments[0]
    if len(state.ends.get(now, ())) < count or now in state.timers:
        return
    last = min([end_us, *moments[1:3]]) - quantum
    runs = [vcpu for vcpu in state.runs if vcpu is not None]
    if now >= last or not _ready(runs, quantum) or max(state.slice_us) != now - quantum:
        return
    del state.ends[heappop(moments)]
    while now < last:
        chosen = _turn(state.stride, runs, quantum)
        if len(chosen) < count or not _ready(chosen, quantum):
            _by_the_way(state, runs, chosen, now)
            return
        _seat(state, runs, chosen, now)
        now += quantum
    state.runs[:] = runs
    state.until_us[:], state.slice_us[:] = [now] * count, [now - quantum] * count
    if now not in state.timers:
        heappush(moments, now)
    state.ends[now].extend(range(count))


def _ready(vcpus: list[Vcpu], quantum: int) -> bool:
    """Return whether all have enough work, and nothing but shares to mind."""
    enough = 2 * quantum
    return all(vcpu.plain and vcpu.left_us > enough for vcpu in vcpus)


def _turn(policy: Stride, runs: list[Vcpu], quantum: int) -> list[Vcpu]:
    """Charge those that ran, and take as many; all of them wait."""
    heap, chosen = policy.heap, []
    for vcpu in runs:
        vcpu.used_us += quantum
        vcpu.left_us -= quantum
        vcpu.since_us += quantum
        vcpu.at = at = vcpu.base + vcpu.since_us / vcpu.shares
        vcpu.waiting = True
        heappush(heap, (at, vcpu.index, vcpu))
    free = len(runs)
    while free and heap:
        at, _, vcpu = heappop(heap)
        if vcpu.waiting and vcpu.at == at and not vcpu.bound:
            chosen.append(vcpu)
            vcpu.waiting = False
            free -= 1
    return chosen


def _seat(state: ByLevel, runs: list[Vcpu], chosen: list[Vcpu], now: int) -> None:
    """Give each its processor: the one where it was, or else the first that is left."""
    seats: list[Vcpu | None] = [None] * len(runs)
    movers = []
    for vcpu in chosen:
        if vcpu.cpu >= 0 and seats[vcpu.cpu] is None:
            seats[vcpu.cpu] = vcpu
        else:
            movers.append(vcpu)
    movers.reverse()
    extend, since = state.trace.extend, state.from_us
    for cpu, seated in enumerate(seats):
        who = movers.pop() if seated is None else seated
        old = runs[cpu]
        if who is not old:
            extend((old.index, cpu, since[cpu], now))
            runs[cpu], since[cpu], who.cpu = who, now, cpu


def _by_the_way(state: ByLevel, runs: list[Vcpu], chosen: list[Vcpu], now: int) -> None:
    """Let the loop in full choose at this moment."""
    for vcpu in chosen:
        vcpu.waiting = True
        heappush(state.stride.heap, (vcpu.at, vcpu.index, vcpu))
    state.now, state.runs[:] = now, runs
    state.free = list(range(len(runs)))
    state.until_us[:] = [now] * len(runs)
    state._dispatch()  # noqa: SLF001 - a part of its loop
