"""How fast is the processor scheduler? Against C, a general simulator, and the clock.

Three questions, each answered in one run:

- Where shares never change, is one sort (`stride_order`) faster than a heap? From 10 to 10,000
  clients, against a binary heap in C (`stride_heap.c`, compiled with `gcc -O2` when this begins),
  and against a Python loop over `heapq`.
- How much work a second does the event-driven scheduler do, beside SimPy's priority resource, which
  is what one would take who writes no scheduler, and how far is it from C? 1,000 clients on one
  processor. 'in full' is `schedule` without its short loops, quantum by quantum. SimPy is measured
  if it is installed (`pip install simpy`); it is in none of the project's groups.
- How long do 1,000 VMs on 64 processors take for 10 simulated minutes, in quanta of 10 ms? That are
  3.84 million quanta. And how long, if they are people who think and work in short bursts?

Beside the wall clock stands the processor time: where others use the machine, it is the one that
can be compared.

    python -m benchmarks.cpu
"""

from __future__ import annotations

import argparse
import ctypes
import heapq
import importlib
import importlib.util
import shutil
import subprocess
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.harness import machine, race
from virtlab.resources.cpu import CpuVM, Interactive, Stride, schedule, stride_order

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


@cache
def _compiled() -> Any:
    """Compile the heap in C; None where there is no gcc."""
    gcc = shutil.which("gcc")
    if gcc is None:
        print("gcc is not there: the heap in C is left out.")
        return None
    library = Path(tempfile.mkdtemp()) / "stride_heap.so"
    source = Path(__file__).with_name("stride_heap.c")
    subprocess.run([gcc, "-O2", "-shared", "-fPIC", "-o", library, source], check=True)
    loaded = ctypes.CDLL(str(library))
    shutil.rmtree(library.parent)
    return loaded


def by_c(shares: list[int], quanta: int) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    """Return who has each quantum, by a heap in C.

    Parameters
    ----------
    shares
        Of each client.
    quanta
        How many.

    Returns
    -------
    ndarray
        The client of each.
    """
    parts, order = np.array(shares, dtype=np.float64), np.empty(quanta, dtype=np.int32)
    pointers = (one.ctypes.data_as(ctypes.c_void_p) for one in (parts, order))
    first, last = pointers
    _compiled().stride(first, len(parts), ctypes.c_long(quanta), last)
    return order


class InFull(Stride):
    """Stride again: a class of another name is never taken through the short loops."""


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
    """Print the race of the sort against heaps.

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
        if _compiled():
            contenders["C"] = lambda shares=shares: by_c(shares, quanta)  # type: ignore[misc]
            if not np.array_equal(by_c(shares, quanta), stride_order(shares, quanta)):
                raise AssertionError(clients)
        print(race(f"{clients:,} clients, {quanta:,} quanta", contenders, turns=turns))


def event_driven(clients: int, quanta: int, turns: int) -> None:
    """Print the race of the event-driven scheduler against SimPy, and heaps beside it.

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
        "in full": lambda: schedule(vms, seconds=quanta / 100, policy=InFull()),
        "heapq": lambda: by_heap(shares, quanta),
    }
    if _compiled():
        contenders["C"] = lambda: by_c(shares, quanta)
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
    busy = [CpuVM(f"vm{i}", part) for i, part in enumerate(shares_of(vms))]
    _clocked("always busy", busy, cpus, seconds)
    people = [CpuVM(vm.name, vm.shares, workload=Interactive(20, 80)) for vm in busy]
    _clocked("interactive", people, cpus, seconds / 10)


def _clocked(what: str, machines: list[CpuVM], cpus: int, seconds: float) -> None:
    wall, own = time.perf_counter(), time.process_time()
    run = schedule(machines, cpus, seconds)
    wall, own = time.perf_counter() - wall, time.process_time() - own
    quanta = seconds * 100 * cpus
    print(
        f"{len(machines):,} VMs, {what}, on {cpus} processors, {seconds:g} s in quanta of 10 ms: "
        f"{wall:.1f} s by the "
        f"wall clock, {own:.1f} s of processor time; {1e6 * own / quanta:.2f} us a quantum of "
        f"the processors, "
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
