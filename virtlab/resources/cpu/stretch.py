"""One processor, stride, and nothing else happens: the scheduler's loop in short (S21).

Between two events, while those that are next have neither minimum nor maximum and enough work, all
that happens is that quanta end. `stretch` does then in one loop what the scheduler does in many
calls, stop, charge, wait, take, start, and leaves everything as they would: the same schedule in
two thirds of the time or less; where it lasts, in a leap (`virtlab.resources.cpu.leap`), in a tenth
of it. It is no part of the lesson; `virtlab.resources.cpu.scheduler` is.
"""

from __future__ import annotations

import math
from heapq import heappop, heappush, heappushpop
from typing import TYPE_CHECKING

from virtlab.resources.cpu.leap import leap

if TYPE_CHECKING:
    from virtlab.resources.cpu.by_level import ByLevel

__all__: list[str] = []


def horizon(state: ByLevel) -> float:
    """Return the next moment, the end of the one slice left out; 0 if they are one."""
    until, moments = state.until_us[0], state.moments
    if moments[0] != until or until in state.timers:
        return 0.0
    return min(moments[1:3], default=math.inf)  # the children of a heap's root


def stretch(state: ByLevel, end_us: int) -> None:
    """Go on while whole quanta end before anything else happens."""
    heap, quantum = state.stride.heap, state.quantum_us
    until_us = min(end_us, horizon(state))
    who, began, now = state.runs[0], state.from_us[0], state.until_us[0]
    enough, last = 2 * quantum, until_us - quantum
    if who is None or now >= last or not who.plain or now - state.now != quantum:
        return
    extend = state.trace.extend
    del state.ends[heappop(state.moments)]
    quanta = math.ceil((last - now) / quantum)
    who, began, now = leap(heap, who, began, now, quanta, quantum, state.trace)
    while heap and now < last and who.left_us > enough:
        at, _, other = heap[0]
        if not other.waiting or other.at != at or not other.plain:
            break
        if other.left_us <= enough:
            break
        who.used_us += quantum
        who.left_us -= quantum
        who.since_us += quantum
        who.at = at = who.base + who.since_us / who.shares
        at, _, other = heappushpop(heap, (at, who.index, who))
        if other is not who:
            extend((who.index, 0, began, now))
            who.waiting, other.waiting, other.cpu = True, False, 0
            who, began = other, now
        now += quantum
    state.runs[0], state.from_us[0], state.until_us[0] = who, began, now
    state.slice_us[0] = now - quantum
    if now not in state.timers:
        heappush(state.moments, now)
    state.ends[now].append(0)
