"""What a monitor by traps would cost: the small kernel, counted to its end."""

from __future__ import annotations

import pytest

from virtlab.machine.theorem.cost import TrapCost, trap_cost
from virtlab.validate import InvalidInputError


def test_the_kernel_did_what_it_says_of_itself(kernel_cost: TrapCost) -> None:
    """It prints 8 ticks, 12 system calls and 2 page faults; each ends by an IRET, but the last.

    The last call ends the last process, so no IRET follows; but each process began by one.
    """
    ticks, calls, faults = 8, 12, 2
    assert kernel_cost.calls == calls
    last, first = 1, 1  # the first process is begun by IRET with no trap before
    assert kernel_cost.counts[0, "IRET"] == ticks + calls + faults - last + first
    assert (
        kernel_cost.counts[0, "LGDT"]
        == kernel_cost.counts[0, "LIDT"]
        == kernel_cost.counts[0, "LTR"]
        == 1
    )


def test_what_traps_and_what_does_not(kernel_cost: TrapCost) -> None:
    assert (kernel_cost.kernel_traps, kernel_cost.kernel_silent) == (1875, 26)
    ports = kernel_cost.counts[0, "IN"] + kernel_cost.counts[0, "OUT"]
    assert kernel_cost.kernel_traps == ports + kernel_cost.counts[0, "MOVCR"] + 3
    assert kernel_cost.kernel_silent == sum(
        kernel_cost.counts[0, n] for n in ("IRET", "MOVTOSEG", "JMPF")
    )
    assert kernel_cost.privileged.isdisjoint(kernel_cost.silent)


def test_rows_numbers_sentences(kernel_cost: TrapCost) -> None:
    frame, told = kernel_cost.to_frame(), kernel_cost.summary()
    assert frame["times"].is_monotonic_decreasing
    assert set(frame[frame["on the i386"] == "not surely"]["instruction"]) == {
        *("IRET", "MOVTOSEG", "JMPF")
    }
    assert told["instructions"] == sum(kernel_cost.instructions.values()) > 100_000
    assert "1.4 % more traps" in kernel_cost.explain()


def test_a_few_instructions_and_none() -> None:
    few = trap_cost(5)
    assert sum(few.instructions.values()) == 5
    assert few.kernel_silent == 0
    assert "none of those that break the theorem" in few.explain()
    with pytest.raises(InvalidInputError, match="max_instructions"):
        trap_cost(0)
