"""Run the probes of `virtlab.machine.probes` on the real processor, at ring 3, and store that.

    python tools/measure_ring3.py             print what it did, beside what our machine does
    python tools/measure_ring3.py --into data and write data/ring3_native.csv

Each probe runs in a process of its own: a program of 32 bits, made here byte by byte, that has the
memory of our small machine. It is held by ptrace, its registers are set, one instruction is done,
and the signal says whether it faulted. Linux on x86 only; it needs a capability to map low memory
(CAP_SYS_RAWIO; a container's root may lack it).

Where the processor has UMIP (since 2017), SGDT, SIDT, SLDT, STR and SMSW fault at ring 3, and Linux
may do them in the program's place or end it. Their rows then say so, and whether UMIP was on is
stored with each row.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import signal
import struct
import sys
import tempfile
from pathlib import Path

import pandas as pd

from virtlab.machine.encoding import SS
from virtlab.machine.probes import PROBES, Probe
from virtlab.machine.registers import GENERAL
from virtlab.machine.rings import ring_table
from virtlab.machine.stage import CODE, DATA, STACK, stage

FIRST, END = 0x4000, 0x9000
CODE_SELECTOR, DATA_SELECTOR, KERNEL_DATA = 0x23, 0x2B, 0x18  # Linux's, in a program of 32 bits
TRACEME, SINGLESTEP, GETREGS, SETREGS, GETSIGINFO = 0, 9, 12, 13, 0x4202
# struct user_regs_struct of a tracer of 64 bits
FIELDS = [
    "r15",
    "r14",
    "r13",
    "r12",
    "rbp",
    "rbx",
    "r11",
    "r10",
    "r9",
    "r8",
    "rax",
    "rcx",
    "rdx",
    "rsi",
    "rdi",
    "orig_rax",
    "rip",
    "cs",
    "eflags",
    "rsp",
    "ss",
    "fs_base",
    "gs_base",
    "ds",
    "es",
    "fs",
    "gs",
]
UMIP = {"SGDT", "SIDT", "SLDT", "STR", "SMSW"}
_FAULTS = {signal.SIGILL: "#UD", signal.SIGFPE: "#DE", signal.SIGBUS: "#NP or #SS"}
_libc = ctypes.CDLL(None, use_errno=True)


def elf(memory: bytes) -> bytes:
    """Return a program of 32 bits that is this memory, at `FIRST`, and begins at `CODE`."""
    header = struct.pack(
        "<16sHHIIIIIHHHHHH", b"\x7fELF\x01\x01\x01", 2, 3, 1, CODE, 52, 0, 0, 52, 32, 1, 0, 0, 0
    )
    size = len(memory)
    load = struct.pack("<IIIIIIII", 1, 0x1000, FIRST, FIRST, size, size, 7, 0x1000)
    return (header + load).ljust(0x1000, b"\0") + memory


def native(probe: Probe) -> tuple[bytes, dict[str, int]]:
    """Return the memory and the registers of a probe, with Linux's selectors."""
    processor = stage(3)
    probe.prepare(processor)
    code = probe.code.replace("CS", "2300").replace("DS", "2b00")
    processor.memory.write(CODE, bytes.fromhex(code))
    esp = processor.registers["ESP"]
    ours = {0x3B: CODE_SELECTOR, 0x43: DATA_SELECTOR, 0x10: KERNEL_DATA}
    base = processor.segments[SS].base
    for k in range(len(probe.stack)):
        word = int.from_bytes(processor.memory.read(base + esp + 4 * k, 4), "little")
        own = ours.get(word, word)
        processor.memory.write(base + esp + 4 * k, own.to_bytes(4, "little"))
    values = {name: processor.registers[name] for name in GENERAL}
    values |= {name: KERNEL_DATA for name, value in probe.registers.items() if value == 0x10}
    return bytes(processor.memory.data[FIRST:END]), values


def ptrace(request: int, pid: int, address: int = 0, data: object = None) -> None:
    """Ask the kernel; raise what it answers."""
    if _libc.ptrace(request, pid, ctypes.c_void_p(address), data) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def registers(pid: int) -> dict[str, int]:
    """Return the registers of a process that is held."""
    found = (ctypes.c_uint64 * len(FIELDS))()
    ptrace(GETREGS, pid, 0, ctypes.byref(found))
    return {name: int(value) for name, value in zip(FIELDS, found, strict=True)}


def run(probe: Probe, path: Path) -> dict[str, object]:
    """Run a probe; return what it did."""
    memory, values = native(probe)
    path.write_bytes(elf(memory))
    path.chmod(0o755)
    pid = os.fork()
    if pid == 0:
        _libc.ptrace(TRACEME, 0, None, None)
        os.execv(path, [str(path)])  # noqa: S606 - it is ours
    os.waitpid(pid, 0)
    state = registers(pid)
    for name, value in values.items():
        state[f"r{name[1:].lower()}"] = value
    state |= {"rip": CODE, "eflags": 0x202, "orig_rax": (1 << 64) - 1}
    packed = (ctypes.c_uint64 * len(FIELDS))(*[state[name] for name in FIELDS])
    ptrace(SETREGS, pid, 0, ctypes.byref(packed))
    ptrace(SINGLESTEP, pid)
    _, status = os.waitpid(pid, 0)
    came = os.WSTOPSIG(status)
    info = (ctypes.c_int * 32)()
    ptrace(GETSIGINFO, pid, 0, ctypes.byref(info))
    after = registers(pid)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    fault = "" if came == signal.SIGTRAP else _FAULTS.get(signal.Signals(came), "?")
    if came == signal.SIGSEGV:
        fault = "#GP" if info[2] == 0x80 else "#PF"  # SI_KERNEL, or an address
        if probe.mnemonic in UMIP and processor_says()[1]:
            fault = "#GP by UMIP"
    done: dict[str, object] = {"name": probe.name, "mnemonic": probe.mnemonic, "fault": fault}
    for name in ("EAX", "ESP"):
        done[name.lower()] = "" if fault else int(after[f"r{name[1:].lower()}"] & 0xFFFFFFFF)
    done["interrupt_flag"] = "" if fault else int(after["eflags"] >> 9 & 1)
    done["zero_flag"] = "" if fault else int(after["eflags"] >> 6 & 1)
    return done


def processor_says() -> tuple[str, bool]:
    """Return the processor's name, and whether it has UMIP."""
    lines = dict(
        line.partition(":")[::2] for line in Path("/proc/cpuinfo").read_text().splitlines() if line
    )
    told = {key.strip(): value.strip() for key, value in lines.items()}
    return told["model name"], "umip" in told["flags"].split()


def main() -> None:
    """Run all, print, and store if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--into", type=Path, metavar="FOLDER", help="write ring3_native.csv there")
    chosen = parser.parse_args()
    model, umip = processor_says()
    with tempfile.TemporaryDirectory() as folder:
        try:
            rows = [run(probe, Path(folder, f"probe{k}")) for k, probe in enumerate(PROBES)]
        except OSError as error:
            sys.exit(f"measure_ring3.py: this system does not let it: {error}")
    table = pd.DataFrame(rows)
    table["umip"] = int(umip)
    outcomes = ring_table().outcomes
    table["ours"] = [outcomes[name, 3, 0].fault for name in table["name"]]
    print(f"{model}, UMIP {'on' if umip else 'off'}; data at {DATA:#x}, stack at {STACK:#x}")
    print(table.to_string(index=False))
    if chosen.into:
        place = chosen.into / "ring3_native.csv"
        table.drop(columns="ours").to_csv(place, index=False)
        print(f"wrote {place}")


if __name__ == "__main__":
    main()
