"""A monitor of some hundred lines: a guest runs on the real processor until it traps.

This file is a program of its own, which `virtlab.machine.direct` starts; it needs nothing but
Python's standard library, and Linux on x86. It starts the guest as its child (S13: the monitor is
the VM's parent) and lets it run, at ring 3, at the processor's own speed. What the guest must not
do there faults: `in`, `out`, `hlt`. The kernel stops the guest and wakes the monitor, which looks
at the instruction, does what the virtual device would, and lets the guest go on behind it:
**trap and emulate**.

A guest is not trusted. It is continued by PTRACE_SYSEMU, so a system call of its own is not done
but trapped too; it has a limit of time and memory; and it dies with its monitor.

Source: the manual page ptrace(2). User Mode Linux keeps its guests' processes in the same way.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import sys
import time

TRACEME, GETREGS, SETREGS, DETACH, SYSEMU, SETOPTIONS = 0, 12, 13, 17, 31, 0x4200
MARK_CALLS, EXIT_WITH_MONITOR = 1, 0x100000
SYSTEM_CALL = signal.SIGTRAP | 0x80  # so marked, to tell it from a breakpoint
READY_TO_SEND, OPEN_BUS = 0x60, 0xFF
DATA_PORT, STATUS_PORT, EXIT_PORT = 0x3F8, 0x3FD, 0xF4
MEMORY_BYTES = 512 * 2**20
IN_AL_DX, OUT_DX_AL, OUT_DX_EAX, HLT = 0xEC, 0xEE, 0xEF, 0xF4
# struct user_regs_struct of a tracer of 64 bits
NAMES = (  # noqa: SIM905 - it reads better
    "r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax rip cs eflags rsp ss "
    "fs_base gs_base ds es fs gs"
).split()

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.restype = ctypes.c_long
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


class Registers(ctypes.Structure):
    """The guest's registers, as ptrace hands them over."""

    _fields_ = [(name, ctypes.c_uint64) for name in NAMES]


def ptrace(request: int, pid: int, data: object = None) -> None:
    """Ask the kernel; raise what it answers."""
    if _libc.ptrace(request, pid, None, data) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


class Monitor:
    """One guest and its virtual devices: a serial port and an exit port."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.output = bytearray()
        self.traps = {"in": 0, "out": 0}
        self.ended, self.why = "", ""
        self.status = 0
        self._memory = os.open(f"/proc/{pid}/mem", os.O_RDONLY)

    def run(self) -> resource.struct_rusage:
        """Let the guest run from trap to trap; return what it used."""
        while True:
            ptrace(SYSEMU, self.pid)
            _, status, used = os.wait4(self.pid, 0)
            if os.WIFSIGNALED(status):
                self.ended, self.why = "limit", signal.Signals(os.WTERMSIG(status)).name
                return used
            self._handle(os.WSTOPSIG(status))
            if self.ended:
                os.kill(self.pid, signal.SIGKILL)
                return os.wait4(self.pid, 0)[2]

    def _handle(self, came: int) -> None:
        """Do what the hardware would have done, or end the guest."""
        if came != signal.SIGSEGV:
            self.ended = "limit" if came == signal.SIGXCPU else "refused"
            self.why = "a system call" if came == SYSTEM_CALL else signal.Signals(came).name
            return
        registers = Registers()
        ptrace(GETREGS, self.pid, ctypes.byref(registers))
        try:
            code = os.pread(self._memory, 1, registers.rip)[0]
        except (OSError, IndexError):
            code = -1  # it jumped to where there is nothing
        if code == HLT:
            self.ended = "halted"
        elif code == IN_AL_DX:
            value = READY_TO_SEND if registers.rdx & 0xFFFF == STATUS_PORT else OPEN_BUS
            registers.rax = registers.rax & ~0xFF | value
            self.traps["in"] += 1
        elif code in (OUT_DX_AL, OUT_DX_EAX):
            self._write(registers.rdx & 0xFFFF, registers.rax & 0xFFFFFFFF)
            self.traps["out"] += 1
        else:
            self.ended, self.why = "refused", f"a fault at {registers.rip:#x}, byte {code:#x}"
        registers.rip += 1  # all of these are one byte long
        ptrace(SETREGS, self.pid, ctypes.byref(registers))

    def _write(self, port: int, value: int) -> None:
        if port == DATA_PORT:
            self.output.append(value & 0xFF)
        elif port == EXIT_PORT:
            self.ended, self.status = "exit", value & 0xFF


def start(elf: bytes, stdout: int, seconds: int) -> int:
    """Start a program, held before its first instruction; return its number."""
    image = os.memfd_create("guest")
    os.write(image, elf)
    pid = os.fork()
    if pid == 0:
        try:
            os.dup2(stdout, 1)
            resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
            ptrace(TRACEME, 0)
            os.execve(image, ["guest"], {})  # noqa: S606 - no shell is wanted
        finally:
            os._exit(127)
    os.close(image)
    return pid


def main(way: str, seconds: int) -> dict[str, object]:
    """Run the program that comes on standard input, directly under a monitor or natively."""
    read, write = os.pipe()
    pid = start(sys.stdin.buffer.read(), write, seconds)
    _, status, before = os.wait4(pid, 0)
    if not os.WIFSTOPPED(status):
        return {"ended": "impossible", "why": "Linux does not start or hold a 32-bit program here"}
    ptrace(SETOPTIONS, pid, MARK_CALLS | EXIT_WITH_MONITOR)
    begun, worked = time.perf_counter(), time.process_time()
    if way == "direct":
        monitor = Monitor(pid)
        used = monitor.run()
        said = {"ended": monitor.ended, "why": monitor.why, "status": monitor.status}
        output, traps = bytes(monitor.output), monitor.traps
    else:
        ptrace(DETACH, pid)
        _, status, used = os.wait4(pid, 0)
        ended = "exit" if os.WIFEXITED(status) else "limit"
        said = {"ended": ended, "why": "", "status": os.waitstatus_to_exitcode(status)}
        os.close(write)
        output, traps = os.read(read, 65536), {}
    worked, lasted = time.process_time() - worked, time.perf_counter() - begun
    spent = used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime
    return {
        **said,
        "output": output.decode("latin-1"),
        "traps": traps,
        "guest_s": spent,
        "monitor_s": worked if way == "direct" else 0.0,
        "wall_s": lasted,
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(sys.argv[1], int(sys.argv[2]))))
