"""One sentence for each step of a request: who did what, and why it had to be so (S15)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from virtlab.machine.esx.arrows import Arrow
    from virtlab.machine.esx.trace import RequestTrace

__all__ = ["REGISTERS", "sentence"]

# What a driver's port accesses are about.
REGISTERS = {
    0x1F0: "data",
    **dict.fromkeys(range(0x1F2, 0x1F7), "request"),
    0x1F7: "request",
    0x600: "own",
    0x20: "interrupt controller",
    0xA0: "interrupt controller",
}
_WHO = {"vmm": "traps: ring 1 may use no port", "hardware": "goes to the hardware: this is ring 0"}


def _port(arrow: Arrow) -> str:
    """Say what a group of port accesses is for."""
    times = f"{arrow.times} times" if arrow.times > 1 else "once"
    how = f"{arrow.verb}, {times}; each {_WHO[arrow.target]}"
    if arrow.about == "data":
        way = "stores" if arrow.verb == "out" else "loads"
        return f"The driver {way} the sector, four bytes at a time ({how})."
    if arrow.about == "interrupt controller":
        return f"The driver tells both interrupt controllers that it has seen it ({how})."
    if arrow.about == "own":
        if arrow.verb == "out":
            said = "where its description of the request is in memory"
            return f"The driver tells our own disk {said} ({how}). That is all it has to say."
        return f"The driver asks our own disk how it went ({how}). The data is in memory already."
    if arrow.verb == "out":
        return (
            f"The driver writes how many sectors, where, and the command into the registers of "
            f"what it takes for an ATA disk ({how})."
        )
    return f"The driver reads the disk's status, which also takes its interrupt back ({how})."


def _interrupted(arrow: Arrow) -> str:
    if arrow.source == "hardware":
        return f"The disk interrupts, and the processor enters the driver's handler ({arrow.what})."
    return (
        "The vmm's model of the disk raises its line of the virtual interrupt controller; the vmm "
        f"enters the handler that the guest's own table names ({arrow.what})."
    )


def _privileged(arrow: Arrow) -> str:
    """Say what the vmm does instead of an instruction that ring 1 may not do."""
    said = {
        "sti": "sti traps: ring 1 may not let interrupts in, the vmm notes that the guest wants to",
        "hlt": "hlt traps: this guest waits, and the processor is free for others",
        "iretd": "iretd traps: the handler returns to what its stack calls ring 0, and the vmm "
        "sees to it that it is ring 1",
        "cli": "cli traps: the guest wants no interrupts, and only the vmm's note of that changes",
    }
    done = [said.get(name.split()[0], f"{name} traps") for name in arrow.what.split(", ")]
    return f"The guest's kernel goes on: {'; '.join(done)}."


def sentence(arrow: Arrow, trace: RequestTrace) -> str:
    """Say what a step is.

    Parameters
    ----------
    arrow
        One of `trace.arrows`.
    trace
        The whole.

    Returns
    -------
    str
        A sentence or two.

    Examples
    --------
    >>> from virtlab.machine.esx.request import trace_request
    >>> trace = trace_request()
    >>> print(sentence(trace.arrows[0], trace))
    VM1's program asks its kernel for 1 sector: int 0x80. All gates of the processor's interrupt \
table are the host's, so the vmm has it first.
    """
    size = trace.setup.sectors
    sectors = f"{size} sector{'s' if size > 1 else ''}"
    queued = (
        f"It has waited {arrow.us / 1000:.1f} ms for its turn: VM1 has {trace.setup.shares:g} "
        f"shares of {trace.setup.shares + 1000 * (trace.setup.vms - 1):g}."
        if arrow.us
        else "No other request waits: it is next."
    )
    plain = {
        "call": f"{trace.vm}'s program asks its kernel for {sectors}: int 0x80. "
        + (
            "All gates of the processor's interrupt table are the host's, so the vmm has it first."
            if arrow.target == "vmm"
            else "The processor goes to ring 0, where the kernel's table says."
        ),
        "reflect": "The vmm looks gate 0x80 up in the guest's own table, and lets the guest's "
        "kernel go on there, at ring 1. The guest believes that it is ring 0.",
        "submit": f"The model has a whole command, and the vmm hands it on: {arrow.what}. That is "
        "a sector of VM1's own disk; the vmm does not know where that is.",
        "queue": f"The VMkernel looks VM1's extent up: {arrow.what}. {queued}",
        "start": f"VM1's turn: the VMkernel tells the real disk to {arrow.what}.",
        "service": f"The disk works for {arrow.us / 1000:.1f} ms: {arrow.what}. "
        + ("Meanwhile the processor is free." if trace.setup.layers != "native" else ""),
        "interrupt": "The disk interrupts the processor. The VMkernel has the interrupt, "
        "whatever guest was running.",
        "complete": "The VMkernel knows whose request it was, and gives "
        f"{arrow.what} to VM1's vmm.",
        "return": f"The kernel returns to ring 3 (iret). The program has its {trace.bytes:,} bytes "
        f"after {trace.us / 1000:.1f} ms.",
        "again": f"The same for each of the other sectors: interrupt, status, data ({arrow.times} "
        "acts).",
    }
    special = {"port": _port, "inject": _interrupted, "privileged": _privileged}
    if arrow.kind in special:
        return special[arrow.kind](arrow)
    return plain[arrow.kind].strip()
