"""How fast is the processor scheduler? Against a C heap, a general simulator, and the clock.

Three questions, each answered in one run:

- Where shares never change, is one sort (`stride_order`) faster than a loop over `heapq`, whose
  heap is in C? From 10 to 10,000 clients.
- How much work a second does the event-driven scheduler do, beside SimPy's priority resource, which
  is what one would take who writes no scheduler? 1,000 clients on one processor. SimPy is measured
  if it is installed (`pip install simpy`); it is in none of the project's groups.
- How long do 1,000 VMs on 64 processors take for 10 simulated minutes, in quanta of 10 ms? That are
  3.84 million quanta.

Beside the wall clock stands the processor time: where others use the machine, it is the one that
can be compared.

    python -m benchmarks.cpu
"""

from __future__ import annotations

import argparse
import heapq
import importlib
import importlib.util
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.harness import machine, race
from virtlab.resources.cpu import CpuVM, schedule, stride_order

if TYPE_CHECKING:
    from collections.abc import Callable, Generator


def shares_of(clients: int) -> list[int]:
    """Return shares as people set them.

    Parameters
    ----------
    clients
        How many.

    Returns
    -------
    list of int
        100 to 1,900.
    """
    return [100 * int(part) for part in np.random.default_rng(21).integers(1, 20, clients)]


def by_heap(shares: list[int], quanta: int) -> list[int]:
    """Return who has each quantum, by a loop over a C heap.

    Parameters
    ----------
    shares
        Of each client.
    quanta
        How many.

    Returns
    -------
    list of int
        The client of each.
    """
    strides = [1 / part for part in shares]
    heap = [(stride, client) for client, stride in enumerate(strides)]
    heapq.heapify(heap)
    order = []
    replace = heapq.heapreplace
    for _ in range(quanta):
        at, client = heap[0]
        order.append(client)
        replace(heap, (at + strides[client], client))
    return order


def by_simpy(shares: list[int], quanta: int) -> list[int]:
    """Return who has each quantum, by processes that queue for SimPy's priority resource.

    Parameters
    ----------
    shares
        Of each client.
    quanta
        How many.

    Returns
    -------
    list of int
        The client of each.
    """
    simpy: Any = importlib.import_module("simpy")
    world = simpy.Environment()
    processor = simpy.PriorityResource(world, capacity=1)
    order: list[int] = []

    def client(number: int, stride: float) -> Generator[Any, Any, None]:
        at = stride
        while True:
            with processor.request(priority=at) as turn:
                yield turn
                order.append(number)
                yield world.timeout(1)
            at += stride

    for number, part in enumerate(shares):
        world.process(client(number, 1 / part))
    world.run(until=quanta)
    return order


def constant_shares(quanta: int, turns: int) -> None:
    """Print the race of the sort against the heap.

    Parameters
    ----------
    quanta
        How many.
    turns
        How often each runs.
    """
    for clients in (10, 100, 1000, 10_000):
        shares = shares_of(clients)
        contenders: dict[str, Callable[[], object]] = {
            "stride_order": lambda shares=shares: stride_order(shares, quanta),  # type: ignore[misc]
            "heapq": lambda shares=shares: by_heap(shares, quanta),  # type: ignore[misc]
        }
        print(race(f"{clients:,} clients, {quanta:,} quanta", contenders, turns=turns))


def event_driven(clients: int, quanta: int, turns: int) -> None:
    """Print the race of the event-driven scheduler against SimPy, and the heap beside it.

    Parameters
    ----------
    clients
        How many.
    quanta
        How many.
    turns
        How often each runs.
    """
    shares = shares_of(clients)
    vms = [CpuVM(f"vm{i}", part) for i, part in enumerate(shares)]
    contenders: dict[str, Callable[[], object]] = {
        "schedule": lambda: schedule(vms, seconds=quanta / 100),
        "heapq": lambda: by_heap(shares, quanta),
    }
    if importlib.util.find_spec("simpy"):
        contenders["simpy"] = lambda: by_simpy(shares, quanta)
    else:
        print("SimPy is not installed: it is left out.")
    print(race(f"{clients:,} clients, {quanta:,} quanta, one by one", contenders, turns=turns))


def ten_minutes(vms: int, cpus: int, seconds: float) -> None:
    """Print how long many VMs on many processors take.

    Parameters
    ----------
    vms, cpus
        How many.
    seconds
        Simulated.
    """
    machines = [CpuVM(f"vm{i}", part) for i, part in enumerate(shares_of(vms))]
    wall, own = time.perf_counter(), time.process_time()
    run = schedule(machines, cpus, seconds)
    wall, own = time.perf_counter() - wall, time.process_time() - own
    quanta = seconds * 100 * cpus
    print(
        f"{vms:,} VMs on {cpus} processors, {seconds:g} s in quanta of 10 ms: {wall:.1f} s by the "
        f"wall clock, {own:.1f} s of processor time; {1e6 * own / quanta:.2f} us a quantum, "
        f"{len(run.intervals):,} intervals"
    )


def main() -> None:
    """Answer the three questions."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=5, help="how often each contender runs")
    parser.add_argument("--seconds", type=float, default=600.0, help="simulated, of 1,000 VMs")
    arguments = parser.parse_args()
    print(machine(), end="\n\n")
    constant_shares(100_000, arguments.turns)
    event_driven(1000, 20_000, arguments.turns)
    ten_minutes(1000, 64, arguments.seconds)


if __name__ == "__main__":
    main()
