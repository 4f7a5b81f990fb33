"""Many quanta of stride at once: the order of them all is one sort (S21).

`virtlab.resources.cpu.stretch` goes from quantum to quantum where nothing else happens. Where that
lasts long it need not even do that: what each client's pass will be after k quanta is known, so who
is next, and next, is the merge of arithmetic progressions, as in `virtlab.resources.cpu.batch`. A
level is found below which there are enough passes; those are sorted, and each client is brought to
where it then is. Whoever would run out of work, or is held by a maximum, ends the leap before its
turn.
"""

from __future__ import annotations

from heapq import heapify
from typing import TYPE_CHECKING

import numpy as np

from virtlab.resources.cpu.batch import in_order

if TYPE_CHECKING:
    from array import array

    from numpy.typing import NDArray

    from virtlab.resources.cpu.policies import Vcpu

    Ints = NDArray[np.int64]
    Heap = list[tuple[float, int, Vcpu]]

__all__: list[str] = []

_LEAST, _WORTH = 64, 2  # quanta, and a client: fewer are done faster one by one


def leap(
    heap: Heap, who: Vcpu, began: int, now: int, quanta: int, quantum: int, trace: array[int]
) -> tuple[Vcpu, int, int]:
    """Do up to so many quanta.

    Parameters
    ----------
    heap
        Those that wait.
    who, began
        Who runs, and since when.
    now
        When its quantum ends.
    quanta
        How many are to begin from then on, at most.
    quantum
        Length of each, microseconds.
    trace
        Where intervals that end are written down.

    Returns
    -------
    tuple
        Who runs then, since when, and when its quantum ends.
    """
    if quanta < _LEAST + _WORTH * len(heap) or who.left_us <= 2 * quantum:
        return who, began, now
    waiting = {v.index: v for at, _, v in heap if v.waiting and v.at == at and not v.bound}
    clients = [who, *waiting.values()]
    clients.sort(key=_index)
    me = clients.index(who)
    order = _order(clients, me, quanta, quantum)
    if not order.size:
        return who, began, now
    runs = np.concatenate([[me], order])
    ends = np.flatnonzero(runs[1:] != runs[:-1])  # whose interval ends, and after which quantum
    until = now + ends * quantum
    since = np.concatenate([[began], until])
    index = np.array([vcpu.index for vcpu in clients])
    rows = np.stack([index[runs[ends]], np.zeros_like(ends), since[:-1], until], axis=1)
    trace.frombytes(rows.astype(np.int64).tobytes())
    last = clients[runs[-1]]
    _bring(clients, np.bincount(runs[:-1], minlength=len(clients)).tolist(), quantum)
    last.cpu, last.waiting = 0, False
    heap[:] = [(vcpu.at, vcpu.index, vcpu) for vcpu in clients if vcpu is not last]
    heapify(heap)
    return last, int(since[-1]), now + order.size * quantum


def _index(vcpu: Vcpu) -> int:
    return vcpu.index


def _order(clients: list[Vcpu], me: int, quanta: int, quantum: int) -> Ints:
    """Return who begins each quantum: the first of all passes, ties by number."""
    shares, base, first = np.array([(v.shares, v.base, v.at) for v in clients]).T
    since, left = np.array([(v.since_us, v.left_us) for v in clients]).T
    own = np.zeros(len(clients), dtype=np.int64)
    own[me] = 1  # its present quantum is over by then
    first[me] = base[me] + (since[me] + quantum) / shares[me]
    level = (quanta * quantum + (shares * first).sum()) / shares.sum()
    counts = np.maximum(np.floor((level - first) * shares / quantum).astype(np.int64) + 2, 0)
    client = np.repeat(np.arange(len(clients)), counts)
    turn = np.arange(client.size) - np.repeat(np.cumsum(counts) - counts, counts)
    passes = base[client] + (since[client] + (turn + own[client]) * quantum) / shares[client]
    passes[turn == 0] = first[counts > 0]
    order = in_order(passes)
    order = order[passes[order] <= level][:quanta]  # above it some are not in the list
    plain = np.array([vcpu.plain for vcpu in clients])
    enough = np.where(plain, -((2 * quantum - left) // quantum) - own, 0)
    stop = np.flatnonzero(turn[order] >= enough[client[order]])
    begins: Ints = client[order[: stop[0] if stop.size else None]]
    return begins


def _bring(clients: list[Vcpu], turns: list[int], quantum: int) -> None:
    """Charge each for its quanta."""
    for vcpu, count in zip(clients, turns, strict=True):
        if count:
            ran = count * quantum
            vcpu.used_us += ran
            vcpu.left_us -= ran
            vcpu.since_us += ran
            vcpu.at = vcpu.base + vcpu.since_us / vcpu.shares
            vcpu.cpu, vcpu.waiting = 0, True
